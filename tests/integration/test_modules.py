# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules, run by ansible-playbook against a real cluster: what they predict, do and return."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.plugins.module_utils import job
from ansible_collections.pgsftp.backup.tests.support.playbook import Playbook

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def playbook(tmp_path_factory):
    """Runs tasks."""
    return Playbook(tmp_path_factory.mktemp("playbook"))


@pytest.fixture(scope="module")
def site(sites):
    """A cluster that archives; it has no stanza yet."""
    made = sites()
    made.archive()
    made.cluster.psql("create table fact as select i from generate_series(1, 1000) i")
    return made


def documented(module):
    found = importlib.import_module(f"ansible_collections.pgsftp.backup.plugins.modules.{module}")
    return yaml.safe_load(found.RETURN)


ANSIBLE = {"changed", "diff", "invocation", "warnings", "failed", "msg", "exception"}


def check_documented(module, result):
    """Everything that a module returned is documented, with its type and all that it has in it."""
    types = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
    types["float"] = (int, float)

    def compare(rows, values, where):
        for name, value in values.items():
            assert name in rows, f"{where}{name} is not documented"
            row = rows[name]
            if value is None:
                continue
            assert isinstance(value, types[row["type"]]), f"{where}{name} is a {type(value)}"
            if "contains" in row:
                assert "sample" not in row
                for part in value if row["type"] == "list" else [value]:
                    compare(row["contains"], part, f"{where}{name}.")
                    missing = row["contains"].keys() - part.keys()
                    assert module == "backup" or not missing, f"{where}{name}: no {missing}"
            else:
                assert "sample" in row, f"{where}{name} has no sample"

    ours = {
        name: value
        for name, value in result.items()
        if name not in ANSIBLE and not name.startswith("_ansible")
    }
    compare(documented(module), ours, "")


@pytest.fixture(scope="module")
def run(site, playbook):
    """Run a module and check that what it returned is documented."""

    def with_arguments(module, *arguments, fails=False, **parameters):
        result = playbook.run(module, *arguments, site=site, **parameters)
        assert result["failed"] is fails, json.dumps(result, indent=1)
        if not fails:
            check_documented(module, result)
        return result

    return with_arguments


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


def test_a_young_backup_is_enough(run, first):
    again = run("backup", type="full", max_age="1h")
    assert not again["changed"]
    assert again["backup"]["label"] == first["label"]
    assert run("stanza_info")["info"]["backup"][-1]["label"] == first["label"]


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


def restored(site, name):
    """A directory beside the cluster, and the parameters that restore to it."""
    copy = site.restored(name)
    options = {"pg1-path": str(copy.data), "cmd": str(site.command)}
    return copy, {"options": options}


def up(copy):
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")


def test_a_directory_is_replaced_with_consent_alone(site, playbook, first):
    """Foreseen, refused, kept aside, started, confirmed."""
    copy, to = restored(site, "replaced")

    def restore(*tasks):
        rows = playbook.run_all([("restore", {**to, **task}) for task in tasks], site=site)
        for row in rows:
            if not row["failed"]:
                check_documented("restore", row)
        return rows

    consent = {"force": True, "confirm_host": "pg1-srv"}
    confirmed = {"state": "confirmed"}
    foreseen, done = restore({"check_mode": True}, {})
    for name in ("label", "type", "path", "size", "size_fetched", "file_total", "files_fetched"):
        assert foreseen["plan"][name] == done["restore"][name]
    assert foreseen["plan"]["reachable"] is True
    assert (foreseen["directory"], done["directory"]) == ("empty", "empty")
    up(copy)
    try:
        refused, warned, nothing = restore(consent, {"check_mode": True, **consent}, confirmed)
        assert refused["failed"] and "while PostgreSQL is running" in refused["msg"]
        assert any("while PostgreSQL is running" in str(text) for text in warned["warnings"])
        assert not nothing["failed"] and not nothing["changed"]
    finally:
        copy.stop()
    (copy.data / "mine").write_text("kept")

    late = {"type": "lsn", "target": "FF/0", **consent}
    refusals = restore(
        {},
        {"force": True},
        {"force": True, "confirm_host": "pg2-srv"},
        {"check_mode": True, **late},
        late,
    )
    assert [row["failed"] for row in refusals] == [True, True, True, False, True]
    assert "contains files" in refusals[0]["msg"]
    assert "confirm_host is not given" in refusals[1]["msg"]
    assert "confirm_host is 'pg2-srv'" in refusals[2]["msg"]
    assert refusals[3]["plan"]["reachable"] is False
    assert "cannot be reached" in refusals[4]["msg"]
    assert (copy.data / "mine").exists()

    done, early = restore(consent, {"timeout": 1, **confirmed})
    (kept,) = done["aside"]
    assert done["aside"][kept] == str(copy.data)
    assert not (copy.data / "mine").exists()
    assert early["failed"] and early["code"] == 56
    up(copy)
    try:
        gone, again = restore(confirmed, confirmed)
        assert gone["changed"] and list(gone["aside"]) == [kept]
        assert not again["changed"]
        assert copy.psql("select count(*) from fact") == "1000"
    finally:
        copy.stop()


