# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note by which a host knows that the cluster has archived from it."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import home

DATA = "/pg/main"
SYSTEM = 7300000000000000001


@pytest.fixture(name="spool")
def fixture_spool(tmp_path):
    return str(tmp_path / "spool")


def notes(spool):
    return sorted(os.listdir(os.path.join(spool, "home")))


def test_a_note_is_of_one_stanza_and_one_directory(spool):
    assert not home.is_noted(spool, "demo", DATA, SYSTEM)
    home.note(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", f"{DATA}/", SYSTEM)
    assert not home.is_noted(spool, "other", DATA, SYSTEM)
    assert not home.is_noted(spool, "demo", "/pg/copy", SYSTEM)


def test_a_note_is_of_one_cluster(spool):
    """Two may have archived from the same place, into stanzas of the same name."""
    home.note(spool, "demo", DATA, SYSTEM)
    assert not home.is_noted(spool, "demo", DATA, SYSTEM + 1)
    home.note(spool, "demo", DATA, SYSTEM + 1)
    assert home.is_noted(spool, "demo", DATA, SYSTEM)
    home.forget(spool, "demo", DATA, SYSTEM)
    assert not home.is_noted(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", DATA, SYSTEM + 1)


def test_a_note_is_of_one_host(spool, monkeypatch, tmp_path):
    machine = tmp_path / "machine-id"
    machine.write_text("4c4c4544\n")
    monkeypatch.setattr(home, "_MACHINE_ID", str(machine))
    home.note(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", DATA, SYSTEM)
    machine.write_text("another\n")
    assert not home.is_noted(spool, "demo", DATA, SYSTEM)
    machine.write_text("4c4c4544\n")
    here = os.uname()
    renamed = os.uname_result((here.sysname, "clone-srv", *here[2:]))
    monkeypatch.setattr(os, "uname", lambda: renamed)
    assert not home.is_noted(spool, "demo", DATA, SYSTEM)
    # Who archives there under the new name is at home again.
    home.note(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", DATA, SYSTEM)
    assert len(notes(spool)) == 1


def test_a_note_without_a_machine_id(spool, monkeypatch):
    monkeypatch.setattr(home, "_MACHINE_ID", "/nowhere")
    home.note(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", DATA, SYSTEM)


def test_a_note_that_is_there_is_not_written_again(spool):
    home.note(spool, "demo", DATA, SYSTEM)
    (name,) = notes(spool)
    path = os.path.join(spool, "home", name)
    before = os.stat(path)
    home.note(spool, "demo", DATA, SYSTEM)
    assert os.stat(path).st_ino == before.st_ino
    with open(path, "w", encoding="utf-8") as file:
        file.write("half of")
    assert not home.is_noted(spool, "demo", DATA, SYSTEM)
    home.note(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", DATA, SYSTEM)


def test_it_is_forgotten(spool):
    home.forget(spool, "demo", DATA, SYSTEM)
    home.note(spool, "demo", DATA, SYSTEM)
    home.note(spool, "demo", "/pg/second", SYSTEM)
    home.forget(spool, "demo", DATA, SYSTEM)
    assert not home.is_noted(spool, "demo", DATA, SYSTEM)
    assert home.is_noted(spool, "demo", "/pg/second", SYSTEM)


def test_a_note_that_cannot_be_written_is_no_failure(tmp_path):
    blocked = tmp_path / "spool"
    blocked.write_text("a file, and no directory")
    home.note(str(blocked), "demo", DATA, SYSTEM)
    assert not home.is_noted(str(blocked), "demo", DATA, SYSTEM)


def test_what_is_half_written_goes_away(spool, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        home.note(spool, "demo", DATA, SYSTEM)
    assert notes(spool) == []
