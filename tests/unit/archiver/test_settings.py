# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose configuration the archiver has."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.settings import Settings
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import file
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "pgbackrest.conf"
    path.write_text(
        "[global]\narchive-get-queue-max=1GiB\narchive-push-queue-max=2GiB\nprocess-max=3\n"
        f"[demo]\npg1-path={tmp_path}\n[demo:archive-get]\nprocess-max=5\n"
    )
    own = load("archiver", [f"--config={path}", "--stanza=demo", "--spool-path=/spool"], {})
    return Settings.of(own), str(path)


def test_each_command_has_what_it_would_read_itself(settings):
    found, _path = settings
    assert found.options.archive_push_queue_max == 2 << 30
    assert found.options.process_max == 3
    assert found.get_options.archive_get_queue_max == 1 << 30
    assert found.get_options.process_max == 5
    assert found.options.spool_path == found.get_options.spool_path == "/spool"


def test_a_command_without_a_file_is_served_when_it_would_read_ours(settings, monkeypatch):
    found, path = settings
    assert found.is_configured_by(path)
    assert not found.is_configured_by("/etc/another.conf")
    monkeypatch.setattr(file, "default", lambda: path)
    assert found.is_configured_by("")
    monkeypatch.setattr(file, "default", lambda: None)
    assert not found.is_configured_by("")


def test_a_directory_of_its_own_is_not_what_a_command_without_a_file_reads(tmp_path, monkeypatch):
    path = tmp_path / "pgbackrest.conf"
    path.write_text(f"[demo]\npg1-path={tmp_path}\n")
    found = Settings.of(load("archiver", [f"--config-path={tmp_path}", "--stanza=demo"], {}))
    assert not found.is_configured_by("")
    assert found.is_configured_by(str(path))
    monkeypatch.setattr(file, "default", lambda: str(path))
    assert found.is_configured_by("")


def test_its_own_options_are_read_anew(settings):
    found, path = settings
    with open(path, "a", encoding="utf-8") as file_:
        file_.write("[global:archiver]\nlog-level-file=detail\n")
    assert found.changed()
    anew = found.reloaded()
    assert found.own.log_level_file == "info"
    assert anew.own.log_level_file == "detail"
    assert anew.own.spool_path == "/spool"
    assert not anew.changed()
    assert anew.is_configured_by(path)


@pytest.mark.parametrize("name", ["pgbackrest.conf", "conf.d/repo2.conf"])
def test_a_file_that_comes_into_a_directory_of_its_own_is_read(tmp_path, name):
    """Else the server would go on being told that WAL is archived which one repository lacks."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/first.conf").write_text(f"[demo]\npg1-path={tmp_path}\n")
    own = load("archiver", [f"--config-path={tmp_path}", "--stanza=demo"], {})
    found = Settings.of(own)
    assert len(found.options.repos) == 1
    (tmp_path / "conf.d/notes.txt").touch()
    assert not found.changed()
    (tmp_path / name).write_text("[global]\nrepo1-path=/one\nrepo2-path=/two\n")
    assert found.changed()
    assert len(found.reloaded().options.repos) == 2


def test_a_file_that_takes_the_place_of_the_former_default_is_read(tmp_path, monkeypatch):
    old = tmp_path / "pgbackrest.conf"
    old.write_text(f"[demo]\npg1-path={tmp_path}\n")
    monkeypatch.setattr(file, "OLD_FILE", str(old))
    default = file.OPTIONS["config-path"]._replace(default=str(tmp_path / "new"))
    monkeypatch.setitem(file.OPTIONS, "config-path", default)
    found = Settings.of(load("archiver", ["--stanza=demo"], {}))
    assert found.own.config_file == str(old)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/pgbackrest.conf").write_text(
        f"[demo]\npg1-path={tmp_path}\n[global]\nrepo1-path=/one\nrepo2-path=/two\n"
    )
    assert found.changed()
    assert len(found.reloaded().options.repos) == 2


def test_what_its_command_line_takes_back(settings):
    _found, path = settings
    words = [f"--config={path}", "--stanza=demo", "--reset-process-max", "--no-neutral-umask"]
    found = Settings.of(load("archiver", words, {}))
    assert found.own.process_max == found.options.process_max == found.get_options.process_max == 1
    assert found.reloaded().options.process_max == 1
