# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets: as the draft and OpenSSH's PROTOCOL have them, in whatever pieces they come."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import ProtocolError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import FileKind
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import protocol


def packet(kind, body):
    return struct.pack(">IB", len(body) + 1, kind) + body


GREETING = packet(protocol.VERSION_REPLY, struct.pack(">I", 3))


def split(*chunks):
    splitter = protocol.Splitter()
    return [(kind, bytes(body)) for chunk in chunks for kind, body in splitter.feed(chunk)]


@given(
    bodies=st.lists(st.binary(max_size=50), max_size=6),
    cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=10),
)
def test_packets_come_out_whole_however_they_arrive(bodies, cuts):
    data = GREETING + b"".join(packet(101, body) for body in bodies)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    chunks = [data[start:end] for start, end in zip(ends, ends[1:])]
    wanted = [(protocol.VERSION_REPLY, struct.pack(">I", 3))] + [(101, body) for body in bodies]
    assert split(*chunks) == wanted


def test_a_large_packet_in_small_pieces():
    body = bytes(range(256)) * 1000
    data = GREETING + packet(103, body)
    found = split(*(data[start : start + 1000] for start in range(0, len(data), 1000)))
    assert found[1] == (103, body)


@pytest.mark.parametrize(
    ("noise", "shown"),
    [
        (b"Welcome to sftp-srv!\nHave fun\n", "'Welcome to sftp-srv!'"),
        (b"\x00\x00\x00\x05\x63\x00\x00\x00\x00", "the SFTP protocol was expected"),
        (b"This account is currently not available.\n", "'This account is currently"),
        (b"\xff\xfe\xfd\xfc\xfb", "the SFTP protocol was expected"),
    ],
)
def test_noise_before_the_protocol_is_quoted(noise, shown):
    with pytest.raises(ProtocolError, match=r"where the SFTP protocol was expected") as raised:
        split(noise)
    assert shown in raised.value.message
    assert "\n" not in raised.value.message


def test_a_packet_too_large_to_be_one():
    with pytest.raises(ProtocolError):
        split(GREETING, struct.pack(">IB", 1 << 30, 101))


def test_requests_on_the_wire():
    assert protocol.init() == bytes.fromhex("000000050100000003")
    fields = protocol.open_file(b"/a", protocol.WRITE_FLAG | protocol.CREATE, 0o640)
    sent = protocol.head(protocol.OPEN, 7, len(fields)) + fields
    assert sent == (
        struct.pack(">IBI", 5 + 4 + 2 + 4 + 8, 3, 7)
        + struct.pack(">I", 2)
        + b"/a"
        + struct.pack(">III", 0x0A, 4, 0o640)
    )
    assert protocol.write_head(b"h", 5, 3) + b"abc" == (
        struct.pack(">I", 1) + b"h" + struct.pack(">QI", 5, 3) + b"abc"
    )


def test_attributes_of_every_sort():
    body = struct.pack(">IQIIIII", 0xF, 1 << 40, 1, 2, 0o100640, 3, 4)
    extra = struct.pack(">II", 0x80000000, 1) + protocol.string(b"k") + protocol.string(b"v")
    fields = protocol.Fields(memoryview(body + extra + struct.pack(">I", 0)))
    assert fields.attributes() == (1 << 40, 1, 2, 0o100640, 4)
    assert fields.attributes() == (None,) * 5
    assert fields.attributes() == (None,) * 5
    assert not fields.more()


@pytest.mark.parametrize(
    ("mode", "size", "kind"),
    [
        (0o100640, 5, FileKind.FILE),
        (0o040750, 4096, FileKind.PATH),
        (0o120777, 3, FileKind.LINK),
        (0o010600, 0, FileKind.SPECIAL),
    ],
)
def test_kinds(mode, size, kind):
    found = protocol.parse_info("x", protocol.Attributes(size, 0, 0, mode, 9))
    assert found.kind is kind
    assert found.size == (5 if kind is FileKind.FILE else 0)


@pytest.mark.parametrize(("mode", "size"), [(None, 5), (0o640, 5), (0o100640, None)])
def test_an_entry_that_says_too_little(mode, size):
    assert protocol.parse_info("x", protocol.Attributes(size, None, None, mode, None)) is None


def test_a_status_may_lack_its_message():
    assert protocol.Fields(memoryview(struct.pack(">I", 4))).status() == (4, "")
    long = struct.pack(">I", 4) + protocol.string(b"no ") + protocol.string(b"en")
    assert protocol.Fields(memoryview(long)).status() == (4, "no")


@pytest.mark.parametrize("body", [b"", b"\0\0\0", struct.pack(">I", 9) + b"short"])
def test_an_answer_cut_short(body):
    with pytest.raises(ProtocolError, match="cut short"):
        protocol.Fields(memoryview(body)).string()


def test_the_greeting_names_extensions():
    body = struct.pack(">I", 3) + protocol.string(b"a@b") + protocol.string(b"1")
    assert protocol.parse_version(memoryview(body)) == (3, {b"a@b": b"1"})
