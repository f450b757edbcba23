# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both tools say the same of several repositories that differ, or of which some are damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.fixtures import fixture_repositories
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

__all__ = ["fixture_repositories"]

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("pgbackrest")]

FULL = "20261122-113137F"
INCR = "20261122-113137F_20261122-113142I"


def upgraded(repo: Path) -> None:
    """After a stanza-upgrade to another cluster."""
    storage = PosixStorage(str(repo))
    archive = archive_info.load(storage, "demo", None).upgraded(99, "16")
    storage.wait(archive_info.begin_save(storage, "demo", archive, None))
    only_backups_upgraded(repo)


def only_backups_upgraded(repo: Path) -> None:
    """As the half of a stanza-upgrade would leave it."""
    storage = PosixStorage(str(repo))
    info = backup_info.load(storage, "demo", None)
    storage.wait(
        backup_info.begin_save(
            storage, "demo", info.upgraded(BackupDb(0, 99, "16", 202209061, 1300)), None
        )
    )


def of_another_stanza(repo: Path) -> None:
    """There are backups, of another cluster."""
    for kind in ("archive", "backup"):
        (repo / kind / "demo").rename(repo / kind / "other")


def without_the_incremental(repo: Path) -> None:
    """As after an expire with another retention."""
    storage = PosixStorage(str(repo))
    info = backup_info.load(storage, "demo", None)
    storage.wait(backup_info.begin_save(storage, "demo", info.without_backups({INCR}), None))
    shutil.rmtree(repo / "backup/demo" / INCR)


def without_archive_info(repo: Path) -> None:
    """Damage."""
    for path in (repo / "archive/demo").glob("archive.info*"):
        path.unlink()


def without_backups(repo: Path) -> None:
    """Only WAL is there."""
    shutil.rmtree(repo / "backup/demo")


def with_a_spoilt_manifest(repo: Path) -> None:
    """Both copies of it."""
    for path in (repo / "backup/demo" / FULL).glob("backup.manifest*"):
        path.write_text("[backup]\n", encoding="utf-8")


def not_to_be_read(repo: Path) -> None:
    """By whoever runs the command."""
    for kind in ("archive", "backup"):
        (repo / kind).chmod(0)


def behind_a_link(repo: Path) -> None:
    """The stanza's directory of backups is elsewhere."""
    moved = repo / "moved"
    (repo / "backup/demo").rename(moved)
    (repo / "backup/demo").symlink_to(moved)


def as_it_was(_repo: Path) -> None:
    """Nothing."""


State = t.Callable[[Path], None]

STATES: tuple[tuple[State, ...], ...] = (
    (as_it_was, of_another_stanza),
    (of_another_stanza, as_it_was),
    (as_it_was, not_to_be_read),
    (not_to_be_read, not_to_be_read),
    (upgraded, as_it_was),
    (as_it_was, upgraded),
    (upgraded, as_it_was, without_archive_info),
    (upgraded,),
    (only_backups_upgraded,),
    (as_it_was, only_backups_upgraded),
    (as_it_was, without_the_incremental),
    (without_archive_info, without_archive_info),
    (as_it_was, without_archive_info),
    (without_backups,),
    (as_it_was, without_backups),
    (with_a_spoilt_manifest,),
    (as_it_was, with_a_spoilt_manifest),
    (behind_a_link,),
)

FAST = STATES[::4]

ASKED = (
    [],
    ["--stanza=demo"],
    ["--stanza=demo", f"--set={INCR}"],
    ["--stanza=demo", f"--set={FULL}"],
)


@pytest.fixture
def place() -> t.Iterator[Path]:
    """A directory that the owner of clusters may read."""
    made = Path(tempfile.mkdtemp(prefix="pgsftp-several-"))
    yield made
    shutil.rmtree(made)


def info(command: Path, config: str, words: t.Sequence[str]) -> str:
    owner: dict[str, t.Any] = {}
    if os.geteuid() == 0:
        owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
    done = subprocess.run(
        [str(command), config, *words, "info"],
        capture_output=True, text=True, check=False, cwd="/",
        env={"PATH": os.environ["PATH"], "TZ": "UTC"}, **owner,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_CANNOT = re.compile("PathOpen|FileOpen")


def without_words(stanzas: t.Any) -> t.Any:
    """Without the text of errors, which is each tool's own; its first word is the class."""
    for stanza in stanzas:
        for repo in stanza["repo"]:
            if repo["status"]["code"] == 99:
                kind = repo["status"]["message"].split()[0]
                # What may not be read has a class of its own here.
                repo["status"]["message"] = _CANNOT.sub("Access", kind)
    return stanzas


def outline(text: str) -> list[str]:
    """What is the same in every version: the status, where backups are, and the range of WAL."""
    known = ("stanza:", "status:", "cipher:", "repo", "db (", "wal archive", "[", "full", "incr")
    lines = []
    for line in text.splitlines():
        word = line.strip()
        if word.startswith(known) and "backup size" not in word:
            indent = line[: len(line) - len(word)]
            kind = _CANNOT.sub("Access", word.split()[0])
            lines.append(indent + kind if word.startswith("[") else line)
    return lines


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(
            states,
            id="-".join(state.__name__ for state in states),
            marks=[] if states in FAST else [pytest.mark.slow],
        )
        for states in STATES
    ],
)
def test_both_say_the_same(states, place, host_command, fixture_repositories):
    words = [f"--lock-path={place}/lock", "--log-level-file=off"]
    for number, state in enumerate(states, 1):
        repo = fixture_repositories["a"].copy_to(place / str(number)).path
        state(repo)
        words.append(f"--repo{number}-path={repo}")
    for path in (place, *place.rglob("*")):
        if not path.is_symlink():
            own(path)
    tools = ((host_command, "--config=/dev/null"), (peer.COMMAND, "--no-config"))
    for asked in ASKED:
        ours, theirs = (
            without_words(json.loads(info(*tool, [*words, *asked, "--output=json"])))
            for tool in tools
        )
        assert peer.shared(ours, theirs) == theirs, asked
        texts = [outline(info(*tool, [*words, *asked])) for tool in tools]
        assert texts[0] == texts[1], asked
