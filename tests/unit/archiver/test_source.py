# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that does not answer keeps nobody waiting who does not need it."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import source
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    HostConnectError,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import Opener


class Line(Opener):
    """Opens when the test lets it."""

    def __init__(self):
        self.tries = 0
        self.error = None
        self.answers = threading.Event()

    def open(self, generation=0):
        self.tries += 1
        assert self.answers.wait(10)
        if self.error is not None:
            raise self.error
        return Session()


class Session:
    """A session that is lost as soon as anything is asked."""

    def close(self):
        pass

    def __getattr__(self, name):
        raise HostConnectError("lost")


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(source.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def made(line, clock):
    return source.Source(Options("archive-get", stanza="demo"), RepoOptions(key=1), line)


def test_what_is_silent_is_waited_for_once_and_asked_once(made, line):
    assert not made.open(0.05)
    # Nobody waits any more, however patient.
    assert not made.open(3600)
    assert line.tries == 1
    line.answers.set()
    assert made.open(None)
    assert line.tries == 1


def test_what_failed_is_left_alone_for_a_while_unless_it_is_needed(made, line, clock):
    line.error = HostConnectError("no way there")
    line.answers.set()
    with pytest.raises(HostConnectError, match="no way there"):
        made.open(5)
    assert not made.open(5)
    assert line.tries == 1
    # Before it is said that nobody has the file, this one is asked, too.
    with pytest.raises(HostConnectError, match="no way there"):
        made.open(None)
    assert line.tries == 2
    clock.now += source.PAUSE
    line.answers.clear()
    assert not made.open(5)
    line.error = None
    line.answers.set()
    assert made.open(None)
    assert line.tries == 3


def test_a_lost_session_is_opened_again_beside_what_else_is_done(made, line):
    line.answers.set()
    assert made.open(5)
    line.answers.clear()
    with pytest.raises(HostConnectError, match="lost"):
        made.start("000000010000000000000001", None)
    assert not made.is_open
    assert not made.open(3600)
    assert line.tries == 2
    line.answers.set()
    assert made.open(None)
