# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers run, by what they leave in their data directories and where they work."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import running


def test_a_running_server_is_refused(tmp_path):
    running.refuse_running(str(tmp_path))
    (tmp_path / "postmaster.pid").write_text("1")
    with pytest.raises(errors.PostgresRunningError) as caught:
        running.refuse_running(str(tmp_path))
    assert caught.value.code == 38


@pytest.mark.parametrize("text", ["", "no number", "0", "999999999", str(1 << 70)])
def test_what_names_no_process(tmp_path, text):
    (tmp_path / "postmaster.pid").write_text(text)
    assert running.process_of(str(tmp_path)) is None
    with pytest.raises(errors.PostgresRunningError, match="while PostgreSQL") as caught:
        running.refuse_running(str(tmp_path))
    assert "remove the file" in caught.value.hint


def test_a_server_is_found_where_it_works(tmp_path, monkeypatch):
    processes, data, other = (tmp_path / name for name in ("proc", "data", "other"))
    for number, place in enumerate((data, data, other, tmp_path / "gone")):
        (processes / str(number)).mkdir(parents=True)
        (processes / str(number) / "cwd").symlink_to(place)
    (processes / "self").mkdir()
    (processes / "9").mkdir()
    for place in (data, other):
        place.mkdir()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")
    monkeypatch.setattr(running, "PROCESSES", str(processes))
    assert running.data_directories() == {str(data): os.getpid()}
    monkeypatch.setattr(running, "PROCESSES", str(tmp_path / "none"))
    assert running.data_directories() == {}
