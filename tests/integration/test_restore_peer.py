# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every type of restore leaves the settings that stock pgBackRest does, and refuses the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.interop]

PEER = Path("/usr/bin/pgbackrest")
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= #|$)", re.M)

TYPES = {
    "default": (),
    "default-timeline": ("--target-timeline=current",),
    "default-options": (
        "--recovery-option=recovery-min-apply-delay=5s",
        "--recovery-option=archive_cleanup_command=true",
    ),
    "archive-off": ("--archive-mode=off",),
    "immediate": ("--type=immediate",),
    "immediate-action": ("--type=immediate", "--target-action=promote"),
    "lsn": ("--type=lsn", "--target={lsn}", "--target-exclusive"),
    "name": ("--type=name", "--target=a point", "--target-timeline=latest"),
    "none": ("--type=none",),
    "standby": ("--type=standby", "--recovery-option=primary_conninfo=host=x"),
    "time": ("--type=time", "--target={time}", "--target-action=shutdown"),
    "xid": ("--type=xid", "--target=100000", "--target-exclusive"),
}


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    """A cluster that was recovered to a target once, with a backup that both can read."""
    if not PEER.exists():
        pytest.skip("stock pgBackRest is not installed")
    made = sites(new_cluster("--wal-segsize=1"))
    made.configure(compress_type="gz", repo1_bundle=None, spool_path=None)
    made.archive()
    cluster = made.cluster
    settings = cluster.data / "postgresql.auto.conf"
    settings.write_text(
        settings.read_text() + "work_mem = '8MB'\nrecovery_target_name = 'old'\n\n\n"
    )
    made.run("stanza-create")
    cluster.psql(f"create tablespace side location '{cluster.directory('side')}'")
    made.oid = cluster.psql("select oid from pg_tablespace where spcname = 'side'")
    made.run("backup", "--type=full")
    (stanza,) = json.loads(made.run("info", "--output=json").stdout)
    made.side = stanza["backup"][0]["label"]
    cluster.psql("drop tablespace side")
    made.run("backup", "--type=full")
    time.sleep(1.1)
    cluster.psql("select pg_create_restore_point('a point'); create table t ()")
    made.lsn = cluster.psql("select pg_current_wal_insert_lsn()")
    made.time = cluster.psql("select now()")
    cluster.psql("create table u (); select pg_switch_wal()")
    made.run("check")
    cluster.stop()
    return made


def settings_after(site, command, arguments):
    """The settings and signal files of a restore by this program."""
    data = site.root / "compared"
    words = [word.format(lsn=site.lsn, time=site.time) for word in arguments]
    if not any(word.startswith("--archive-mode") for word in words):
        words.append("--archive-mode=preserve")
    try:
        site.run("restore", f"--pg1-path={data}", "--cmd=/the/command", *words, command=command)
        text = (data / "postgresql.auto.conf").read_text()
        return DATE.sub("DATE", text), sorted(path.name for path in data.glob("*.signal"))
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.mark.parametrize("arguments", TYPES.values(), ids=TYPES)
def test_settings(site, arguments):
    text, signals = settings_after(site, None, arguments)
    expected, expected_signals = settings_after(site, PEER, arguments)
    assert text == expected
    if arguments == ("--type=none",):
        # Before 2.47 pgBackRest had the server recover all the same.
        assert signals == []
    else:
        assert signals == expected_signals != []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--type=time", "--target=2001-01-01 00:00:00+00"),
        ("--type=lsn", "--target=0/1"),
        ("--set=20200101-000000F",),
        ("--link-map=nosuch=/x",),
        ("--link-map=PG_VERSION=x",),
        ("--link-map=base={data}/base",),
        ("--link-map=pg_xact=/x/a", "--link-map=base=/x"),
        ("--link-map=pg_xact=/x/a", "--link-map=PG_VERSION=/x/a/v"),
        ("--link-map=pg_ident.conf=/x/c", "--link-map=pg_hba.conf=/x/c"),
        ("--tablespace-map=nosuch=/x",),
        ("--set={side}", "--tablespace-map=side={data}/side"),
        ("--set={side}", "--tablespace-map=side=/x", "--tablespace-map={oid}=/y"),
        ("--set={side}", "--tablespace-map=side=/x", "--link-map=pg_wal=/x"),
        ("--db-include=nosuch",),
        ("--db-exclude=nosuch",),
        ("--db-include=postgres",),
        ("--type=xid",),
        ("--type=standby", "--recovery-option=standby_mode=on"),
        ("--pg1-host=elsewhere",),
    ],
    ids=lambda words: words[-1][2:].partition(":")[0],
)
def test_refusals_have_the_same_code(site, arguments):
    data = site.root / "refused"
    arguments = [word.format(data=data, oid=site.oid, side=site.side) for word in arguments]
    codes = []
    for command in (PEER, None):
        shutil.rmtree(data, ignore_errors=True)
        try:
            site.run("restore", f"--pg1-path={data}", *arguments, command=command)
            codes.append(0)
        except AssertionError as cause:
            (code,) = re.findall(r"ended with (\d+) instead", str(cause))
            codes.append(int(code))
    assert codes[0] == codes[1] != 0


def test_preserve_leaves_settings_and_signals_alone(site):
    for number, command in enumerate((PEER, None)):
        data = site.root / f"preserved{number}"
        site.run("restore", f"--pg1-path={data}", "--type=none", command=command)
        (data / "recovery.signal").unlink(missing_ok=True)
        for name, text in (("postgresql.auto.conf", "work_mem = '1MB'\n"), ("standby.signal", "")):
            (data / name).write_text(text)
        words = (f"--pg1-path={data}", "--type=preserve", "--archive-mode=preserve", "--delta")
        site.run("restore", *words, command=command)
        assert (data / "postgresql.auto.conf").read_text() == "work_mem = '1MB'\n"
        assert (data / "standby.signal").exists()
        assert not os.path.exists(data / "recovery.signal")
