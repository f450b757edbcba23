# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""annotate, start, stop, stanza-delete, stanza-upgrade, repo-ls, repo-get and manifest."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import cli, errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import (
    annotate,
    info,
    manifest,
    repo_files,
    stanza_delete,
    stanza_upgrade,
    stop,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.control import (
    ControlData,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
    lock,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage

PEER = "/usr/bin/pgbackrest"


@pytest.fixture
def site(fixture_repositories, tmp_path):
    """Make the configuration of a private copy of a repository."""

    def make(letter):
        repository = fixture_repositories[letter].copy_to(tmp_path)
        lines = [
            "[global]",
            f"repo1-path={repository.path}",
            f"lock-path={tmp_path}/lock",
            f"log-path={tmp_path}",
            "log-level-file=off",
        ]
        if repository.cipher_pass is not None:
            lines += [
                "repo1-cipher-type=aes-256-cbc",
                f"repo1-cipher-pass={repository.cipher_pass}",
            ]
        lines += ["[demo]", f"pg1-path={tmp_path}/data", ""]
        config = tmp_path / "pgbackrest.conf"
        config.write_text("\n".join(lines))
        return Place(repository, config, tmp_path)

    return make


class Place:
    """A repository and its configuration."""

    def __init__(self, repository, config, root):
        self.repository = repository
        self.config = config
        self.root = root
        self.labels = [row["label"] for row in repository.expected["info"][0]["backup"]]

    def options(self, command, *arguments, stanza="demo"):
        given = [] if stanza is None else [f"--stanza={stanza}"]
        return load.load(command, [f"--config={self.config}", *given, *arguments], {})

    def peer(self, *arguments):
        """What stock pgBackRest says."""
        done = subprocess.run(
            [PEER, f"--config={self.config}", "--stanza=demo", *arguments],
            check=True,
            capture_output=True,
        )
        return done.stdout


# annotate


def test_annotations_are_added_changed_and_removed(site):
    place = site("b")
    before = dict(
        annotate.run(
            place.options("annotate", "--annotation=x=1", f"--set={place.labels[0]}")
        ).annotation
    )
    assert before["x"] == "1"
    assert len(before) == 3
    result = annotate.run(
        place.options(
            "annotate", "--annotation=x=", "--annotation=y=a = b", f"--set={place.labels[0]}"
        )
    )
    assert result.changed
    assert "x" not in result.annotation
    assert result.annotation["y"] == "a = b"
    (row,) = [
        row
        for row in json.loads(place.peer("info", "--output=json"))[0]["backup"]
        if row["label"] == place.labels[0]
    ]
    assert row["annotation"] == dict(result.annotation)


def test_what_does_not_change_is_not_written(site):
    place = site("a")
    path = place.repository.path / "backup" / "demo" / "backup.info"
    before = path.stat().st_ino
    result = annotate.run(
        place.options("annotate", "--annotation=none=", f"--set={place.labels[0]}")
    )
    assert not result.changed
    assert path.stat().st_ino == before


def test_a_backup_to_annotate_that_is_not_there(site):
    place = site("a")
    with pytest.raises(errors.BackupSetInvalidError, match="no backup set to annotate found"):
        annotate.run(place.options("annotate", "--annotation=a=b", "--set=20200101-000000F"))
    with pytest.raises(errors.OptionInvalidValueError, match="not a valid backup label"):
        annotate.run(place.options("annotate", "--annotation=a=b", "--set=newest"))


# start and stop


def test_a_stopped_stanza_is_stopped_for_both_tools(site):
    place = site("a")
    assert stop.stop(place.options("stop")).changed
    assert not stop.stop(place.options("stop")).changed
    done = subprocess.run(
        [PEER, f"--config={place.config}", "--stanza=demo", "--repo1-retention-full=9", "expire"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == errors.StopError.code
    assert stop.start(place.options("start")).changed
    assert not stop.start(place.options("start")).changed
    place.peer("stop")
    with pytest.raises(errors.StopError, match="for stanza demo"):
        lock.check_stop(str(place.root / "lock"), "demo")
    assert stop.start(place.options("start")).changed


def test_all_stanzas(site):
    place = site("a")
    stop.stop(place.options("stop", stanza=None))
    with pytest.raises(errors.StopError, match="for all stanzas"):
        lock.check_stop(str(place.root / "lock"), "demo")


HOLDER = """
import fcntl, json, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o640)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.write(descriptor, json.dumps({"execId": "1-a", "pid": os.getpid()}).encode())
print("held", flush=True)
time.sleep(60)
"""


def test_force_ends_who_holds_a_lock_and_nobody_else(site):
    place = site("a")
    directory = place.root / "lock"
    directory.mkdir()
    (directory / "demo-archive-1.lock").write_text(json.dumps({"pid": os.getpid()}))
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(directory / name)], stdout=subprocess.PIPE
        )
        for name in ("demo-backup-1.lock", "demo-2-backup-1.lock")
    ]
    try:
        for holder in holders:
            holder.stdout.readline()
        result = stop.stop(place.options("stop", "--force"))
        assert result.terminated == (holders[0].pid,)
        assert holders[0].wait(10) == -signal.SIGTERM
        assert holders[1].poll() is None
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            holder.stdout.close()