@pytest.mark.slow
def test_in_place_what_is_the_same_is_kept(site, run, first):
    copy, to = restored(site, "in-place")
    whole = run("restore", **to)["restore"]
    (copy.data / "mine").write_text("removed")
    (copy.data / "PG_VERSION").write_text("99")
    again = {"force": True, "confirm_host": "pg1-srv", "delta": True, **to}
    plan = run("restore", "--check", **again)["plan"]
    done = run("restore", **again)["restore"]
    for name in ("size_fetched", "files_fetched", "files_removed"):
        assert plan[name] == done[name]
    assert f"{copy.data}/mine" in plan["removed"]
    assert 0 < done["size_fetched"] < whole["size_fetched"] / 4


def test_a_standby_is_left_alone(site, run, first):
    to = restored(site, "standby")[1]
    assert run("restore", type="standby", **to)["changed"]
    again = run("restore", type="standby", **to)
    assert (again["changed"], again["directory"]) == (False, "standby")
    assert not run("restore", "--check", type="standby", **to)["changed"]


@pytest.mark.slow
def test_a_password_is_refused(run, first):
    failed = run(
        "restore", fails=True, recovery_options={"primary_conninfo": "host=x password=geheim"}
    )
    assert "password is not allowed" in failed["msg"]


@pytest.fixture
def held_back(site):
    """WAL does not get into the archive while this file is there, so a backup cannot end."""
    hold = site.root / "hold"
    command = site.cluster.psql("show archive_command")
    site.cluster.configure(archive_command=f"test ! -e {hold} && {command}")
    site.cluster.reload()
    hold.touch()
    yield hold
    hold.unlink(missing_ok=True)
    site.cluster.configure(archive_command=command)
    site.cluster.reload()


def labels(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return [row["label"] for row in stanza["backup"]]


def test_a_backup_outlives_a_killed_controller(site, playbook, run, first, held_back):
    """ansible-playbook and all that it started is killed in the middle of a backup.

    The same task attaches to it and returns its result, and the next one takes a new backup.
    """
    site.configure(archive_timeout="120")
    before = labels(site)
    begun = {"type": "full", "options": {"expire-auto": False}}
    defaults = {"stanza": "demo", "config": str(site.config)}
    path = playbook.write({"pgsftp.backup.backup": begun}, defaults=defaults)
    running = playbook.start(path)
    log = site.root / "demo-backup.log"
    done = log.read_text().count("backup start archive") if log.exists() else 0
    until(lambda: log.read_text().count("backup start archive") > done)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert labels(site) == before

    # Nobody follows it now. Another controller does the same task, and sees it under way.
    again = playbook.start(path)
    line = again.stdout.readline()
    while "attached to what an earlier run has begun" not in line:
        assert line, "it did not attach"
        line = again.stdout.readline()
    held_back.unlink()
    _out, (result,) = playbook.finish(again)
    assert not result["failed"], result
    assert result["attached"] is True
    assert labels(site) == [*before, result["backup"]["label"]]

    # The answer was given away.
    new = run("backup", **begun)
    assert new["attached"] is False
    assert labels(site) == [*before, result["backup"]["label"], new["backup"]["label"]]


def test_no_secret_gets_out(site, playbook, run, first, tmp_path):
    """Not into the output of -vvvv, facts, files of jobs, logs or a file that others read."""
    secrets = ["geheim-cipher", "geheim-sftp", "geheim-recovery"]
    site.configure(repo2_path=str(site.root / "repo2"), repo2_cipher_type="aes-256-cbc")
    try:
        site.configure(repo2_cipher_pass=secrets[0])
        facts = tmp_path / "facts"
        playbook.environment.update(
            ANSIBLE_CACHE_PLUGIN="jsonfile", ANSIBLE_CACHE_PLUGIN_CONNECTION=str(facts)
        )
        defaults = {"stanza": "demo", "config": str(site.config)}
        wrong = {"options": {"repo2-sftp-private-key-passphrase": secrets[1]}}
        recovery = {"recovery_options": {"primary_conninfo": f"password={secrets[2]}"}}
        second = {"options": {"repo": 2, "archive-check": False}}
        path = playbook.write(
            {"ansible.builtin.setup": {"gather_subset": ["min"]}},
            {"pgsftp.backup.stanza": {}},
            {"pgsftp.backup.backup": second},
            {"pgsftp.backup.verify": {"options": {"repo": 2}}},
            {"pgsftp.backup.stanza_info": {}},
            {"pgsftp.backup.check": wrong, "ignore_errors": True},
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
        assert [row["failed"] for row in rows] == [False] * 5 + [True, True], out
        told = json.dumps(rows)
        # The task's own text is the user's; the secret of the file is seen nowhere.
        assert secrets[0] not in out + told
        assert secrets[1] not in told and secrets[2] not in told
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


def until(condition):
    limit = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.1)
