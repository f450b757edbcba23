# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules, run by ansible-playbook against a real cluster: what they predict, do and return."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import job
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import RepoOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    archive_info,
    backup_info,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import open_storage
from ansible_collections.pgsftp.backup.tests.support.archiver import Archiver
from ansible_collections.pgsftp.backup.tests.support.beside import until
from ansible_collections.pgsftp.backup.tests.support.documented import (
    check_documented,
    documented,
)
from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = [pytest.mark.integration, pytest.mark.jobs]


@pytest.fixture(scope="module")
def site(sites):
    """A cluster that archives; it has no stanza yet."""
    made = sites()
    made.archive()
    made.cluster.psql("create table fact as select i from generate_series(1, 1000) i")
    return made


@pytest.fixture(scope="module")
def first(site, run):
    """The first backup, with all that comes before it."""
    foreseen = run("stanza", "--check", "--diff")
    made = run("stanza", "--diff")
    assert made["diff"] == foreseen["diff"]
    assert foreseen["changed"] and made["changed"]
    assert not run("stanza")["changed"]
    assert run("check")["check"]["repos"][0]["segment"]
    taken = run("backup", type="full")
    assert taken["changed"] and not taken["attached"]
    # Root has become the owner of the cluster for the work.
    owner = site.cluster.data.stat().st_uid
    assert {path.stat().st_uid for path in site.repo.rglob("*")} == {owner}
    return taken["backup"]


def test_a_stanza_follows_its_cluster_and_is_removed(site, playbook, first):
    """In a repository of its own, where the stanza is of the cluster before pg_upgrade."""
    scratch = site.root / "scratch"
    scratch.mkdir()
    own(scratch)
    there = {"options": {"repo1-path": str(scratch)}}
    gone = {"options": {**there["options"], "force": True}, "state": "absent"}
    confirmed = {**gone, "confirm_stanza": "demo"}

    def run(*tasks):
        rows = playbook.run_all([("stanza", task) for task in tasks], site=site)
        for row in rows:
            check_documented("stanza", row)
        return rows

    (made,) = run(there)
    with open_storage(RepoOptions(path=str(scratch))) as storage:
        archive = archive_info.create(1, "13", None)
        archive_info.save(storage, "demo", archive, None)
        backup = backup_info.create(BackupDb(1, 1, "13", 202007201, 1300), None)
        backup_info.save(storage, "demo", backup, None)
    for path in scratch.rglob("*"):
        own(path)

    upgraded = {**there, "state": "upgraded"}
    other, foreseen, done, again = run(there, {"check_mode": True, **upgraded}, upgraded, upgraded)
    assert other["failed"] and "is of another cluster" in other["msg"]
    assert foreseen["diff"] == done["diff"]
    assert foreseen["upgraded"] == done["upgraded"] == [1]
    assert done["diff"]["before"]["repo1"] == {"system_id": "1", "version": "13"}
    assert done["system_id"] == made["system_id"]
    assert not again["changed"]

    refused, unsaid = run(confirmed, gone)
    assert "stop file does not exist" in refused["msg"]
    assert "confirm_stanza is not given" in unsaid["msg"]
    site.run("stop")
    foreseen, done, again = run({"check_mode": True, **confirmed}, confirmed, confirmed)
    assert foreseen["diff"] == done["diff"]
    assert foreseen["deleted"] == done["deleted"] == [1]
    assert not again["changed"]
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_a_young_backup_is_enough(run, first):
    again = run("backup", type="full", max_age="1h")
    assert not again["changed"]
    assert again["backup"]["label"] == first["label"]
    assert run("stanza_info")["info"]["backup"][-1]["label"] == first["label"]


def test_the_wal_of_a_backup_and_the_repository_are_documented_as_they_are(run, first):
    found = run("stanza_info", wal=True)
    (line,) = found["wal"]
    assert first["label"] in [row["label"] for row in line["windows"]]
    assert line["spans"][0]["first"] <= first["wal_start"] <= line["spans"][-1]["last"]
    sample = documented("stanza_info")["info"]["sample"]
    assert sample.keys() <= found["info"].keys()
    for part in ("archive", "backup"):
        assert sample[part][0].keys() <= found["info"][part][0].keys()


def test_what_the_archiver_says_of_itself_is_part_of_the_info(site, run, first):
    assert run("stanza_info")["archiver"] is None
    archiver = Archiver(site)
    place = {"archiver-path": str(archiver.run_path)}
    try:
        archiver.start()
        until(lambda: archiver.status()["sessions"])
        site.cluster.psql("create table shown (i int)")
        name = site.cluster.psql("select pg_walfile_name(pg_switch_wal())")
        archiver.push(name)
        found = run("stanza_info", options=place)["archiver"]
        assert found["pid"] == archiver.process.pid
        (row,) = found["repositories"]
        assert (row["key"], row["reachable"], row["sessions"]) == (1, True, 1)
        assert found["started"] - 1 < row["success"] < time.time() + 1
        assert row["error"] is None
    finally:
        archiver.stop()
        archiver.forget()
    assert run("stanza_info", options=place)["archiver"] is None


