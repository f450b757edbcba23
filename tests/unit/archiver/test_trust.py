# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long-lived process gets ready anew once what it was ready with was refused."""

from __future__ import annotations

import queue
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    crew,
    fetcher,
    worker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    HostConnectError,
    ServiceError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import Opener

NAME = "000000010000000000000001"


class Ready(Opener):
    """What ``prepare`` made; ``says`` is what a server says to it."""

    def __init__(self, says):
        super().__init__()
        self.says = says

    def open(self, generation=0):
        raise self.says


@pytest.fixture
def repo(tmp_path):
    sftp = SftpOptions(host="sftp-srv", user="u", private_key_file="key", rate_limit=1000)
    return RepoOptions(key=1, type="sftp", path=str(tmp_path), sftp=sftp)


@pytest.fixture
def options(tmp_path, repo):
    return Options("archiver", stanza="demo", pgs=(PgOptions(path=str(tmp_path)),), repos=(repo,))


@pytest.fixture
def prepared(monkeypatch):
    """What was prepared, in turn: the limits they share; ``says`` is what the next one is told."""

    class Prepared(list):
        says = ServiceError("host key has changed")

        def __call__(self, repo, *, io_timeout, limit):
            self.append(limit)
            if isinstance(self.says, OSError):
                raise ServiceError("unable to read private key")
            return Ready(self.says)

    made = Prepared()
    monkeypatch.setattr(crew, "prepare", made)
    monkeypatch.setattr(fetcher, "prepare", made)
    return made


@pytest.fixture
def some(options, repo, prepared, monkeypatch):
    def serve(connection, work):
        try:
            work.opener.open()
        except (HostConnectError, ServiceError) as error:
            connection.send(worker.Lost(error))

    monkeypatch.setattr(worker, "serve", serve)
    monkeypatch.setattr(crew, "backoff", lambda count, share: 0.0)
    made = crew.Crew(options, repo, lambda: None)
    made.queue.ask(NAME)
    yield made
    made.close()


def lose(some):
    """Have a worker come, and go."""
    deadline = time.monotonic() + 10
    some.feed(time.monotonic() + 1)
    while some.connections:
        assert time.monotonic() < deadline
        for connection in some.connections:
            if connection.poll(0.05):
                some.receive(connection, time.monotonic())


def test_a_crew_that_was_refused_gets_ready_anew(some, prepared):
    lose(some)
    lose(some)
    assert len(prepared) == 2
    # Workers of before and after share what the repository may be sent.
    assert prepared[0] is not None
    assert prepared[0] is prepared[1]


def test_a_crew_that_lost_a_session_stays_ready(some, prepared):
    prepared.says = HostConnectError("lost")
    lose(some)
    lose(some)
    assert len(prepared) == 1


@pytest.fixture
def fetching(options, tmp_path, prepared, monkeypatch):
    monkeypatch.setattr(fetcher.control, "load", lambda path: None)
    begun = []

    def fetch():
        if not begun:
            inbox = queue.SimpleQueue()
            begun.append(fetcher._Fetcher(None, inbox, options, str(tmp_path), {1: None}))
        (made,) = begun
        made._take(fetcher.Wanted(NAME, True))
        return made._fetch(made._begun.pop(0)).failure.error.message

    return fetch


def test_a_fetcher_that_was_refused_gets_ready_anew(fetching, prepared):
    assert "has changed" in fetching()
    prepared.says = ServiceError("password refused")
    assert "password refused" in fetching()


def test_a_fetcher_that_could_not_get_ready_tries_again(fetching, prepared):
    prepared.says = OSError()
    assert "unable to read private key" in fetching()
    prepared.says = ServiceError("password refused")
    assert "password refused" in fetching()


def test_a_fetcher_that_lost_a_session_stays_ready(fetching, prepared):
    prepared.says = HostConnectError("lost")
    fetching()
    fetching()
    assert len(prepared) == 1
