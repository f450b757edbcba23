# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that vanish, grow and shrink while they are backed up: a restore has all of it right.

Once with the changes between the scan and the copy, where each kind of change surely hits; once
under a load that creates, truncates and drops relations all the while.
"""

from __future__ import annotations

import os
import pwd
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    run as backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    steps,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.second import (
    Second,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.source import (
    OnlineSource,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import manifest
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.own_server import as_owner
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = pytest.mark.integration

ROWS = "select i, md5(i::text) m from generate_series(1, {}) i"


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    made = sites(new_cluster("--wal-segsize=4"))
    made.archive()
    made.run("stanza-create")
    made.cluster.psql("create extension amcheck")
    return made


def path_of(cluster, relation):
    return "pg_data/" + cluster.psql(f"select pg_relation_filepath('{relation}')")


def check_copy(site, name, expected):
    """Restore the newest backup and all WAL, start it, and look at every row, index and page."""
    copy = site.restored(name)
    site.run("restore", f"--pg1-path={copy.data}")
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    try:
        copy.wait("select pg_is_in_recovery()", "f")
        assert peer.contents(copy) == expected
        copy.run(
            copy.bin / "pg_amcheck", "--all", "--heapallindexed", "--host", copy.socket,
            "--port", copy.port, "--username", OWNER,
        )  # fmt: skip
    finally:
        copy.stop()
    copy.run(copy.bin / "pg_checksums", "--check", "--pgdata", copy.data)


@pytest.mark.parametrize("backup_type", ["full", pytest.param("incr", marks=pytest.mark.slow)])
def test_each_kind_of_change_between_scan_and_copy(site, backup_type):
    cluster = site.cluster
    names = ("vanishes", "emptied", "grows", "shrinks", "rewritten")
    for name in names:
        cluster.psql(f"drop table if exists {name}; create table {name} as {ROWS.format(5000)}")
        if name not in ("vanishes", "emptied"):
            cluster.psql(f"create index on {name} (i)")
    cluster.psql("checkpoint")
    files = {name: path_of(cluster, name) for name in names}
    notes = cluster.data / "notes"
    notes.mkdir(exist_ok=True)
    os.chown(notes, *[getattr(pwd.getpwnam(OWNER), key) for key in ("pw_uid", "pw_gid")])
    (notes / "grows.txt").write_text("one\n")
    (notes / "shrinks.txt").write_text("one\n" * 1000)
    (notes / "gone.txt").write_text("one\n")
    for path in notes.iterdir():
        path.chmod(0o666)
    options = load(
        "backup", [f"--config={site.config}", "--stanza=demo", f"--type={backup_type}"], {}
    )
    copy = steps.copy

    def change_and_copy(*arguments):
        # One statement a transaction; a file goes for good with the checkpoint.
        cluster.psql(
            "drop table vanishes; truncate emptied; "
            f"insert into grows {ROWS.format(20000)}; "
            "delete from shrinks where i > 100; vacuum shrinks; vacuum full rewritten; checkpoint"
        )
        with (notes / "grows.txt").open("a") as stream:
            stream.write("two\n" * 500)
        (notes / "shrinks.txt").write_text("one\n")
        (notes / "gone.txt").unlink()
        return copy(*arguments)

    def work():
        steps.copy = change_and_copy
        backup.run(options)

    as_owner(work)
    cluster.psql("insert into grows values (0, 'after the backup'); select pg_switch_wal()")
    expected = peer.contents(cluster)
    label = max(path.name for path in (site.repo / "backup/demo").glob("2*"))
    made = manifest.load(PosixStorage(str(site.repo)), "demo", label, None)
    stored = {file.name: file for file in made.files}
    assert files["vanishes"] not in stored
    assert "pg_data/notes/gone.txt" not in stored
    # Of a relation what was there at the scan is enough; any other file is taken to its end.
    assert stored[files["grows"]].original_size in (None, stored[files["grows"]].size)
    assert stored["pg_data/notes/grows.txt"].size == 4 + 4 * 500
    assert stored["pg_data/notes/grows.txt"].original_size == 4
    for name, size in ((files["shrinks"], None), ("pg_data/notes/shrinks.txt", 4)):
        assert stored[name].size < stored[name].original_size
        assert size in (None, stored[name].size)
    assert site.run("verify", "--output=text").stdout.count("status: ok") <= 1
    check_copy(site, f"between-{backup_type}", expected)
    assert (site.root / f"between-{backup_type}/data/notes/shrinks.txt").read_text() == "one\n"


def test_a_change_without_a_later_time_is_seen_by_the_next_backup(site):
    """In the second in which it was copied, by which the file looks as it did."""
    note = site.cluster.data / "note"
    note.write_text("before\n")
    changed = int(note.stat().st_mtime)
    options = load("backup", [f"--config={site.config}", "--stanza=demo", "--type=full"], {})
    copy = steps.copy

    def copy_and_change(*arguments):
        copy(*arguments)
        with note.open("r+") as stream:
            stream.write("behind\n")
        os.utime(note, (changed, changed))

    def work():
        steps.copy = copy_and_change
        # It does not end, however long the backup takes.
        steps.Second.now = lambda source: Second(
            range(changed, changed + 1), int(source.now()) + 1, time.monotonic() + 3600
        )
        backup.run(options)

    note.chmod(0o666)
    os.chown(note, *[getattr(pwd.getpwnam(OWNER), key) for key in ("pw_uid", "pw_gid")])
    as_owner(work)
    for after, text in (("full", "before\n"), ("incr", "behind\n")):
        if after == "incr":
            site.run("backup", "--type=incr")
        copied = site.restored(f"note-{after}")
        site.run("restore", f"--pg1-path={copied.data}", "--type=none")
        assert (copied.data / "note").read_text() == text
    note.unlink()


@pytest.mark.slow
def test_a_backup_under_a_load_of_changing_files(site):
    cluster = site.cluster
    cluster.psql(f"create table steady as {ROWS.format(30000)}; create index on steady (i)")
    ended = threading.Event()
    rounds = [0, 0]
    failures = []

    def load_of(worker):
        try:
            while not ended.is_set():
                rounds[worker] += 1
                number = rounds[worker]
                cluster.psql(
                    f"create table t{worker}_{number} as {ROWS.format(3000)};"
                    f"create index on t{worker}_{number} (i);"
                    f"update steady set m = 'w{worker} {number}' where i % 500 = {worker};"
                    f"drop table if exists t{worker}_{max(number - 3, 0)};"
                    f"truncate t{worker}_{number}; insert into t{worker}_{number} values (1, 'x');"
                    + ("checkpoint;" if number % 3 == 0 else "")
                )
        except BaseException as cause:
            failures.append(cause)

    threads = [threading.Thread(target=load_of, args=(worker,)) for worker in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        for kind in ("full", "incr", "incr"):
            before = sum(rounds)
            site.run("backup", f"--type={kind}")
            assert not failures
            assert sum(rounds) > before, "nothing changed meanwhile"
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not failures
    cluster.psql("select pg_switch_wal()")
    site.run("check")
    check_copy(site, "load", peer.contents(cluster))


def test_damage_in_a_page_that_is_replayed_is_none_of_the_backup(site):
    """It was written since the start, so the WAL has an image of it; one that was not is told."""
    cluster = site.cluster
    for name in ("replayed", "damaged"):
        cluster.psql(f"create table {name} as {ROWS.format(100)}")
    cluster.psql("vacuum replayed, damaged; checkpoint")
    files = {name: path_of(cluster, name) for name in ("replayed", "damaged")}
    options = load("backup", [f"--config={site.config}", "--stanza=demo", "--type=full"], {})
    copy = steps.copy

    def damage_and_copy(*arguments):
        cluster.psql("update replayed set m = 'new' where i = 1; checkpoint")
        for path in files.values():
            with (cluster.data / path[len("pg_data/") :]).open("r+b") as stream:
                # On disk alone: the server goes on from its buffers.
                stream.seek(8191 - 100)
                stream.write(b"damage")
        return copy(*arguments)

    def work():
        steps.copy = damage_and_copy
        backup.run(options)

    as_owner(work)
    label = max(path.name for path in (site.repo / "backup/demo").glob("2*"))
    made = manifest.load(PosixStorage(str(site.repo)), "demo", label, None)
    found = {file.name: (file.page_valid, file.page_errors) for file in made.files}
    # It may be sound but for what the WAL has: nobody knows.
    assert found[files["replayed"]] == (None, ())
    assert found[files["damaged"]] == (False, (0,))
    cluster.psql("select pg_switch_wal()")
    site.run("check")
    copied = site.restored("replayed")
    site.run("restore", f"--pg1-path={copied.data}", f"--set={label}")
    copied.configure(unix_socket_directories=str(copied.socket), archive_mode="off")
    copied.start()
    copied.wait("select pg_is_in_recovery()", "f")
    assert copied.psql("select count(*), max(m) from replayed") == "100|new"
    copied.stop()
    cluster.psql("drop table replayed, damaged")


def test_damage_that_counts_as_replayed_is_told_by_the_next_backup(site):
    """Its WAL begins behind the image: what the one before made good is bad for this one."""
    cluster = site.cluster
    cluster.psql(f"create table hit with (autovacuum_enabled = off) as {ROWS.format(100)}")
    cluster.psql("vacuum hit; checkpoint")
    name = path_of(cluster, "hit")
    options = load("backup", [f"--config={site.config}", "--stanza=demo", "--type=full"], {})
    scan = OnlineSource.scan

    def damage_and_scan(source):
        cluster.psql("update hit set m = 'new' where i = 1; checkpoint")
        with (cluster.data / name[len("pg_data/") :]).open("r+b") as stream:
            stream.seek(8191 - 100)
            stream.write(b"damage")
        # Such that it is no matter of the second in which the scan is made.
        time.sleep(2.1)
        return scan(source)

    def work():
        OnlineSource.scan = damage_and_scan
        backup.run(options)

    def found():
        label = max(path.name for path in (site.repo / "backup/demo").glob("2*"))
        made = manifest.load(PosixStorage(str(site.repo)), "demo", label, None)
        (row,) = (file for file in made.files if file.name == name)
        return row

    as_owner(work)
    assert (found().page_valid, found().page_errors) == (None, ())
    out = site.run("backup", "--type=incr").stdout
    assert (found().page_valid, found().page_errors, found().reference) == (False, (0,), None)
    assert f"invalid page checksum(s) found in file {name} at page(s) 0" in out
    cluster.psql("drop table hit")


@pytest.mark.slow
def test_a_relation_of_more_than_one_segment(site):
    """Most of it pages that were never used: the file system need not hold them."""
    cluster = site.cluster
    cluster.psql(f"create table big as {ROWS.format(1000)}; checkpoint")
    first = cluster.data / cluster.psql("select pg_relation_filepath('big')")
    cluster.stop()
    os.truncate(first, 1 << 30)
    second = first.with_name(first.name + ".1")
    second.touch()
    os.truncate(second, 64 * 8192)
    os.chown(second, first.stat().st_uid, first.stat().st_gid)
    second.chmod(0o600)
    cluster.start()
    cluster.psql(f"insert into big {ROWS.format(2000)}; checkpoint")
    assert second.read_bytes().strip(b"\0")
    site.run("backup", "--type=full")
    cluster.psql("insert into big values (0, 'later'); checkpoint; select pg_switch_wal()")
    site.run("backup", "--type=incr")
    check_copy(site, "big", peer.contents(cluster))
