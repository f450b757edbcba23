# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""expire, interrupted at every step: nothing that is listed is lost, and the next run ends it."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import shutil
import subprocess
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors, log
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import (
    expire,
    info,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
    infofile,
    manifest,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

PEER = "/usr/bin/pgbackrest"

RULE = ("--repo1-retention-full=1",)


class Place:
    """A repository with its configuration."""

    def __init__(self, path, root, cipher_pass=None):
        self.path = path
        self.cipher_pass = cipher_pass
        lines = [
            "[global]",
            f"repo1-path={path}",
            f"lock-path={root}/lock",
            f"log-path={root}",
            "log-level-file=off",
        ]
        if cipher_pass is not None:
            lines += ["repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={cipher_pass}"]
        self.config = root / "pgbackrest.conf"
        self.config.write_text("\n".join([*lines, "[demo]", f"pg1-path={root}/data", ""]))

    def options(self, command, *arguments):
        return load.load(command, [f"--config={self.config}", "--stanza=demo", *arguments], {})

    def expire(self, *arguments):
        return self.expire_all(*arguments).repos[0]

    def expire_all(self, *arguments):
        return expire.run(self.options("expire", *arguments))

    def peer(self, *arguments, code=0):
        done = subprocess.run(
            [PEER, f"--config={self.config}", "--stanza=demo", *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def labels(self):
        (stanza,) = info.run(self.options("info")).stanzas
        return [row["label"] for row in stanza["backup"]]

    def manifests(self):
        """The backups that have one."""
        return [path.parent.name for path in self.path.glob("backup/demo/*/backup.manifest")]

    def tree(self):
        """Every name in the repository, and where the links lead."""
        found = {}
        for path in sorted(self.path.rglob("*")):
            found[str(path.relative_to(self.path))] = (
                os.readlink(path) if path.is_symlink() else path.is_dir()
            )
        return found


def second_set(path, cipher_pass=None):
    """Another full backup with an incremental one, three days later: the same under other names.

    Its WAL is that of the first, which comes to the same as WAL that lies before it.
    """
    storage = PosixStorage(str(path))
    catalogue = backup_info.load(storage, "demo", cipher_pass)
    rename = {name: name.replace("20261122", "20261125") for name in catalogue.backups}
    new = dict(catalogue.backups)
    last = max(entry.archive_stop for entry in new.values())
    later = 3 * 86400
    for old, label in rename.items():
        shutil.copytree(path / "backup/demo" / old, path / "backup/demo" / label, symlinks=True)
        contents = manifest.load(storage, "demo", old, catalogue.cipher_pass)
        facts = contents.backup
        changed = dataclasses.replace(
            contents,
            backup=dataclasses.replace(
                facts,
                label=label,
                prior=rename.get(facts.prior),
                references=tuple(rename[name] for name in facts.references),
                archive_start=last,
                archive_stop=last,
                timestamp_start=facts.timestamp_start + later,
                timestamp_copy_start=facts.timestamp_copy_start + later,
                timestamp_stop=facts.timestamp_stop + later,
            ),
            files=[file._replace(reference=rename.get(file.reference)) for file in contents.files],
        )
        manifest.save(storage, "demo", changed, catalogue.cipher_pass)
        entry = manifest.entry_for(changed)
        new[label] = entry
    backup_info.save(storage, "demo", dataclasses.replace(catalogue, backups=new), cipher_pass)
    latest = path / "backup/demo/latest"
    latest.unlink()
    latest.symlink_to(max(new))
    return sorted(rename), sorted(rename.values())


@pytest.fixture
def place(fixture_repositories, tmp_path):
    """Two sets of two backups each."""
    repository = fixture_repositories["f"].copy_to(tmp_path)
    made = Place(repository.path, tmp_path)
    made.old, made.new = second_set(repository.path)
    return made


@pytest.fixture
def warned():
    """What is logged as a warning."""
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = log.attach(Handler(), "warn")
    yield lines
    log.detach(handler)


class Failing(PosixStorage):
    """A storage whose connection breaks at a change: before it is made, or before it is told."""

    def __init__(self, path, number, *, made):
        super().__init__(path)
        self.number = number
        self.made = made
        self.count = 0

    def _step(self, change):
        self.count += 1
        if self.count < self.number:
            return change()
        if self.count == self.number and self.made:
            change()
        raise errors.TransportLostError("the connection is gone")

    def remove_many(self, paths):
        parent = super().remove_many
        return sum(self._step(lambda path=path: parent([path])) for path in paths)

    def remove_tree(self, path):
        # What lies in it goes piece by piece, too.
        root = os.path.join(self.location, path)
        for directory, _paths, files in os.walk(root, topdown=False):
            for name in sorted(files)[:2]:
                self._step(functools.partial(os.unlink, os.path.join(directory, name)))
        parent = super().remove_tree
        self._step(lambda: parent(path))

    def link(self, target, path):
        parent = super().link
        self._step(lambda: parent(target, path))

    def rename(self, source, target):
        parent = super().rename
        self._step(lambda: parent(source, target))

    def writer(self, path, *, publish, most=0):
        writer = super().writer(path, publish=publish)
        assert publish is Publish.RENAME
        finish = writer.finish
        writer.finish = lambda **wishes: self._step(lambda: finish(**wishes))
        return writer


def steps(place, tmp_path, *arguments):
    """How many changes an expire makes."""
    copy = tmp_path / "counted"
    shutil.copytree(place.path, copy, symlinks=True)
    storage = Failing(str(copy), 10**6, made=True)
    options = place.options("expire", *arguments)
    expire.expire(storage, options, options.repo())
    shutil.rmtree(copy)
    return storage.count


@pytest.mark.parametrize("made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("which", ["retention", pytest.param("newest set", marks=pytest.mark.slow)])
def test_a_crash_at_any_step_loses_nothing_that_is_listed(place, tmp_path, made, which):
    arguments = RULE if which == "retention" else (f"--set={place.new[0]}",)
    stays = place.new if which == "retention" else place.old
    whole = place.path
    total = steps(place, tmp_path, *arguments)
    assert total > 10
    results = set()
    for number in range(1, total + 1):
        copy = Place(tmp_path / "crashed", tmp_path)
        shutil.copytree(whole, copy.path, symlinks=True)
        options = copy.options("expire", *arguments)
        with pytest.raises(errors.TransportLostError):
            expire.expire(Failing(str(copy.path), number, made=made), options, options.repo())
        # What info lists is whole; both tools can read it.
        listed = copy.labels()
        assert set(stays) <= set(listed)
        shown = json.loads(copy.peer("info", "--output=json"))
        assert [row["label"] for row in shown[0]["backup"]] == listed
        checked = verify.run(copy.options("verify"))
        valid = [row.label for row in checked.backups if row.status.value == "valid"]
        assert set(listed) <= set(valid), checked
        # The next run needs no hand; what was named may be gone already.
        again = ("--repo1-retention-full=9",)
        if which == "retention" or place.new[0] in copy.manifests():
            again = arguments
        copy.expire(*again)
        assert copy.labels() == stays
        assert not [name for name in copy.tree() if name.endswith(".pgbackrest.tmp")]
        assert copy.tree()["backup/demo/latest"] == stays[-1]
        results.add(json.dumps(copy.tree()))
        copy.peer("verify")
        shutil.rmtree(copy.path)
    assert len(results) == 1


class Full(PosixStorage):
    """A storage without room until something is removed from it; what was removed, in order."""

    def __init__(self, path):
        super().__init__(path)
        self.removed = []

    def remove_many(self, paths):
        names = list(paths)
        self.removed += names
        return super().remove_many(names)

    def writer(self, path, *, publish, most=0):
        if not self.removed:
            raise errors.StorageFullError("no room is left")
        return super().writer(path, publish=publish)


def test_a_full_repository_is_freed(place):
    """It has no room for a new backup.info either; what is listed until then stays whole."""
    options = place.options("expire", *RULE)
    storage = Full(str(place.path))
    expire.expire(storage, options, options.repo())
    assert place.labels() == place.new
    copies = [f"backup/demo/{label}/backup.manifest.copy" for label in place.old]
    assert sorted(storage.removed[: len(copies)]) == sorted(copies)
    assert not set(place.old) & set(place.manifests())


@pytest.mark.parametrize("days", [0, 1, 100000])
def test_manifests_of_former_backups_go_as_with_the_peer(place, tmp_path, days):
    place.expire(*RULE)
    history = place.path / "backup/demo/backup.history"
    (history / "2020").mkdir()
    shutil.copy(next(history.glob("2026/*")), history / "2020/20200101-000000F.manifest.gz")
    other = Place(tmp_path / "other", tmp_path)
    shutil.copytree(place.path, other.path, symlinks=True)
    rule = (*RULE, f"--repo1-retention-history={days}")
    other.peer("expire", *rule)
    place = Place(place.path, tmp_path)
    before = place.tree()
    dry = place.expire(*rule, "--dry-run")
    assert place.tree() == before
    result = place.expire(*rule)
    assert result.removed_history == dry.removed_history
    assert place.tree() == other.tree()


@pytest.mark.parametrize("rest", [".0123456789abcdef.pgbackrest.tmp", ".pgbackrest.tmp"])
def test_what_a_killed_backup_left_in_the_history_goes_with_what_is_too_old(place, rest):
    days = (time.time() - time.mktime((2020, 6, 1, 0, 0, 0, 0, 0, -1))) // 86400
    year = place.path / "backup/demo/backup.history/2020"
    year.mkdir()
    kept = year / "20200701-000000F.manifest.gz"
    old = year / f"20200501-000000F.manifest.gz{rest}"
    for path in (kept, old):
        path.write_bytes(b"half of")
    result = place.expire(f"--repo1-retention-history={days:.0f}")
    assert list(year.iterdir()) == [kept]
    assert result.removed_history == (str(old.relative_to(place.path)),)


class Racing(PosixStorage):
    """A storage in which another host has begun to expire, too, and is the faster one."""

    def list_many(self, paths):
        paths = list(paths)
        for path in paths:
            if path.endswith("/2020"):
                shutil.rmtree(os.path.join(self.location, path))
        return super().list_many(paths)


def test_two_hosts_may_expire_at_the_same_time(place):
    year = place.path / "backup/demo/backup.history/2020"
    year.mkdir()
    (year / "20200101-000000F.manifest.gz").write_bytes(b"of a former backup")
    options = place.options("expire", *RULE, "--repo1-retention-history=0")
    result = expire.expire(Racing(str(place.path)), options, options.repo())
    assert not year.exists()
    assert place.labels() == place.new
    assert not any("2020" in path for path in result.removed_history)


def test_a_history_of_a_timeline_that_goes_is_a_change(place):
    place.expire(*RULE)
    assert not place.expire(*RULE).changed
    archive = next((place.path / "archive/demo").glob("15-1"))
    # The timeline before the one on which the oldest backup was made.
    old = archive / "00000000.history"
    old.write_text("")
    kept = archive / "00000001.history"
    kept.write_text("")
    dry = place.expire(*RULE, "--dry-run")
    assert dry.changed
    assert old.exists()
    done = place.expire(*RULE)
    assert done.changed
    assert done.removed_timelines == dry.removed_timelines
    assert done.as_dict()["removed_timelines"] == ["archive/demo/15-1/00000000.history"]
    assert not old.exists()
    assert kept.exists()
    assert not place.expire(*RULE).changed


def test_a_directory_of_no_backup_that_goes_is_a_change(place):
    """An earlier expire ended between the manifest of a backup and its files."""
    place.expire(*RULE)
    left = place.path / "backup/demo/20260101-000000F"
    (left / "pg_data").mkdir(parents=True)
    dry = place.expire(*RULE, "--dry-run")
    assert dry.changed
    assert dry.as_dict()["removed_directories"] == [left.name]
    assert left.exists()
    done = place.expire(*RULE)
    assert done.changed
    assert done.removed_directories == dry.removed_directories
    assert not left.exists()
    assert not place.expire(*RULE).changed


def test_a_list_that_is_put_right_is_a_change(place):
    """One backup is not in it, and one of those that are is nowhere."""
    place.expire(*RULE)
    storage = PosixStorage(str(place.path))
    catalogue = backup_info.load(storage, "demo", None)
    full, incr = place.new
    entry = catalogue.backups[incr]
    listed = catalogue.without_backups([incr]).with_backup(
        dataclasses.replace(entry, label=f"{full}_20261231-000000I")
    )
    backup_info.save(storage, "demo", listed, None)
    for dry_run in (True, False):
        result = place.expire(*RULE, *(["--dry-run"] if dry_run else []))
        assert result.changed
        assert result.relisted == (incr, f"{full}_20261231-000000I")
    assert list(backup_info.load(storage, "demo", None).backups) == place.new
    assert not place.expire(*RULE).changed


def test_the_oldest_goes_when_asked(place):
    result = place.expire("--oldest")
    assert [row.label for row in result.verdicts if row.remove] == place.old
    assert place.labels() == place.new
    assert not [row for row in place.expire("--oldest").verdicts if row.remove]


def test_oldest_and_a_named_backup_are_two_wishes(place):
    with pytest.raises(errors.OptionInvalidError):
        place.expire("--oldest", f"--set={place.old[0]}")


def test_a_backup_with_damaged_pages_does_not_end_the_last_good_one(place):
    storage = PosixStorage(str(place.path))
    catalogue = backup_info.load(storage, "demo", None)
    for label in place.new:
        catalogue = catalogue.with_backup(dataclasses.replace(catalogue.backups[label], error=True))
    backup_info.save(storage, "demo", catalogue, None)
    result = place.expire(*RULE)
    assert not any(row.remove for row in result.verdicts)
    assert place.labels() == place.old + place.new
    first = catalogue.backups[place.old[0]].archive_start
    assert result.archives["15-1"].ranges[-1][:2] == (first, None)


def test_each_reason_is_told(place):
    content = place.expire(*RULE, "--dry-run").as_dict()
    assert json.loads(json.dumps(content)) == content
    assert {row["label"]: row["reason"] for row in content["backups"]} == {
        place.old[0]: "older than the newest 1 full backups",
        place.old[1]: f"depends on {place.old[0]}",
        place.new[0]: "within 1 newest full backups",
        place.new[1]: f"its full backup {place.new[0]} stays",
    }
    assert content["archives"]["15-1"] == {
        "reason": f"WAL from {place.new[0]} on is kept",
        "kept": [
            {
                "start": "00000001000000000000000B",
                "stop": None,
                "reason": f"from {place.new[0]} on",
            }
        ],
        "removed": [{"start": "000000010000000000000008", "stop": "00000001000000000000000A"}],
    }
    assert content["dry_run"]
    assert content["changed"]


def test_a_dry_run_is_for_people_to_read(place):
    report = place.expire_all(*RULE, "--dry-run")
    assert report.text.splitlines() == [
        f"repo1: remove backup {place.old[0]}: older than the newest 1 full backups",
        f"repo1: remove backup {place.old[1]}: depends on {place.old[0]}",
        f"repo1: keep   backup {place.new[0]}: within 1 newest full backups",
        f"repo1: keep   backup {place.new[1]}: its full backup {place.new[0]} stays",
        f"repo1: keep   WAL 15-1 from 00000001000000000000000B: from {place.new[0]} on",
        "repo1: remove WAL 15-1 000000010000000000000008 to 00000001000000000000000A: "
        f"WAL from {place.new[0]} on is kept",
        "nothing was removed: this is a dry run",
    ]
    # A real run tells it in its log.
    assert place.expire_all(*RULE).text == ""


def test_a_backup_that_is_nowhere(place):
    with pytest.raises(errors.BackupSetInvalidError, match="is not valid"):
        place.expire("--set=20200101-000000F")


@pytest.mark.parametrize("wanted", ["latest", "20200101-000000", "20200101-000000F\n"])
def test_what_is_no_label_is_told_as_the_peer_tells_it(place, wanted):
    """It is a slip of who typed it, and says nothing of the repository."""
    with pytest.raises(errors.OptionInvalidValueError, match="not a valid backup label format"):
        expire.run(place.options("expire", f"--set={wanted}"))


def test_the_last_full_backup_is_not_removed_even_by_name(place):
    place.expire(*RULE)
    with pytest.raises(errors.BackupSetInvalidError, match="until another full backup"):
        place.expire(f"--set={place.new[0]}")


def test_the_last_full_backup_of_a_former_cluster_stays_while_the_new_one_has_none(place):
    """After stanza-upgrade it is all that there is."""
    storage = PosixStorage(str(place.path))
    archive = archive_info.load(storage, "demo", None)
    catalogue = backup_info.load(storage, "demo", None)
    row = catalogue.current._replace(system_id=catalogue.current.system_id + 1)
    archive_info.save(storage, "demo", archive.upgraded(row.system_id, row.version), None)
    backup_info.save(storage, "demo", catalogue.upgraded(row), None)
    place.expire(f"--set={place.old[0]}")
    with pytest.raises(errors.BackupSetInvalidError, match="until another full backup"):
        place.expire(f"--set={place.new[0]}")
    assert place.labels() == place.new


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--repo1-retention-archive-type=incr",), "'repo1-retention-archive' is not set"),
        (
            ("--repo1-retention-archive-type=diff",),
            "neither option 'repo1-retention-archive' nor option 'repo1-retention-diff' is set",
        ),
        (("--repo1-retention-archive-type=diff", "--repo1-retention-diff=1"), None),
        (("--repo1-retention-archive-type=incr", "--repo1-retention-archive=1"), None),
        ((), None),
    ],
)
def test_wal_that_never_goes_is_warned_of(place, warned, arguments, said):
    place.expire(*RULE, *arguments)
    if said is None:
        assert warned == []
    else:
        (line,) = warned
        assert line.startswith("WAL segments will not be expired: ")
        assert line.endswith(said)


def test_the_newest_backup_goes_by_name_with_a_warning(place, warned):
    place.expire("--repo1-retention-full=2", f"--set={place.old[1]}")
    assert warned == []
    place.expire("--repo1-retention-full=2", f"--set={place.new[1]}")
    (line,) = warned
    assert line.startswith(f"repo1: expiring latest backup {place.new[1]} - ")


def test_one_repository_that_is_down_keeps_no_other_from_being_expired(place, tmp_path):
    second = tmp_path / "second"
    text = place.config.read_text().replace(
        "[demo]", f"repo2-path={second}\nrepo1-retention-full=1\nrepo2-retention-full=1\n[demo]"
    )
    place.config.write_text(text)
    with pytest.raises(errors.CommandError) as caught:
        expire.run(place.options("expire"))
    assert caught.value.message.startswith("repo2: unable to ")
    assert "stanza-create" in caught.value.hint
    assert place.labels() == place.new
    shutil.copytree(place.path, second, symlinks=True)
    assert [row.repo for row in expire.run(place.options("expire")).repos] == [1, 2]


def test_info_that_does_not_fit_the_archive_stops_before_wal_is_removed(place):
    path = place.path / "archive/demo/archive.info"
    document = infofile.parse(path.read_text())
    sections = {name: dict(rows) for name, rows in document.sections.items()}
    sections["db:history"]["1"]["db-id"] = 5
    for name in ("archive.info", "archive.info.copy"):
        (path.parent / name).write_text(infofile.render(sections))
    before = [name for name in place.tree() if name.startswith("archive/")]
    with pytest.raises(errors.FormatError, match="history lists do not match"):
        place.expire(*RULE)
    assert [name for name in place.tree() if name.startswith("archive/")] == before


def test_what_a_killed_push_left_goes_when_it_is_old(place):
    kept = max(place.path.glob("archive/demo/15-1/*/*-*"))
    histories = kept.parents[1]
    (histories / "00000002.history").write_bytes(b"x")
    old = [
        kept.with_name(f"{kept.name}.0123456789abcdef.pgbackrest.tmp"),
        kept.with_name(f"{kept.name}.pgbackrest.tmp"),  # the peer's
        histories / "00000002.history.0123456789abcdef.pgbackrest.tmp",
    ]
    young = kept.with_name(f"{kept.name}.fedcba9876543210.pgbackrest.tmp")
    for path in (*old, young):
        path.write_bytes(b"half of it")
    for path in old:
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    place.expire(*RULE, "--dry-run")
    assert all(path.exists() for path in old)
    place.expire(*RULE)
    assert not any(path.exists() for path in old)
    assert young.exists()
    assert kept.exists()
    assert (histories / "00000002.history").exists()
