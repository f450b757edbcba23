# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failure of archive-get tells the server that asked."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.asking import (
    Asker,
    asker,
    failure_code,
    who_asks,
)


@pytest.mark.parametrize(
    ("names", "who", "code"),
    [
        ((), Asker.OTHER, 49),
        (("recovery.signal",), Asker.RECOVERY, 200),
        (("standby.signal",), Asker.STANDBY, 49),
        (("standby.signal", "recovery.signal"), Asker.STANDBY, 49),
    ],
)
def test_who_asks_and_what_a_failure_means_there(tmp_path, names, who, code):
    for name in names:
        (tmp_path / name).write_text("")
    assert asker(str(tmp_path)) is who
    assert failure_code(asker(str(tmp_path)), 49) == code


@pytest.mark.parametrize(
    ("said", "who", "code"),
    [
        ("", Asker.RECOVERY, 200),
        ("restore_command = 'pgsftp archive-get %f \"%p\"'\n", Asker.RECOVERY, 200),
        ("restore_command = 'x'\nstandby_mode = 'on'\n", Asker.STANDBY, 49),
        ("standby_mode = on", Asker.STANDBY, 49),
        ("\tStandby_Mode='TRUE' # not a primary\r\n", Asker.STANDBY, 49),
        ("standby_mode yes\n", Asker.STANDBY, 49),
        ("standby_mode = 1\n", Asker.STANDBY, 49),
        ("standby_mode = 'T'\n", Asker.STANDBY, 49),
        ("standby_mode = 'off'\n", Asker.RECOVERY, 200),
        ("standby_mode = o\n", Asker.RECOVERY, 200),
        ("standby_mode = no\n", Asker.RECOVERY, 200),
        ("standby_mode = ''\n", Asker.RECOVERY, 200),
        ("#standby_mode = on\n", Asker.RECOVERY, 200),
        ("standby_modest = on\n", Asker.RECOVERY, 200),
        ("standby_mode = on\nstandby_mode = off\n", Asker.RECOVERY, 200),
        ("standby_mode = off\nstandby_mode = on\n", Asker.STANDBY, 49),
        ("restore_command = 'echo standby_mode = on'\n", Asker.RECOVERY, 200),
    ],
)
@pytest.mark.parametrize("version", ["9.6", "10", "11"])
def test_before_12_it_is_recovery_conf_that_says_who_asks(tmp_path, version, said, who, code):
    (tmp_path / "PG_VERSION").write_text(f"{version}\n")
    (tmp_path / "recovery.conf").write_bytes(said.encode())
    assert asker(str(tmp_path)) is who
    assert failure_code(asker(str(tmp_path)), 49) == code


@pytest.mark.parametrize("version", ["12", "15", "", "nonsense"])
def test_from_12_on_recovery_conf_says_nothing(tmp_path, version):
    (tmp_path / "PG_VERSION").write_text(version)
    (tmp_path / "recovery.conf").write_text("standby_mode = on\n")
    assert asker(str(tmp_path)) is Asker.OTHER
    (tmp_path / "recovery.signal").touch()
    assert asker(str(tmp_path)) is Asker.RECOVERY


def test_a_recovery_conf_that_cannot_be_read_ends_no_recovery(tmp_path):
    (tmp_path / "PG_VERSION").write_text("11\n")
    (tmp_path / "recovery.conf").mkdir()
    assert failure_code(asker(str(tmp_path)), 49) == 200


def test_before_12_without_recovery_conf_nobody_recovers(tmp_path):
    (tmp_path / "PG_VERSION").write_text("11\n")
    (tmp_path / "recovery.done").write_text("standby_mode = on\n")
    assert asker(str(tmp_path)) is Asker.OTHER


@pytest.mark.parametrize(
    ("here", "configured", "who"),
    [
        ("recovery.signal", "", Asker.RECOVERY),
        ("", "recovery.signal", Asker.RECOVERY),
        ("recovery.signal", "standby.signal", Asker.RECOVERY),
        ("standby.signal", "", Asker.STANDBY),
        ("", "", Asker.OTHER),
    ],
)
def test_it_may_be_the_server_in_whose_directory_the_command_runs(
    tmp_path, monkeypatch, here, configured, who
):
    for name, signal in (("here", here), ("configured", configured)):
        (tmp_path / name).mkdir()
        if signal:
            (tmp_path / name / signal).touch()
    monkeypatch.chdir(tmp_path / "here")
    assert who_asks(str(tmp_path / "configured")) is who
