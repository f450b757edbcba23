# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of a backup do, on a real cluster."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("--wal-segsize=1")
    made.psql("create table fact as select i, md5(i::text) m from generate_series(1, 20000) i")
    made.psql("create table broken as select generate_series(1, 5000) i")
    return made


@pytest.fixture
def site(sites, cluster):
    """A repository of its own for each test."""
    made = sites(cluster)
    made.run("stanza-create")
    made.archive()
    return made


def backup(site, *arguments):
    """Take one; gives its output and what ``info`` says of it."""
    out = site.run("backup", *arguments).stdout
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return out, stanza["backup"][-1]


def manifest(site, label):
    return (site.repo / "backup/demo" / label / "backup.manifest").read_text()


def started(site, name, *arguments):
    """A restored copy that runs."""
    copy = site.restored(name)
    site.run("restore", f"--pg1-path={copy.data}", *arguments)
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    return copy


@pytest.mark.parametrize("bundle", ["y", pytest.param("n", marks=pytest.mark.slow)])
def test_archive_copy_makes_a_backup_that_needs_no_archive(site, bundle):
    site.configure(repo1_bundle=bundle, compress_type="lz4")
    _out, row = backup(site, "--type=full", "--archive-copy")
    text = manifest(site, row["label"])
    assert "option-archive-copy=true" in text
    name = row["archive"]["stop"]
    line = next(line for line in text.splitlines() if line.startswith(f"pg_data/pg_wal/{name}="))
    entry = json.loads(line.partition("=")[2])
    assert entry["size"] == 1 << 20
    assert "rck" not in entry
    (stored,) = (site.repo / "archive/demo").rglob(f"{name}-*")
    assert entry["checksum"] in stored.name
    assert (site.repo / "backup/demo" / row["label"] / f"pg_data/pg_wal/{name}.lz4").exists()
    # Without a way to the archive the server has to find the WAL in its own directory.
    copy = started(site, "alone", "--type=none")
    assert copy.psql("select count(*) from fact") == "20000"
    copy.stop()
    out = site.pgbackrest("verify", "--output=text", "--verbose").stdout
    peer.parse_verify(out).assert_clean([row["label"]])


def test_what_is_excluded_is_said_and_left_out(site):
    data = site.cluster.data
    for name in ("core dump", "scratch/note"):
        path = data / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not for the backup")
        own(path)
        own(path.parent)
    out, row = backup(site, "--type=full", "--exclude=core dump", "--exclude=scratch/")
    assert f"exclude '{data}/core dump' from backup using 'core dump' exclusion" in out
    assert f"exclude contents of '{data}/scratch' from backup" in out
    text = manifest(site, row["label"])
    assert "core dump" not in text
    assert "scratch/note" not in text
    assert "\npg_data/scratch={}" in text.replace('={"mode":"0755"}', "={}")


def test_a_database_whose_name_no_manifest_can_hold_spoils_no_backup(site):
    name = "a\nb"
    site.cluster.psql(f'create database "{name}"')
    site.cluster.psql("create table held as select 7 i", name)
    oid = site.cluster.psql(f"select oid from pg_database where datname = '{name}'")
    try:
        out, row = backup(site, "--type=full")
        assert f"of database {oid} contains a line feed, which the manifest cannot hold" in out
        backup(site, "--type=incr")
        assert f'"db-id":{oid},' not in manifest(site, row["label"])
        assert "\nstatus: ok\n" in site.run("verify", "--output=text", "--verbose").stdout
        # All of it is there, and its number names it.
        copy = started(site, "held")
        assert copy.psql("select i from held", name) == "7"
        copy.stop()
        site.run("restore", f"--pg1-path={site.restored('left').data}", f"--db-exclude={oid}")
    finally:
        site.cluster.psql(f'drop database "{name}"')


def test_annotations_are_listed(site):
    _out, row = backup(site, "--type=full", "--annotation=note=first = full", "--annotation=by=me")
    assert row["annotation"] == {"by": "me", "note": "first = full"}
    assert 'annotation={"by":"me","note":"first = full"}' in manifest(site, row["label"])
    assert site.pgbackrest("info", "--set=" + row["label"]).stdout.count("first = full") == 1


def test_pages_are_left_unchecked_when_asked_and_the_chain_keeps_to_it(site):
    _out, full = backup(site, "--type=full", "--no-checksum-page")
    assert '"checksum-page"' not in manifest(site, full["label"])
    out, incr = backup(site, "--type=incr", "--checksum-page")
    assert "cannot alter checksum-page option to 'y'" in out
    assert "option-checksum-page=false" in manifest(site, incr["label"])


