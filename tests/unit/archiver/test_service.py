# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's turns, with crews that a test moves."""

from __future__ import annotations

import dataclasses
import os
import selectors
import socket
import time
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import resident
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    fetchers,
    place,
    pushing,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.queue import (
    Queue,
    identity,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.service import Service
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.settings import Settings
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ArchiveDuplicateError,
    ExecuteError,
    FileOpenError,
    HostConnectError,
    LockAcquireError,
    ServiceError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import control
from ansible_collections.pgsftp.backup.tests.support.two_nodes import make_control

NAME = "000000010000000000000001"


OPEN: list[socket.socket] = []


class Crew:
    """What the service sees of a crew, without processes."""

    def __init__(self, key):
        self.repo = RepoOptions(key=key)
        self.name = f"repo{key}"
        self.queue = Queue()
        self.error = None
        self.failed = 0.0
        self.sessions = 1
        self.hung = {}
        self.connections = []

    def receive(self, connection, now):
        if connection in self.connections:
            self.connections.remove(connection)
            connection.close()

    def close(self):
        pass


def no_command(*_arguments, **_options):
    raise AssertionError("no command was to be run")


@pytest.fixture
def service(tmp_path):
    """A service of two repositories on a data directory with one segment."""
    (tmp_path / "pg_wal").mkdir()
    (tmp_path / "pg_wal" / NAME).write_bytes(b"wal")
    options = Options(
        command="archive-push",
        stanza="demo",
        lock_path=str(tmp_path / "lock"),
        archiver_path=str(tmp_path),
        spool_path=str(tmp_path / "spool"),
        pgs=(PgOptions(path=str(tmp_path)),),
    )
    made = Service(Settings(options, options, options, Settings.of_files(options)), no_command)
    made._crews = [Crew(1), Crew(2)]
    made._selector.register(made._listener, selectors.EVENT_READ)
    yield made
    made._close()
    while OPEN:
        OPEN.pop().close()


class Asking:
    """An archive-push whose question has arrived."""

    def __init__(self, service, tmp_path, path=None):
        self.socket = socket.socket(socket.AF_UNIX)
        OPEN.append(self.socket)
        self.socket.connect(resident.socket_path(str(tmp_path), "demo"))
        path = path or tmp_path / "pg_wal" / NAME
        self.socket.sendall(f"push\t\tdemo\t{path}\n".encode())
        service._desk.accept()
        (self.asker,) = [row for row in service._desk.askers.values() if not row.line]
        service._desk.read(self.asker)
        self.service = service

    def answer(self, now):
        self.asker.attend(self.asker, now)
        self.socket.setblocking(False)
        try:
            return self.socket.recv(4096).decode()
        except BlockingIOError:
            return ""


@pytest.mark.parametrize(
    "question",
    [
        "run",
        "run\t\tutf-8\tstrict\tx",
        "run\t/other.conf\tutf-8\tstrict\t0\tinfo",
        "run\t\tutf-8\tstrict\t0\texpire",
        "run\t\tutf-8\tstrict\t0\tinfo\t--repo1-path=/elsewhere",
    ],
)
def test_what_it_runs_for_nobody(service, tmp_path, question):
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(resident.socket_path(str(tmp_path), "demo"))
        line.sendall(f"{question}\n".encode())
        service._desk.accept()
        (asker,) = service._desk.askers.values()
        service._desk.read(asker)
        assert line.recv(4096) == b"alone that is not run here\n"
    assert not service._desk.askers


def test_ok_needs_every_repository(service, tmp_path):
    asking = Asking(service, tmp_path)
    now = asking.asker.since
    first, second = service._crews
    found = identity(str(tmp_path / "pg_wal" / NAME))
    assert asking.answer(now) == ""
    first.queue.store(NAME, found)
    assert asking.answer(now) == ""
    assert asking.answer(now + resident.BEAT) == "."
    second.queue.store(NAME, found)
    assert asking.answer(now) == "ok\n"


def test_another_file_of_that_name_is_no_reason_for_ok(service, tmp_path):
    path = tmp_path / "pg_wal" / NAME
    for crew in service._crews:
        crew.queue.store(NAME, identity(str(path))._replace(mtime_ns=1))
    asking = Asking(service, tmp_path)
    assert asking.answer(asking.asker.since) == ""
    assert [crew.queue.next(0.0) for crew in service._crews] == [NAME, NAME]


def test_an_error_waits_until_the_other_repository_has_it(service, tmp_path):
    asking = Asking(service, tmp_path)
    now = asking.asker.since
    first, second = service._crews
    first.sessions, first.error, first.failed = 0, HostConnectError("no way there"), now + 1
    assert asking.answer(now + 2) == "."
    second.queue.store(NAME, identity(str(tmp_path / "pg_wal" / NAME)))
    text = asking.answer(now + pushing.HOLD)
    assert text.startswith("error 104 archive-push failed on 1 of 2 repositories:")
    assert "repo1: no way there" in text


def test_a_repository_that_comes_back_at_once_is_no_failure(service, tmp_path):
    service._crews = service._crews[:1]
    asking = Asking(service, tmp_path)
    now = asking.asker.since
    (crew,) = service._crews
    crew.sessions, crew.error, crew.failed = 0, HostConnectError("restarting"), now + 0.1
    assert asking.answer(now + pushing.HOLD - 0.1) == "."
    crew.sessions = 1
    crew.queue.store(NAME, identity(str(tmp_path / "pg_wal" / NAME)))
    assert asking.answer(now + pushing.HOLD) == "ok\n"


def test_who_is_not_let_in_is_told_at_once(service, tmp_path):
    service._crews = service._crews[:1]
    asking = Asking(service, tmp_path)
    now = asking.asker.since
    (crew,) = service._crews
    crew.sessions, crew.error, crew.failed = 0, ServiceError("key refused"), now + 0.1
    assert asking.answer(now + 0.2).startswith("error ")


def test_a_failure_before_the_question_is_no_answer_to_it(service, tmp_path):
    asking = Asking(service, tmp_path)
    now = asking.asker.since
    for crew in service._crews:
        crew.sessions, crew.error, crew.failed = 0, HostConnectError("once"), now - 1
    assert asking.answer(now) == ""


def test_a_refusal_is_told_with_its_code(service, tmp_path):
    service._crews = service._crews[:1]
    asking = Asking(service, tmp_path)
    service._crews[0].queue.refuse(NAME, ArchiveDuplicateError("another one"), 0.0)
    assert asking.answer(asking.asker.since) == "error 45 another one\n"


def test_what_every_repository_refuses_is_told_with_its_code(service, tmp_path):
    asking = Asking(service, tmp_path)
    for crew in service._crews:
        crew.queue.refuse(NAME, ArchiveDuplicateError("another one", hint="whose?"), 0.0)
    text = asking.answer(asking.asker.since)
    assert text.startswith("error 45 archive-push failed on 2 of 2 repositories:")
    assert text.endswith("HINT: whose?\n")


def test_who_waits_for_a_worker_that_hung_does_it_himself(service, tmp_path):
    asking = Asking(service, tmp_path)
    now = asking.asker.since
    _first, second = service._crews
    second.queue.next(now)
    second.hung[NAME] = now - 1
    # That was before he came.
    assert asking.answer(now) == ""
    second.hung[NAME] = now + 20
    assert asking.answer(now + 20) == "alone the process that had the file hung\n"


def test_waiting_has_an_end(service, tmp_path):
    asking = Asking(service, tmp_path)
    text = asking.answer(asking.asker.since + service._options.archive_timeout + 1)
    assert text.startswith("error 104 ")
    assert "was not archived within 61 seconds" in text


def test_how_far_it_is_can_be_asked_as_the_hint_says(service, tmp_path):
    service._crews = [Crew(1)]
    asking = Asking(service, tmp_path)
    text = asking.answer(asking.asker.since + service._options.archive_timeout + 1)
    assert "'pgsftp --stanza=demo archiver status'" in text


@pytest.mark.parametrize("dropped", [True, False])
def test_more_than_the_queue_may_hold_is_dropped(service, tmp_path, dropped):
    maximum = 5 if dropped else 6
    service._options = dataclasses.replace(service._options, archive_push_queue_max=maximum)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    status = tmp_path / "pg_wal" / "archive_status"
    status.mkdir()
    for number in (1, 2):
        (status / f"00000001000000000000000{number}.ready").touch()
    asking = Asking(service, tmp_path)
    if dropped:
        asking.socket.setblocking(False)
        text = asking.socket.recv(4096).decode()
        assert text.startswith(f"exit 0 WARN: dropped WAL file '{NAME}'")
    else:
        assert asking.answer(asking.asker.since) == ""


@pytest.mark.parametrize("stored", [(1,), (1, 2)])
def test_only_what_is_not_stored_everywhere_fills_the_queue(service, tmp_path, stored):
    """The rest waits for PostgreSQL, which asks for one after the other."""
    service._options = dataclasses.replace(service._options, archive_push_queue_max=5)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    status = tmp_path / "pg_wal" / "archive_status"
    status.mkdir()
    names = [f"00000001000000000000000{number}" for number in (1, 2)]
    for name in names:
        (status / f"{name}.ready").touch()
    for crew in service._crews:
        if crew.repo.key in stored:
            crew.queue.store(names[1], identity(str(tmp_path / "pg_wal" / NAME)))
    asking = Asking(service, tmp_path)
    asking.socket.setblocking(False)
    if stored == (1, 2):
        assert asking.answer(asking.asker.since) == ""
    else:
        assert asking.socket.recv(4096).startswith(b"exit 0 WARN: dropped WAL file")


@pytest.mark.parametrize("refused", [True, False])
def test_a_history_is_tried_before_it_is_dropped(service, tmp_path, monkeypatch, refused):
    cluster = SimpleNamespace(wal_segment_size=3)
    monkeypatch.setattr(control, "load", lambda _path: cluster)
    service._options = dataclasses.replace(service._options, archive_push_queue_max=2)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    status = tmp_path / "pg_wal" / "archive_status"
    status.mkdir()
    for name in (NAME, "00000002.history"):
        (status / f"{name}.ready").touch()
    path = tmp_path / "pg_wal" / "00000002.history"
    path.write_bytes(b"history")
    asking = Asking(service, tmp_path, path)
    since = asking.asker.since
    # As long as a repository may take it, also while it is late.
    assert asking.answer(since + 2) in ("", ".")
    for crew in service._crews:
        if refused:
            crew.queue.refuse(path.name, ArchiveDuplicateError("another"), since)
        else:
            crew.error, crew.failed, crew.sessions = HostConnectError("away"), since + 1, 0
    text = asking.answer(since + pushing.HOLD + 1)
    assert f"exit 0 WARN: dropped WAL file '{path.name}'" in text
    assert "the next backup, which will be a full one" in text


def test_what_is_stored_is_not_dropped(service, tmp_path):
    service._options = dataclasses.replace(service._options, archive_push_queue_max=1)
    found = identity(str(tmp_path / "pg_wal" / NAME))
    for crew in service._crews:
        crew.queue.store(NAME, found)
    asking = Asking(service, tmp_path)
    assert asking.socket.recv(4096) == b"ok\n"


@pytest.mark.parametrize(("peer", "served"), [(4711, False), (4712, True), (0, True)])
def test_only_our_own_user_and_root_are_served(
    service, tmp_path, monkeypatch, caplog, peer, served
):
    monkeypatch.setattr(resident, "peer_uid", lambda _socket: peer)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    connection = socket.socket(socket.AF_UNIX)
    OPEN.append(connection)
    connection.connect(resident.socket_path(str(tmp_path), "demo"))
    service._desk.accept()
    assert len(service._desk.askers) == served
    assert ("another user was refused" in caplog.text) != served
    if not served:
        assert connection.recv(1) == b""


def test_the_file_of_another_cluster_is_not_for_us(service, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / NAME).write_bytes(b"wal")
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(resident.socket_path(str(tmp_path), "demo"))
    connection.sendall(f"push\t\tdemo\t{other / NAME}\n".encode())
    service._desk.accept()
    (asker,) = service._desk.askers.values()
    service._desk.read(asker)
    assert connection.recv(4096).startswith(b"alone it serves ")
    connection.close()


def test_a_worker_that_ends_leaves_its_number_to_who_comes_next(service, tmp_path):
    ours, theirs = Pipe()
    crew = service._crews[0]
    crew.connections.append(ours)
    service._listen_to(service._crews)
    number = ours.fileno()
    key = service._selector.get_key(ours)
    connection = socket.socket(socket.AF_UNIX)
    OPEN.append(connection)
    connection.connect(resident.socket_path(str(tmp_path), "demo"))
    service._hear(key)
    # The kernel gives the lowest number that is free.
    fillers = []
    while (filler := os.dup(0)) < number:
        fillers.append(filler)
    os.close(filler)
    service._hear(service._selector.get_key(service._listener))
    (accepted,) = service._desk.askers
    assert accepted.fileno() == number
    for filler in fillers:
        os.close(filler)
    theirs.close()


def end_worker(service):
    """As when a question shows that the configuration has changed; gives its selector's key."""
    ours, theirs = Pipe()
    crew = service._crews[0]
    crew.connections.append(ours)
    service._listen_to(service._crews)
    key = service._selector.get_key(ours)
    crew.connections.remove(ours)
    ours.close()
    theirs.close()
    return key


def test_who_comes_in_the_turn_in_which_a_worker_is_ended_may_get_its_number(service, tmp_path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(resident.socket_path(str(tmp_path), "demo"))
        ended = end_worker(service)
        service._hear(service._selector.get_key(service._listener))
        (accepted,) = service._desk.askers
        # The kernel gives the lowest number that is free.
        assert accepted.fileno() == ended.fd
        # What the worker had said before is heard in the same turn, too.
        service._hear(ended)
        assert service._selector.get_key(accepted).fileobj is accepted


def test_what_a_worker_said_in_the_turn_in_which_it_is_ended_is_nothing(service):
    ended = end_worker(service)
    service._hear(ended)
    service._hear(ended)


def test_there_is_only_one(service):
    with pytest.raises(LockAcquireError, match="unable to acquire lock"):
        place.only_one(service._settings)


def test_who_runs_a_command_for_somebody_does_not_keep_a_successor_waiting(service, tmp_path):
    """A pager may read the answer for hours, and the service be killed meanwhile."""
    service._crews = []
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(resident.socket_path(str(tmp_path), "demo"))
        line.sendall(b"run\t\tutf-8\tstrict\t0\tinfo\n")
        service._desk.accept()
        (asker,) = service._desk.askers.values()
        service._desk.read(asker)
        assert line.recv(4096) == b"ready\n"
        os.close(service._lock)
        service._lock = place.only_one(service._settings)


def test_who_waits_for_a_file_is_not_forgotten_when_the_configuration_changes(
    service, tmp_path, monkeypatch
):
    """Also while there is no process that fetches: the last one was lost just now."""
    (tmp_path / "global").mkdir()
    make_control(tmp_path)
    started = []

    def refuse(*_arguments):
        started.append(service._fetchers)
        raise ExecuteError("no process to be had")

    monkeypatch.setattr(fetchers, "fork", refuse)
    service._options = service._settings.options
    asker = socket.socket(socket.AF_UNIX)
    OPEN.append(asker)
    asker.connect(resident.socket_path(str(tmp_path), "demo"))
    asker.sendall(f"get\t\tdemo\t{tmp_path}\t{NAME}\n".encode())
    service._desk.accept()
    service._desk.read(next(iter(service._desk.askers.values())))
    for _number in range(2):
        now = time.monotonic()
        service._desk.attend(now)
        service._fetchers.feed(now)
        service._enlist()
    assert len(set(started)) == 2


def test_a_configuration_that_could_not_be_read_is_read_again(service, monkeypatch):
    """That somebody may read a file again changes neither the file nor its time."""
    service._options = service._settings.options
    reloads = [FileOpenError("permission denied")]

    def reloaded(settings):
        if reloads:
            raise reloads.pop()
        return settings

    monkeypatch.setattr(Settings, "reloaded", reloaded)
    service._told_to_reload()
    service._look_around(time.monotonic())
    assert service._broken is not None
    service._look_around(time.monotonic())
    assert service._broken is None