# stanza-delete


def everything(path):
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_a_stanza_is_removed_and_nothing_else(site):
    place = site("b")
    other = place.repository.path / "backup" / "other" / "backup.info"
    other.parent.mkdir()
    other.write_text("not ours")
    stop.stop(place.options("stop"))
    result = stanza_delete.run(place.options("stanza-delete"))
    assert result.changed
    assert list(result.backups) == sorted(place.labels)
    assert everything(place.repository.path) == [
        "archive",
        "backup",
        "backup/other",
        "backup/other/backup.info",
    ]
    assert not (place.root / "lock" / "demo.stop").exists()
    assert not stanza_delete.run(place.options("stanza-delete")).changed


def test_without_a_stop_file_nothing_is_removed(site):
    place = site("a")
    before = everything(place.repository.path)
    with pytest.raises(errors.FileMissingError, match="stop file does not exist"):
        stanza_delete.run(place.options("stanza-delete"))
    assert everything(place.repository.path) == before


def test_a_stanza_whose_cluster_runs_is_removed_only_by_force(site):
    place = site("a")
    (place.root / "data").mkdir()
    (place.root / "data" / "postmaster.pid").write_text("1\n")
    stop.stop(place.options("stop"))
    with pytest.raises(errors.PostgresRunningError):
        stanza_delete.run(place.options("stanza-delete"))
    assert stanza_delete.run(place.options("stanza-delete", "--force")).changed


class Failing(PosixStorage):
    """A storage that fails at one operation and at all after it."""

    def __init__(self, path, number):
        super().__init__(path)
        self.left = number

    def _count(self):
        self.left -= 1
        if self.left < 0:
            raise errors.TransportLostError("the connection is gone")

    def remove_many(self, paths):
        found = 0
        for path in paths:
            self._count()
            found += super().remove_many([path])
        return found

    def remove_tree(self, path):
        self._count()
        super().remove_tree(path)


@pytest.mark.parametrize("number", range(0, 20, 3))
def test_an_interrupted_removal_leaves_no_stanza_and_is_completed_by_the_next(site, number):
    place = site("b")
    try:
        stanza_delete.delete(Failing(str(place.repository.path), number), "demo")
    except errors.TransportLostError:
        assert everything(place.repository.path / "backup" / "demo")
    shown = info.run(place.options("info"))
    assert number == 0 or shown.stanzas[0]["status"]["code"] != 0
    stop.stop(place.options("stop"))
    stanza_delete.run(place.options("stanza-delete"))
    assert everything(place.repository.path) == ["archive", "backup"]


# stanza-upgrade


