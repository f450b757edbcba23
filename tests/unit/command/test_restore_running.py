# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers run, by what they leave in their data directories and where they work."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import running
from ansible_collections.pgsftp.backup.tests.support.processes import Processes


@pytest.fixture
def processes(tmp_path, monkeypatch):
    made = Processes(tmp_path / "proc")
    monkeypatch.setattr(running, "PROCESSES", str(made.root))
    return made


@pytest.fixture
def data(tmp_path):
    """A data directory that names this process, which surely is there."""
    made = tmp_path / "data"
    made.mkdir()
    (made / "postmaster.pid").write_text(f"{os.getpid()}\n{made}\n")
    return made


def refused(data):
    with pytest.raises(errors.PostgresRunningError, match="while PostgreSQL") as caught:
        running.refuse_running(str(data))
    assert caught.value.code == 38
    return caught.value.hint


@pytest.mark.parametrize("name", ["postgres", "postmaster", "edb-postgres", "memcheck"])
def test_a_running_server_is_refused(processes, data, name):
    processes.add(os.getpid(), name=name, cwd=data)
    assert running.process_of(str(data)) == os.getpid()
    hint = refused(data)
    assert f"process {os.getpid()} ('{name}') is running: stop the server first" in hint


@pytest.mark.parametrize("name", [None, "postgres"])
def test_what_cannot_be_seen_may_be_the_server(processes, data, name):
    """As where it is another user's."""
    processes.add(os.getpid(), name=name)
    assert running.process_of(str(data)) == os.getpid()
    assert "stop the server first" in refused(data)


@pytest.mark.parametrize(("name", "visible"), [("sshd", True), ("sshd", False), ("postgres", True)])
def test_a_number_that_another_process_has_by_now(processes, data, tmp_path, name, visible):
    processes.add(os.getpid(), name=name, cwd=tmp_path if visible else None)
    assert running.process_of(str(data)) is None
    assert running.data_directories() == {}
    hint = refused(data)
    assert f"names process {os.getpid()}, which is another one ('{name}')" in hint
    assert "remove the file" in hint


@pytest.mark.parametrize("text", ["1", "999999999"])
def test_a_server_with_another_number_than_it_has_for_itself(processes, data, tmp_path, text):
    """In a container, whose paths are others, too."""
    (data / "postmaster.pid").write_text(text)
    (tmp_path / "mounted").symlink_to(data)
    processes.add(1, name="systemd", cwd="/")
    processes.add(4711, name="python3", cwd=data)
    processes.add(4712, name="postgres", cwd=tmp_path / "mounted")
    assert running.process_of(str(data)) == 4712
    assert "process 4712 ('postgres') is running" in refused(data)
    (data / "postmaster.pid").unlink()
    assert running.process_of(str(data)) is None
    running.refuse_running(str(data))


@pytest.mark.parametrize("text", ["", "no number", "0", "999999999", str(1 << 70)])
def test_what_names_no_process(tmp_path, text):
    (tmp_path / "postmaster.pid").write_text(text)
    assert running.process_of(str(tmp_path)) is None
    with pytest.raises(errors.PostgresRunningError, match="while PostgreSQL") as caught:
        running.refuse_running(str(tmp_path))
    assert "remove the file" in caught.value.hint


def test_a_server_is_found_where_it_works(processes, data, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    for number, place in ((os.getpid(), data), (2, data), (3, other), (4, tmp_path / "gone")):
        processes.add(number, name="postgres", cwd=place)
    processes.add("self")
    processes.add(9)
    assert running.data_directories() == {str(data): os.getpid()}
    monkeypatch.setattr(running, "PROCESSES", str(tmp_path / "none"))
    assert running.data_directories() == {}
