# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line per change of state and per minute, and not per file, however many are refused."""

from __future__ import annotations

import dataclasses
import logging
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import log
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    fetcher,
    watch,
    worker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.crew import (
    Crew,
    _Worker,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.desk import Asker
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.fetchers import (
    Fetchers,
    _Fetcher,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.getting import Getting
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.prefetch import Failure
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.queue import Identity
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.settings import Settings
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    ArchiveMismatchError,
    FileWriteError,
    HostConnectError,
    RepoInvalidError,
)

FULL = FileWriteError("unable to write: no space left")


class Lines(logging.Handler):
    """What the log has from level info on."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())

    def taken(self):
        said, self.said = self.said, []
        return said


@pytest.fixture
def lines():
    handler = log.attach(Lines(), "info")
    yield handler
    log.detach(handler)


class Line:
    """A process's connection with one message in it."""

    message = None

    def recv(self):
        return self.message


class Process:
    def __init__(self):
        self.connection = Line()


@pytest.fixture
def options(tmp_path):
    status = tmp_path / "pg_wal" / "archive_status"
    status.mkdir(parents=True)
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    return Options(
        command="archive-push",
        stanza="demo",
        spool_path=str(tmp_path / "spool"),
        pgs=(PgOptions(path=str(tmp_path)),),
        repos=(RepoOptions(key=1),),
    )


@pytest.fixture
def crew(options):
    made = Crew(options, options.repos[0], lambda: None)
    made._workers.append(_Worker(Process(), False))
    return made


def tell(crew, message):
    (process,) = crew._workers
    process.connection.message = message
    crew.receive(process.connection, 0.0)


def name(number):
    return f"0000000100000000000000{number:02X}"


def refuse(crew, count, error=FULL):
    for number in range(count):
        tell(crew, worker.Refused(name(number), error))


def test_a_thousand_refusals_of_one_kind_are_one_line(crew, lines):
    refuse(crew, 1000)
    assert lines.taken() == ["repo1: unable to write: no space left"]
    # Another cause is news.
    refuse(crew, 1000, ArchiveMismatchError("another cluster"))
    refuse(crew, 1000)
    assert lines.taken() == ["repo1: another cluster"]


def test_the_minute_counts_them_and_well_again_the_next_is_news(crew, options, lines, tmp_path):
    settings = Settings(options, options, options, Settings.of_files(options))
    made = watch.Watch(settings, [crew], 0.0)
    ready = tmp_path / "pg_wal" / "archive_status" / f"{name(0)}.ready"
    ready.touch()
    refuse(crew, 3)
    made._summarize()
    assert lines.taken()[1:] == ["repo1: 0 WAL files stored, 1 to go, 3 refused"]
    refuse(crew, 1)
    made._summarize()
    made._summarize()
    # Nothing was refused, and nothing stored either: it is as full as it was.
    refuse(crew, 1)
    assert lines.taken() == [
        "repo1: 0 WAL files stored, 1 to go, 1 refused",
        "repo1: 0 WAL files stored, 1 to go",
    ]
    tell(crew, worker.Stored(name(0), Identity(1, 2, 3), True))
    made._summarize()
    made._summarize()
    ready.unlink()
    made._summarize()
    lines.taken()
    refuse(crew, 1)
    assert lines.taken() == ["repo1: unable to write: no space left"]


def test_what_somebody_else_has_stored_is_told_once_a_minute(crew, options, lines):
    """Two servers that archive to one stanza, where the copies happen to be the same."""
    made = watch.Watch(Settings(options, options, options, Settings.of_files(options)), [crew], 0.0)
    ours, theirs = name(1), [name(number) for number in (2, 3, 4)]
    crew.queue.follow([ours], 0.0)
    crew.queue.follow([ours, *theirs], 0.0)

    def there(*names):
        for row in names:
            tell(crew, worker.Stored(row, Identity(1, 2, 3), False))

    # It was ready when we came: who was here before has stored it.
    there(ours, "00000002.history")
    assert lines.taken() == []
    there(*theirs[:2])
    assert lines.taken() == [
        f"WAL file '{theirs[0]}' already exists in the repo1 archive with the same checksum\n"
        "HINT: this is valid in some recovery scenarios but may also indicate a problem."
    ]
    made._summarize()
    there(theirs[2])
    assert len(lines.taken()) == 1


def test_who_wants_no_check_of_the_mode_hears_nothing_of_it(options, lines):
    quiet = dataclasses.replace(options, archive_mode_check=False)
    crew = Crew(quiet, quiet.repos[0], lambda: None)
    crew._workers.append(_Worker(Process(), False))
    crew.queue.follow([], 0.0)
    tell(crew, worker.Stored(name(1), Identity(1, 2, 3), False))
    assert lines.taken() == []


def test_metrics_that_cannot_be_written_are_said_again_when_they_could_meanwhile(
    crew, options, lines, tmp_path
):
    directory = tmp_path / "metrics"
    own = dataclasses.replace(options, archiver_metrics_path=str(directory))
    made = watch.Watch(Settings(own, options, options, Settings.of_files(own)), [crew], 0.0)
    file = directory / "pgsftp_archiver_demo.prom"
    for turn in range(2):
        made.look((4 * turn + 1) * watch.METRICS)
        made.look((4 * turn + 2) * watch.METRICS)
        assert lines.taken() == [f"unable to write '{file}': No such file or directory"]
        directory.mkdir()
        made.look((4 * turn + 3) * watch.METRICS)
        assert file.exists()
        made.close()
        directory.rmdir()


class Desk:
    def __init__(self):
        self.answers = []

    def answer(self, asker, line):
        self.answers.append(line)


def test_what_a_standby_polls_for_and_is_not_there_is_no_news(options, lines):
    desk = Desk()
    fetchers = Fetchers(options, lambda: None)
    getting = Getting(desk, lambda: fetchers, lambda: options)
    getting._decide(Asker(None, 0.0), None, 0.0)
    assert desk.answers == ["exit 1 "]
    assert lines.taken() == []


def hear(fetchers, message):
    (row,) = fetchers._fetchers
    row.process.connection.message = message
    fetchers.receive(row.process.connection, 0.0)


@pytest.mark.parametrize("repos", [1, 2])
def test_a_repository_out_of_reach_is_said_once_while_files_come_from_the_other(
    options, lines, repos
):
    options = dataclasses.replace(
        options, repos=tuple(RepoOptions(key=number + 1) for number in range(repos))
    )
    fetchers = Fetchers(options, lambda: None)
    fetchers._fetchers.append(_Fetcher(Process()))
    away = Failure(HostConnectError("no way there"), True)
    # Nobody waits for that one.
    hear(fetchers, fetcher.Failed(name(8), away))
    assert lines.taken() == []
    fetchers.rules.wait(name(9))
    for _number in range(3):
        hear(fetchers, fetcher.Failed(name(9), away))
    assert lines.taken() == [f"unable to fetch {name(9)}: no way there"]
    for _number in range(3):
        hear(fetchers, fetcher.Got(name(1), 2, 1))
        if repos == 2:
            hear(fetchers, fetcher.Failed(name(9), away))
    assert lines.taken() == (["the archive is reached again"] if repos == 1 else [])
    hear(fetchers, fetcher.Absent(name(9)))
    assert lines.taken() == (["the archive is reached again"] if repos == 2 else [])


def test_a_damaged_file_that_is_asked_for_again_and_again_is_said_once(options, lines):
    fetchers = Fetchers(options, lambda: None)
    fetchers._fetchers.append(_Fetcher(Process()))
    fetchers.rules.wait(name(1))
    for _number in range(3):
        hear(fetchers, fetcher.Failed(name(1), Failure(RepoInvalidError("damaged"), False)))
        hear(fetchers, fetcher.Got(name(2), 1, 1))
    assert lines.taken() == [f"unable to fetch {name(1)}: damaged"]
