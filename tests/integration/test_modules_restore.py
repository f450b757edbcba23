# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module restore, run by ansible-playbook: foreseen, refused, kept aside and brought back."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.tests.support.documented import (
    check_documented,
)
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.playbook import restored

pytestmark = [pytest.mark.integration, pytest.mark.jobs]


@pytest.fixture(scope="module")
def site(sites):
    """A cluster that archives, and has a backup."""
    return sites.with_backup()


def up(copy):
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")


def test_a_directory_is_replaced_with_consent_alone(site, playbook):
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
def test_in_place_what_is_the_same_is_kept(site, run):
    copy, to = restored(site, "in-place")
    whole = run("restore", **to)["restore"]
    (copy.data / "mine").write_text("removed")
    (copy.data / "PG_VERSION").write_text("99")
    again = {"force": True, "confirm_host": "pg1-srv", "delta": True, **to}
    plan = run("restore", "--check", **again)["plan"]
    done = run("restore", **again)["restore"]
    assert plan["files_removed"] == done["files_removed"]
    assert f"{copy.data}/mine" in plan["removed"]
    # An estimate: postgresql.auto.conf is longer since, and begins as the backup's does.
    assert plan["files_fetched"] == done["files_fetched"] + 1
    assert 0 < done["size_fetched"] < plan["size_fetched"] < whole["size_fetched"] / 4


def test_a_standby_is_left_alone(site, run):
    to = restored(site, "standby")[1]
    assert run("restore", type="standby", **to)["changed"]
    again = run("restore", type="standby", **to)
    assert (again["changed"], again["directory"]) == (False, "standby")
    assert not run("restore", "--check", type="standby", **to)["changed"]


@pytest.mark.slow
def test_a_password_is_refused(run):
    failed = run(
        "restore", fails=True, recovery_options={"primary_conninfo": "host=x password=geheim"}
    )
    assert "password is not allowed" in failed["msg"]


# The last one: from here on the newest backup has a tablespace.
def test_what_was_kept_aside_comes_back(site, playbook, run):
    """With its tablespace, and where the directory above belongs to root, as Debian has it."""
    copy, to = restored(site, "reverted")

    def restore(*tasks):
        return playbook.run_all([("restore", task) for task in tasks], site=site)

    place = copy.root / "tablespace"
    place.mkdir()
    own(place)
    site.cluster.run("mkdir", site.root / "space")
    site.cluster.psql(f"create tablespace space location '{site.root}/space'")
    site.cluster.psql("create table spaced tablespace space as select 1 as i")
    try:
        run("backup", type="incr")
        to["tablespace_map"] = {"space": str(place)}
        run("restore", **to)
        (inner,) = place.iterdir()
        for mine in (copy.data / "mine", inner / "mine"):
            mine.write_text("kept")
        copy.log.touch()
        own(copy.log)
        if os.geteuid() == 0:
            os.chown(copy.root, 0, 0)
            copy.root.chmod(0o755)
        before = sorted(path.name for path in copy.root.iterdir())

        replace = {"force": True, "confirm_host": "pg1-srv", **to}
        back = {"state": "reverted", "confirm_host": "pg1-srv", **to}
        marks = (copy.data / "mine", inner / "mine")
        done, refused = restore(replace, {"state": "reverted", **to})
        parts = sorted([str(copy.data), str(inner)])
        assert sorted(done["aside"].values()) == parts
        assert not any(mark.exists() for mark in marks)
        assert (copy.data / "PG_VERSION").stat().st_uid == copy.data.stat().st_uid
        assert "confirm_host is not given" in refused["msg"]
        foreseen, undone, again = restore({"check_mode": True, **back}, back, back)
        assert undone["aside"] == foreseen["aside"] == done["aside"]
        assert undone["changed"] and not again["changed"]
        assert all(mark.exists() for mark in marks)
        assert sorted(path.name for path in copy.root.iterdir()) == before

        restore(replace)
        up(copy)
        try:
            (gone,) = restore({"state": "confirmed", **to})
            assert sorted(gone["aside"].values()) == parts
            assert sorted(path.name for path in copy.root.iterdir()) == before
            assert [path.name for path in place.iterdir()] == [inner.name]
        finally:
            copy.stop()
    finally:
        site.cluster.psql("drop table spaced")
        site.cluster.psql("drop tablespace space")
