# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log file stays where its name is, whatever logrotate does, and is never worth an error."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import log


@pytest.fixture
def path(tmp_path):
    directory = tmp_path / "log"
    directory.mkdir()
    handler = log.attach_file(directory / "demo.log", "info")
    yield directory / "demo.log"
    log.detach(handler)


def said(path):
    return [line.partition("INFO: ")[2] for line in path.read_text().splitlines()]


def test_what_was_moved_away_is_made_anew(path):
    log.info("one")
    path.rename(path.with_suffix(".1"))
    log.info("two")
    assert said(path.with_suffix(".1")) == ["one"]
    assert said(path) == ["two"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_was_made_by_another_is_gone_on_with(path):
    path.rename(path.with_suffix(".1"))
    path.write_text("")
    log.info("one")
    assert said(path) == ["one"]


def test_without_a_directory_the_work_goes_on_and_with_it_again_so_does_the_log(path, capsys):
    path.parent.rename(path.parent.with_name("away"))
    log.info("one")
    log.info("two")
    path.parent.mkdir()
    log.info("three")
    log.info("four")
    assert said(path) == ["three", "four"]
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_no_error_even_at_the_end(tmp_path, monkeypatch, capsys):
    full = Path("/dev/full")
    monkeypatch.setattr(log._File, "_open", lambda _self: full.open("w", encoding="utf-8"))
    monkeypatch.setattr(log._File, "_is_there", lambda *_arguments: True)
    handler = log.attach_file(tmp_path / "demo.log", "info")
    log.info("one")
    log.detach(handler)
    assert capsys.readouterr().err == ""


def test_a_terminal_that_is_gone_is_not_worth_a_word(capsys):
    with open("/dev/full", "w", encoding="utf-8") as full:
        handler = log.attach_stream(full, "info")
        log.info("one")
        log.detach(handler)
        with contextlib.suppress(OSError):
            full.close()
    assert capsys.readouterr().err == ""
