# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoding and decoding: every combination, digests, sizes, and what damaged bytes give."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    AssertError,
    CryptoError,
    EngineError,
    FormatError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    PLAIN,
    Decoder,
    Digests,
    Encoder,
    Encoding,
    Framing,
    decode,
    encode,
)

CONTENT = b"".join(b"row %d\n" % number for number in range(50_000))
ENCODINGS = [
    Encoding(name, None, passphrase)
    for name, passphrase in itertools.product(("none", "gz", "bz2", "zst"), (None, "secret-pass"))
]


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize(
    "encoding", ENCODINGS, ids=lambda e: f"{e.compress_type}-{bool(e.cipher_pass)}"
)
@pytest.mark.parametrize("content", [b"", b"15\n", CONTENT], ids=["empty", "short", "long"])
def test_what_goes_in_comes_out(encoding: Encoding, framing: Framing, content: bytes) -> None:
    encoder = Encoder(encoding, framing=framing)
    stored = encoder.update(content[:1000]) + encoder.update(content[1000:]) + encoder.finish()
    assert encoder.source_size == len(content)
    assert encoder.source_sha1 == hashlib.sha1(content).hexdigest()
    assert encoder.stored_size == len(stored)
    assert encoder.stored_sha1 == hashlib.sha1(stored).hexdigest()

    decoder = Decoder(encoding, framing=framing)
    view = memoryview(stored)
    chunks = (view[start : start + 8191] for start in range(0, len(stored), 8191))
    assert b"".join(decoder.stream(chunks)) == content
    assert decoder.source_size == len(content)
    assert decoder.source_sha1 == hashlib.sha1(content).hexdigest()
    assert decoder.stored_size == len(stored)


def test_of_wal_nobody_wants_the_digest_of_what_is_stored() -> None:
    encoder = Encoder(Encoding("gz"), digests=Digests.SOURCE)
    stored = encoder.update(CONTENT) + encoder.finish()
    assert stored == encode(CONTENT, Encoding("gz"))
    assert encoder.source_sha1 == hashlib.sha1(CONTENT).hexdigest()
    with pytest.raises(AssertError):
        _dummy = encoder.stored_sha1


def test_the_two_framings_differ_where_the_format_says_so() -> None:
    whole = encode(b"15\n", Encoding("gz", 6, "key"))
    raw = encode(b"15\n", Encoding("gz", 6, "key"), framing=Framing.RAW)
    assert whole.startswith(b"Salted__")
    assert len(raw) == 24


@pytest.mark.parametrize(
    "encoding", ENCODINGS[1:], ids=lambda e: f"{e.compress_type}-{bool(e.cipher_pass)}"
)
def test_a_cut_file_is_refused(encoding: Encoding) -> None:
    stored = encode(CONTENT, encoding)
    for size in (0, 10, len(stored) // 2, len(stored) - 1):
        with pytest.raises((FormatError, CryptoError)):
            decode(stored[:size], encoding)


@pytest.mark.parametrize(
    "encoding", ENCODINGS, ids=lambda e: f"{e.compress_type}-{bool(e.cipher_pass)}"
)
def test_a_damaged_file_is_refused_or_has_another_digest(encoding: Encoding) -> None:
    stored = bytearray(encode(CONTENT, encoding))
    stored[len(stored) // 2] ^= 0x55
    decoder = Decoder(encoding)
    try:
        for _piece in decoder.stream([bytes(stored)]):
            pass
    except EngineError:
        return
    assert decoder.source_sha1 != hashlib.sha1(CONTENT).hexdigest()


@pytest.mark.parametrize(
    "encoding", ENCODINGS, ids=lambda e: f"{e.compress_type}-{bool(e.cipher_pass)}"
)
def test_a_bomb_goes_no_further_than_it_may(encoding: Encoding) -> None:
    stored = encode(bytes(8 << 20), encoding)
    assert len(decode(stored, encoding, most=8 << 20)) == 8 << 20
    for most in (0, 1 << 20, (8 << 20) - 1):
        given = 0
        with pytest.raises(FormatError, match=f"more than {most} bytes"):
            for piece in Decoder(encoding).stream([stored], most=most):
                given += len(piece)
        assert given <= most


def test_a_pass_never_shows() -> None:
    assert "secret-pass" not in repr(Encoding("gz", 6, "secret-pass"))


def test_plain_is_plain() -> None:
    assert PLAIN.is_plain
    assert not Encoding("gz").is_plain
    assert not Encoding("none", None, "x").is_plain
