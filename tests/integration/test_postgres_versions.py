# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and recovery with a server of every release that is installed.

Further ones than the distribution's are named in the environment, as ``PGSFTP_POSTGRES``: versions
with their directories of programs, ``13=/opt/pg13/bin:18=/opt/pg18/bin``.
"""

from __future__ import annotations

import json

import pytest

from ansible_collections.pgsftp.backup.tests.support.postgres import FURTHER, VERSIONS

TOLD = "select count(*), sum(i), md5(string_agg(i::text, ',' order by i)) from told"

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("version", sorted({*VERSIONS, *FURTHER}, key=float))
def test_backups_and_recovery(sites, new_cluster, version):
    site = sites(new_cluster("--wal-segsize=1", version=version))
    cluster = site.cluster
    site.configure(repo1_block="y")
    site.archive()
    site.run("stanza-create")
    cluster.psql(f"create tablespace room location '{cluster.directory('room')}'")
    cluster.psql("create table told tablespace room as select i from generate_series(1, 50000) i")
    cluster.psql("create unlogged table lost as select 1 i")
    site.run("backup", "--type=full")
    cluster.psql("update told set i = -i where i % 1000 = 0")
    cluster.psql("select pg_create_restore_point('here')")
    at_here = cluster.psql(TOLD)
    site.run("backup", "--type=incr")
    cluster.psql("insert into told values (0)")
    site.run("check")
    at_end = cluster.psql(TOLD)
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    assert [row["version"] for row in stanza["db"]] == [version]
    full, incr = (row["label"] for row in stanza["backup"])
    assert "status: ok" in site.run("verify", "--output=text", "--verbose").stdout
    for name, expected, words in (
        ("end", at_end, ()),
        (
            "here",
            at_here,
            (f"--set={full}", "--type=name", "--target=here", "--target-action=promote"),
        ),
    ):
        copy = site.restored(name)
        room = f"--tablespace-map-all={copy.root}"
        site.run("restore", f"--pg1-path={copy.data}", room, *words)
        copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
        copy.start()
        copy.wait("select pg_is_in_recovery()", "f")
        assert copy.psql(TOLD) == expected
        assert copy.psql("select count(*) from lost") == "0"
        copy.stop()
    assert incr.startswith(full)