def control(system_id, version):
    return ControlData(
        system_id=system_id,
        control_version=1300,
        catalog_version=202307071,
        version=version,
        state=1,
        checkpoint=0,
        redo=0,
        timeline=1,
        min_recovery_point=0,
        backup_start_point=0,
        page_size=8192,
        wal_segment_size=1 << 20,
        data_checksums=True,
    )


def upgraded(place, new):
    storage = PosixStorage(str(place.repository.path))
    secret = place.repository.cipher_pass
    repo = place.options("info").repo()
    changed = stanza_upgrade.upgrade(storage, repo, "demo", new)
    return (
        changed,
        archive_info.load(storage, "demo", secret),
        backup_info.load(storage, "demo", secret),
    )


@pytest.mark.parametrize("letter", ["a", "c"])
def test_an_upgrade_adds_to_the_history_and_keeps_all_else(site, letter):
    place = site(letter)
    storage = PosixStorage(str(place.repository.path))
    before = backup_info.load(storage, "demo", place.repository.cipher_pass)
    changed, archive, backup = upgraded(place, control(77, "16"))
    assert changed
    assert archive.current == (2, 77, "16")
    assert backup.current == (2, 77, "16", 202307071, 1300)
    assert backup.backups == before.backups
    assert backup.cipher_pass == before.cipher_pass
    changed, archive, backup = upgraded(place, control(77, "16"))
    assert not changed
    assert len(archive.history) == len(backup.history) == 2
    assert b'"system-id":77' in place.peer("info", "--output=json")


def test_an_upgrade_that_was_interrupted_between_the_files_is_completed(site):
    place = site("a")
    storage = PosixStorage(str(place.repository.path))
    archive_info.save(
        storage, "demo", archive_info.load(storage, "demo", None).upgraded(77, "16"), None
    )
    changed, archive, backup = upgraded(place, control(77, "16"))
    assert changed
    assert archive.current[:3] == backup.current[:3] == (2, 77, "16")


# repo-ls and repo-get


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("backup/demo",),
        ("backup/demo", "--output=json"),
        ("--recurse", "--output=json"),
        ("--recurse", "--sort=desc"),
        ("backup/demo", "--filter=info"),
        ("backup/demo/none", "--output=json"),
        ("backup/demo/none",),
        ("backup/demo/backup.info", "--output=json"),
        ("backup/demo/backup.info",),
    ],
)
def test_a_list_is_that_of_the_peer(site, arguments):
    place = site("a")
    result = repo_files.list_path(place.options("repo-ls", *arguments))
    assert result.text == place.peer("repo-ls", *arguments).decode()


@pytest.mark.parametrize("letter", ["b", "c"])
@pytest.mark.parametrize(
    "template",
    [
        "archive/demo/archive.info",
        "archive/demo/archive.info.copy",
        "backup/demo/backup.info",
        "backup/demo/{label}/backup.manifest",
        "backup/demo/{label}/backup.manifest.copy",
        "backup/demo/backup.history/{year}/{label}.manifest.gz",
        "{wal}",
        "{file}",
    ],
)
def test_a_file_is_given_as_the_peer_gives_it(site, letter, template):
    place = site(letter)
    root = place.repository.path
    label = place.labels[0]
    wal = min((root / "archive/demo/15-1").glob("*/*"))
    file = min(path for path in (root / "backup/demo" / label / "pg_data").rglob("*.*"))
    path = template.format(
        label=label, year=label[:4], wal=wal.relative_to(root), file=file.relative_to(root)
    )
    result = repo_files.get(place.options("repo-get", path))
    assert b"".join(result.chunks) == place.peer("repo-get", path)


def test_a_file_as_it_is_stored(site):
    place = site("c")
    result = repo_files.get(place.options("repo-get", "--raw", "archive/demo/archive.info"))
    stored = (place.repository.path / "archive/demo/archive.info").read_bytes()
    assert b"".join(result.chunks) == stored


def test_a_file_that_is_not_there(site):
    place = site("a")
    with pytest.raises(errors.FileMissingError):
        repo_files.get(place.options("repo-get", "archive/demo/none"))
    ignored = place.options("repo-get", "--ignore-missing", "archive/demo/none")
    assert repo_files.get(ignored).exit_code == 1


