# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archive-get is told, and when, while nobody brings the file."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import resident
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.desk import Asker, Desk
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.getting import Getting
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.prefetch import (
    Failure,
    Prefetch,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ChecksumError,
    HostConnectError,
)

NAME = "000000010000000000000001"
SIZE = 1 << 20


class Line:
    """The connection of who asks, which keeps what he was told."""

    def __init__(self):
        self.said = b""
        self.closed = False

    def send(self, data):
        self.said += data

    def close(self):
        self.closed = True


class Selector:
    def unregister(self, connection):
        pass


class Fetchers:
    """Nobody fetches: a test says what came of it."""

    def __init__(self):
        self.rules = Prefetch()

    def ask(self, name, now):
        self.rules.ask(name, SIZE, 4, now)


class Asking:
    def __init__(self, tmp_path, **options):
        self.options = Options(
            command="archive-get",
            stanza="demo",
            pgs=(PgOptions(path=str(tmp_path)),),
            archive_timeout=20.0,
            io_timeout=5.0,
            **options,
        )
        desk = Desk(None, Selector(), lambda asker, words: None)
        self.fetchers = Fetchers()
        self.getting = Getting(desk, lambda: self.fetchers, lambda: self.options)
        self.line = Line()
        self.asker = Asker(self.line, 0.0)
        desk.askers[self.line] = self.asker
        self.getting.begin(self.asker, NAME, 0.0)

    def told(self, now):
        """What he is told then."""
        self.line.said = b""
        self.asker.attend(self.asker, now)
        return self.line.said.decode()


@pytest.fixture
def asking(tmp_path):
    return Asking(tmp_path)


def test_who_waits_in_vain_is_left_alone_when_every_bound_has_passed(asking):
    # Whoever fetches is bound by io-timeout twice; this one hangs for another reason.
    for now in range(1, 31):
        assert asking.told(now * resident.BEAT) == "."
    assert asking.told(30.5) == "alone it has not brought the file within 30 seconds\n"
    assert asking.line.closed


def fail(asking, now, error, may_pass):
    asking.fetchers.rules.next(4)
    asking.fetchers.rules.failed(NAME, Failure(error, may_pass), now)
    return asking.told(now)


AWAY = HostConnectError("no way there")


def test_a_recovery_looks_again_until_its_bound_and_is_then_stopped(asking, tmp_path):
    (tmp_path / "recovery.signal").touch()
    for now in (0.1, 5.0, 19.9):
        assert fail(asking, now, AWAY, True) == ""
        assert not asking.fetchers.rules.is_decided(NAME)
    text = fail(asking, 20.0, AWAY, True)
    assert text.startswith("exit 200 ERROR: [049]: no way there; given up after 20s")


def test_a_standby_is_sent_away_at_once_to_ask_again(asking, tmp_path):
    (tmp_path / "standby.signal").touch()
    text = fail(asking, 0.1, AWAY, True)
    assert text == "exit 1 WARN: no way there; the standby will ask again\n"


@pytest.mark.parametrize(("signal_file", "code"), [("recovery.signal", 200), (None, 26)])
def test_what_will_not_pass_is_told_at_once(asking, tmp_path, signal_file, code):
    if signal_file:
        (tmp_path / signal_file).touch()
    text = fail(asking, 0.1, ChecksumError("damaged"), False)
    assert text == f"exit {code} ERROR: [026]: damaged\n"


def test_absent_is_absent_for_whoever_asks(asking, tmp_path):
    (tmp_path / "recovery.signal").touch()
    asking.fetchers.rules.next(4)
    asking.fetchers.rules.absent(NAME, 0.1)
    assert asking.told(0.1) == "exit 1 \n"
