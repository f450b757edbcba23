# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What known_hosts files say of a server."""

from __future__ import annotations

import hashlib
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import known_hosts


def key(seed=b"1", kind="ssh-ed25519"):
    name = kind.encode()
    return known_hosts.HostKey(
        kind, len(name).to_bytes(4, "big") + name + hashlib.sha256(seed).digest()
    )


@pytest.fixture
def file(tmp_path):
    os.makedirs(tmp_path / "ssh")
    return tmp_path / "ssh/known_hosts"


def test_adding_keeps_what_is_there(file):
    file.write_text("no newline at the end")
    assert known_hosts.append_known_host(str(file), key(), ["srv"]) == []
    assert file.read_text() == "no newline at the end\n" + key().line("srv")


def test_the_same_key_is_not_added_twice(file):
    known_hosts.append_known_host(str(file), key(), ["srv"])
    (found,) = known_hosts.append_known_host(str(file), key(), ["srv"])
    assert found.key == key()
    assert file.read_text() == key().line("srv")


@pytest.mark.parametrize("line", [key(b"2").line("srv"), "@revoked " + key().line("*")])
def test_a_key_is_not_added_against_what_the_file_says(file, line):
    file.write_text(line)
    (found,) = known_hosts.append_known_host(str(file), key(), ["srv"])
    assert found.source == f"{file}:1"
    assert file.read_text() == line


def test_a_former_key_that_is_revoked_does_not_keep_a_new_one_out(file):
    file.write_text("@revoked " + key(b"2").line("srv"))
    assert known_hosts.append_known_host(str(file), key(), ["srv"]) == []
    assert file.read_text().endswith("\n" + key().line("srv"))


def test_of_many_first_contacts_one_is_written(file):
    children = []
    for number in range(8):
        pid = os.fork()
        if pid == 0:
            found = [None]
            try:
                found = known_hosts.append_known_host(str(file), key(b"%d" % number), ["srv"])
            finally:
                os._exit(len(found))
        children.append(pid)
    codes = [os.WEXITSTATUS(os.waitpid(pid, 0)[1]) for pid in children]
    assert sorted(codes) == [0] + [1] * 7
    winner = codes.index(0)
    assert file.read_text() == key(b"%d" % winner).line("srv")


def test_a_file_that_cannot_be_read_for_a_while_still_counts(file):
    file.write_text(key().line("srv"))
    known = known_hosts.KnownHosts([str(file)], ["srv"])
    file.rename(file.with_name("away"))
    file.mkdir()
    known.read()
    assert [entry.key for entry in known.entries] == [key()]
    file.rmdir()
    known.read()
    assert known.entries == []