@pytest.mark.slow
def test_the_level_of_compression_is_that_of_the_full_backup(site):
    _out, full = backup(site, "--type=full", "--compress-level=19")
    assert "option-compress-level=19" in manifest(site, full["label"])
    _out, other = backup(site, "--type=full", "--compress-level=-5")
    small, large = (row["info"]["repository"]["delta"] for row in (full, other))
    assert small < large
    out, incr = backup(site, "--type=incr", "--compress-level=7")
    assert f"cannot alter compress-level option to '7', reset to value in {other['label']}" in out
    # So the peer writes it, and it reads nothing else.
    assert "option-compress-level=4294967291" in manifest(site, incr["label"])
    site.pgbackrest("backup", "--type=incr", "--compress-level=-5")
    assert backup(site, "--type=incr", "--compress-level=-5")[1]["type"] == "incr"


def test_a_file_from_the_future_makes_us_compare_checksums(site):
    _out, full = backup(site, "--type=full")
    assert "option-delta=false" in manifest(site, full["label"])
    strange = site.cluster.data / "strange"
    strange.write_text("from the future")
    own(strange)
    later = time.time() + 3600
    os.utime(strange, (later, later))
    out, incr = backup(site, "--type=incr")
    strange.unlink()
    found = r"WARN: file 'pg_data/strange' has timestamp \(\d+\) in the future \(relative to copy"
    assert re.search(found, out)
    assert "enabling delta checksum" in out
    assert "option-delta=true" in manifest(site, incr["label"])


def test_a_damaged_page_is_a_warning_and_a_mark_and_not_the_end(site):
    cluster = site.cluster
    path = cluster.data / cluster.psql("select pg_relation_filepath('broken')")
    cluster.stop()
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for page in (3, 4, 9):
        damaged[page * 8192 + 5000] ^= 1
    path.write_bytes(damaged)
    cluster.start()
    try:
        out, row = backup(site, "--type=full")
        _out, incr = backup(site, "--type=incr")
    finally:
        path.write_bytes(whole)
    name = f"pg_data/{path.relative_to(cluster.data)}"
    assert f"WARN: invalid page checksum(s) found in file {name} at page(s) 3-4, 9" in out
    assert row["error"] is True
    assert incr["error"] is True
    assert '"checksum-page":false,"checksum-page-error":[[3,4],9]' in manifest(site, row["label"])
    for info in (site.run, site.pgbackrest):
        listed = json.loads(info("info", "--output=json", f"--set={row['label']}").stdout)
        assert listed[0]["backup"][0]["error-list"] == [name[len("pg_data/") :]]


def test_a_cluster_that_was_stopped(site):
    cluster = site.cluster
    _out, online = backup(site, "--type=full")
    refused = site.run("backup", "--type=full", "--no-online", code=38)
    assert "postmaster.pid exists" in refused.stdout + refused.stderr
    forced = site.run("backup", "--type=full", "--no-online", "--force").stdout
    assert "will probably not be consistent" in forced
    cluster.stop()
    try:
        out, incr = backup(site, "--type=incr", "--no-online")
        _out, full = backup(site, "--type=full", "--no-online")
    finally:
        cluster.start()
    assert (incr["archive"]["start"], incr["archive"]["stop"]) == (None, None)
    text = manifest(site, full["label"])
    assert "option-online=false" in text
    assert "option-checksum-page=false" in text
    assert "\n[db]\n" not in text
    assert "backup_label" not in text
    out = site.pgbackrest("verify", "--output=text", "--verbose").stdout
    parsed = peer.parse_verify(out)
    assert parsed.backups[full["label"]].clean
    assert parsed.backups[online["label"]].clean
    copy = started(site, "stopped", "--type=none")
    assert copy.psql("select count(*) from fact") == "20000"
    copy.stop()
    back, _row = backup(site, "--type=incr")
    assert "the online option has changed since" in back


def test_labels_go_on_even_when_all_backups_are_gone(site):
    backup(site, "--type=full")
    history = site.repo / "backup/demo/backup.history"
    (kept,) = history.rglob("*.manifest.gz")
    year = int(time.strftime("%Y")) + 1
    later = history / str(year)
    later.mkdir()
    kept.rename(later / f"{year}0101-000000F.manifest.gz")
    refused = site.run("backup", "--type=full", code=106)
    assert f"latest backup label '{year}0101-000000F'" in refused.stdout + refused.stderr