def test_no_pass_without_a_place(site):
    place = site("c")
    for path in ("archive/demo", "other/file", "backup/demo/latest"):
        with pytest.raises(errors.OptionInvalidValueError, match="cipher passphrase"):
            repo_files.get(place.options("repo-get", path))
    with pytest.raises(errors.OptionInvalidValueError, match="doesn't match"):
        repo_files.get(place.options("repo-get", "archive/other/archive.info"))
    with pytest.raises(errors.ParamRequiredError):
        repo_files.get(place.options("repo-get"))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ""),
        ("/srv/repo", ""),
        ("/srv/repo/", ""),
        ("/srv/repo/archive//demo/", "archive/demo"),
        ("./archive", "archive"),
    ],
)
def test_paths_of_users(path, found):
    assert repo_files.relative(RepoOptions(path="/srv/repo"), path) == found


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/repository", "..", "archive/../../x"])
def test_paths_outside_of_the_repository(path):
    with pytest.raises(errors.ParamInvalidError):
        repo_files.relative(RepoOptions(path="/srv/repo"), path)


def test_the_bytes_of_a_file_reach_standard_output(site):
    place = site("a")
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="utf-8")
    path = f"backup/demo/backup.history/{place.labels[0][:4]}/{place.labels[0]}.manifest.gz"
    words = [f"--config={place.config}", "--stanza=demo", "--allow-root", "repo-get", path]
    assert cli.main(words, {}, output=output, errors=io.StringIO()) == 0
    assert gzip.decompress(raw.getvalue()).startswith(b"[backrest]")


# manifest


def test_a_backup_and_the_way_to_one_file(site):
    place = site("d")
    result = manifest.run(place.options("manifest"))
    assert result.content["label"] == place.labels[-1]
    assert len(result.content["fileList"]) > 900
    name = "pg_data/base/5/16385"
    result = manifest.run(place.options("manifest", f"--filter={name}"))
    (row,) = result.content["fileList"]
    assert row["block"]["map"]["delta"] == [
        {
            "reference": 0,
            "read": {"total": 1, "size": 1315139},
            "superBlock": {"total": 11, "size": 11534336},
            "block": {"total": 638},
        },
        {
            "reference": 3,
            "read": {"total": 1, "size": 9447},
            "superBlock": {"total": 1, "size": 81920},
            "block": {"total": 5},
        },
    ]
    # As 2.55 writes it; 2.60 rounds sizes in another way.
    assert result.text.endswith(
        "file list:\n"
        "  - pg_data/base/5/16385\n"
        "      size: 10MB, repo 13KB\n"
        "      checksum: 9e2e168625e85b45f0e88360c620e66ac8f02b79\n"
        "      block: size 16KB, map size 3.8KB, checksum size 6B\n"
        "      block delta:\n"
        "        reference: 20261122-113214F/pg_data/base/5/16385.pgbi, read: 1/1.3MB, "
        "superBlock: 11/11MB, block: 638/10MB\n"
        "        reference: 20261122-113214F_20261122-113221I/pg_data/base/5/16385.pgbi, "
        "read: 1/9.2KB, superBlock: 1/80KB, block: 5/80KB\n"
        "        total read: 2/1.3MB, superBlock: 12/11.1MB, block: 643/10MB\n"
    )


def test_what_one_backup_holds(site):
    place = site("a")
    result = manifest.run(place.options("manifest", "--reference=latest", "--output=json"))
    files = json.loads(result.text)["fileList"]
    assert files
    assert all("reference" not in row for row in files)


def test_backups_and_files_that_are_not_there(site):
    place = site("a")
    with pytest.raises(errors.BackupSetInvalidError):
        manifest.run(place.options("manifest", "--set=20200101-000000F"))
    with pytest.raises(errors.OptionInvalidValueError, match="no file 'pg_data/none'"):
        manifest.run(place.options("manifest", "--filter=pg_data/none"))