def test_check_mode_tells_the_backup_that_would_be_taken(site, run, first):
    site.cluster.psql("create table more as select i from generate_series(1, 10000) i; checkpoint")
    plan = run("backup", "--check", type="incr")["plan"]
    taken = run("backup", type="incr")["backup"]
    assert (
        (plan["type"], plan["prior"]) == ("incr", first["label"]) == (taken["type"], taken["prior"])
    )
    assert "pg_data/global/pg_control" in plan["changed"]
    relation = site.cluster.psql("select pg_relation_filepath('more')")
    assert f"pg_data/{relation}" in plan["new"]
    # The server goes on between the two.
    assert abs(plan["file_total"] - taken["file_total"]) < 10
    assert 0.5 < plan["size_read"] / taken["size_delta"] < 2
    assert plan["size_read"] < plan["size"] / 2


def test_a_whole_repository_is_verified(run, first):
    found = run("verify")
    assert not found["changed"]
    assert found["verify"]["status"] == "ok"
    assert first["label"] in [row["label"] for row in found["verify"]["backups"]]
    assert not run("verify", "--check")["changed"]


def test_expiration_does_what_it_foresaw(run, first):
    run("backup", type="full", options={"expire-auto": False})
    keep = {"options": {"repo1-retention-full": 1}}
    foreseen = run("expire", "--check", "--diff", **keep)
    done = run("expire", "--diff", **keep)
    assert foreseen["changed"] and done["changed"]
    assert foreseen["diff"] == done["diff"]
    assert first["label"] in done["diff"]["before"]["repo1"]["backups"]
    assert first["label"] not in done["diff"]["after"]["repo1"]["backups"]
    assert done["diff"]["after"]["repo1"]["removed_wal"]
    again = run("expire", "--diff", **keep)
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.slow
def test_damage_fails_the_task_or_is_told(site, run, first):
    newest = max((site.repo / "backup/demo").glob("2*F"))
    bundle = next((newest / "bundle").iterdir())
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[:-10] + b"0123456789")
    try:
        failed = run("verify", fails=True)
        assert newest.name in failed["msg"]
        told = run("verify", damage="report")
        assert told["verify"]["status"] == "error"
        assert told["verify"]["files"]
    finally:
        bundle.write_bytes(whole)
    assert run("verify")["verify"]["status"] == "ok"


def test_no_secret_gets_out(site, playbook, run, first, tmp_path):
    """Not into the output of -vvvv, facts, files of jobs, logs or a file that others read."""
    secrets = ["geheim-cipher", "geheim-sftp", "geheim-recovery", "geheim-misspelt"]
    site.configure(repo2_path=str(site.root / "repo2"), repo2_cipher_type="aes-256-cbc")
    try:
        site.configure(repo2_cipher_pass=secrets[0])
        facts = tmp_path / "facts"
        playbook.environment.update(
            ANSIBLE_CACHE_PLUGIN="jsonfile", ANSIBLE_CACHE_PLUGIN_CONNECTION=str(facts)
        )
        defaults = {"stanza": "demo", "config": str(site.config)}
        wrong = {"options": {"repo2-sftp-private-key-passphrase": secrets[1]}}
        misspelt = {"options": {"repo2_cipher_pass": secrets[3]}}
        recovery = {"recovery_options": {"primary_conninfo": f"password={secrets[2]}"}}
        second = {"options": {"repo": 2, "archive-check": False}}
        path = playbook.write(
            {"ansible.builtin.setup": {"gather_subset": ["min"]}},
            {"pgsftp.backup.stanza": {}},
            {"pgsftp.backup.backup": second},
            {"pgsftp.backup.verify": {"options": {"repo": 2}}},
            {"pgsftp.backup.stanza_info": {}},
            {"pgsftp.backup.check": wrong, "ignore_errors": True},
            {"pgsftp.backup.check": misspelt, "ignore_errors": True},
            {"pgsftp.backup.restore": recovery, "ignore_errors": True},
            defaults=defaults,
        )
        since = time.time()
        running = playbook.start(path, "-vvvv", "--diff")
        seen = []
        watcher = threading.Thread(target=watch, args=(running, seen))
        watcher.start()
        out, rows = playbook.finish(running)
        watcher.join()
        assert [row["failed"] for row in rows] == [False] * 5 + [True] * 3, out
        told = json.dumps(rows)
        # The task's own text is the user's; the secret of the file is seen nowhere.
        assert secrets[0] not in out + told
        assert not [secret for secret in secrets[1:] if secret in told]
        assert seen and not [text for text in seen if "geheim" in text]
        journal = subprocess.run(
            ["journalctl", f"--since=@{since:.0f}", "--no-pager", "--quiet"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert "geheim" not in journal.stdout
        for root in (facts, site.root, Path(job.ROOT_PLACE), playbook.directory / "remote"):
            for file in root.rglob("*") if root.exists() else ():
                if file.is_file() and b"geheim" in file.read_bytes():
                    assert file == site.config
                    assert file.stat().st_mode & 0o007 == 0
    finally:
        site.configure(repo2_path=None, repo2_cipher_type=None, repo2_cipher_pass=None)


def watch(running, seen):
    """What other users see of all processes, as long as one runs."""
    while running.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "ansible" in text or "pgsftp" in text:
                seen.append(text)
        time.sleep(0.2)
