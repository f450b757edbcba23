# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the resident archiver refuses: other content under a name, WAL of another cluster."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import releases
from ansible_collections.pgsftp.backup.tests.support.archived_site import (
    archiver,
    cluster,
    site,
    sshd,
)
from ansible_collections.pgsftp.backup.tests.support.archiver import (
    Archiver,
    archive_command,
    drained,
    make_segments,
    stored,
    until,
)
from ansible_collections.pgsftp.backup.tests.support.engine import own

# Fixtures.
__all__ = ["archiver", "cluster", "site", "sshd"]

pytestmark = pytest.mark.integration


def test_the_same_again_is_fine_and_another_one_is_refused(site, archiver):
    (name,) = make_segments(site, 1)
    archiver.start()
    archiver.push(name)
    before = stored(site)
    archiver.push(name)
    archiver.stop()
    archiver.start()
    archiver.push(name)
    assert stored(site) == before
    path = site.cluster.data / "pg_wal" / name
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        said = archiver.push(name, code=45)
    finally:
        path.write_bytes(content)
    assert "already exists in the repo1 archive with a different checksum" in said
    assert stored(site) == before


def test_what_the_cluster_does_not_own_is_refused(site, archiver):
    archiver.start()
    said = archiver.push("000000010000000000000099", code=55)
    assert "unable to open missing file" in said


def strange_segment(site, like, how):
    """A segment in the cluster's directory of which the header tells another origin."""
    directory = site.cluster.data / "pg_wal"
    content = bytearray((directory / like).read_bytes())
    (magic,) = struct.unpack_from("<H", content)
    (system,) = struct.unpack_from("<Q", content, 24)
    if how == "system":
        struct.pack_into("<Q", content, 24, system + 1)
    else:
        other = next(row for row in releases.RELEASES if row.wal_magic != magic)
        struct.pack_into("<H", content, 0, other.wal_magic)
    made = directory / "000000010000000000000F77"
    made.write_bytes(content)
    own(made)
    return made


@pytest.mark.parametrize("how", ["system", "version"])
@pytest.mark.parametrize("through", ["archiver", "command"])
def test_a_segment_that_another_cluster_wrote_is_refused_by_its_header(
    site, archiver, through, how
):
    (like,) = make_segments(site, 1)
    if through == "archiver":
        archiver.start()
    archiver.push(like)
    strange = strange_segment(site, like, how)
    try:
        before = sorted(site.repo.rglob("*"))
        said = archiver.push(strange.name, code=44)
        assert f"'{strange}' version" in said
        assert "do not match stanza version" in said
        assert sorted(site.repo.rglob("*")) == before
        site.configure(archive_header_check="n")
        archiver.push(strange.name)
        assert set(stored(site)) == {like, strange.name}
    finally:
        strange.unlink()


def test_the_wal_of_a_cluster_that_took_the_place_of_another_waits(sites, new_cluster, sshd):
    """Until the stanza is told that it is to hold that one's, too."""
    site = sites(new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false"))
    site.use_sftp(sshd)
    site.run("stanza-create")
    other = new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false")
    place = site.cluster
    for each in (place, other):
        each.stop()
    place.data.rename(place.root / "former")
    other.data.rename(place.data)
    place.configure(unix_socket_directories=str(place.socket), port=str(place.port))
    place.start()
    archiver = Archiver(site)
    try:
        names = make_segments(site, 3)
        archiver.start()
        said = archiver.push(names[0], code=44)
        assert "do not match stanza version" in said
        assert archiver.status()["lag_segments"] >= 3
        assert archiver.status()["error"]["code"] == 44
        assert not stored(site)
        site.run("stanza-upgrade")
        archive_command(site, archiver)
        drained(site, archiver, 120)
        assert set(names) <= set(stored(site))
        assert {path.parts[-3] for path in site.repo.glob("archive/demo/*/*/*")} == {
            f"{place.version}-2"
        }
    finally:
        archiver.stop()
        archiver.forget()


def test_of_two_servers_promoted_to_one_timeline_the_second_is_refused(site, archiver):
    """The second one's WAL on it, too, and what was there before stays."""
    pg_wal = site.cluster.data / "pg_wal"
    status = pg_wal / "archive_status"
    # Later than any that the cluster has come to.
    history, segment = "00000099.history", "000000990000000000000001"
    made = [pg_wal / history, pg_wal / segment]
    made += [status / f"{history}.ready", status / f"{segment}.ready"]
    (name,) = make_segments(site, 1)
    archiver.start()
    archiver.push(name)
    archived = next(site.repo.glob("archive/demo/*/")) / history
    archived.write_bytes(b"1\t0/1000000\tno recovery target specified\n")
    own(archived)
    try:
        made[0].write_bytes(b"1\t0/2000000\tno recovery target specified\n")
        made[1].write_bytes((pg_wal / name).read_bytes())
        for path in made[2:]:
            path.touch()
        for path in made:
            own(path)
        said = archiver.push(history, code=45)
        assert f"'{history}' already exists in the repo1 archive with different content" in said
        (after,) = make_segments(site, 1)
        until(lambda: after in stored(site), "the cluster's own WAL waits, too", archiver)
        assert segment not in stored(site)
        assert archived.read_bytes() == b"1\t0/1000000\tno recovery target specified\n"
        # The same one is stored already.
        made[0].write_bytes(archived.read_bytes())
        archiver.push(history)
        until(lambda: segment in stored(site), "not sent", archiver)
    finally:
        for path in made:
            path.unlink(missing_ok=True)
