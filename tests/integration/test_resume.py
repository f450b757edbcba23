# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full backup that is killed goes on where it was, and what it had sent is not sent again."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    run as backup,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    source,
    steps,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.own_server import as_owner
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = pytest.mark.integration

STORED = {
    "bundles": {"repo1_bundle_size": "1MiB", "process_max": "2"},
    "blocks-aes": {
        "repo1_bundle_size": "1MiB",
        "repo1_block": "y",
        "repo1_cipher_type": "aes-256-cbc",
        "repo1_cipher_pass": "a pass",
        "process_max": "2",
    },
    "files": {"repo1_bundle": "n", "process_max": "1"},
}
SLOW = {"bundles", "files"}

TABLES = 100
CONTENT = (
    "select count(*), sum(hashtext(m)) from ("
    + " union all ".join(f"select m from t{number}" for number in range(TABLES))
    + ") every"
)


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """Many relations of some size, so that a copy takes a while and has many steps."""
    made = new_cluster("--wal-segsize=1")
    for number in range(TABLES):
        made.psql(
            f"create table t{number} as select i, repeat(md5(i::text), 50) m"
            " from generate_series(1, 800) i"
        )
    # Else the first query writes hint bits, and WAL for all of them.
    made.psql("vacuum freeze")
    made.psql("checkpoint")
    return made


@pytest.fixture
def site(sites, cluster):
    """What a worker has under way is small against what is stored when a backup is broken off."""
    made = sites(cluster)
    made.configure(compress_type="none", manifest_save_threshold="100KiB")
    return made


def ready(site, stored):
    site.configure(**STORED[stored])
    site.run("stanza-create")
    site.archive()


def complete(site) -> dict[Path, tuple[int, int]]:
    """Inode and size of every file of a backup that has its name."""
    return {
        path: (path.stat().st_ino, path.stat().st_size)
        for path in (site.repo / "backup/demo").glob("*F/**/*")
        if path.is_file() and ".pgbackrest.tmp" not in path.name and "manifest" not in path.name
    }


def begun(site) -> subprocess.Popen[str]:
    """A full backup that runs."""
    command = [str(site.command), f"--config={site.config}", "--stanza=demo"]
    owner = {} if os.geteuid() else {"user": OWNER, "group": OWNER, "extra_groups": []}
    return subprocess.Popen(
        [*command, "backup", "--type=full", "--log-level-console=warn"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=site.cluster.root,
        env={"PATH": os.environ["PATH"], "HOME": str(site.cluster.root), "TZ": "UTC"},
        **owner,
    )


def broken_off(site, number: signal.Signals, least: int = 140_000_000) -> None:
    """Start a full backup and end it when so many bytes are stored, and a checkpoint is."""
    process = begun(site)
    deadline = time.monotonic() + 120
    while True:
        saved = list((site.repo / "backup/demo").glob("*F/backup.manifest.copy"))
        if saved and sum(size for _inode, size in complete(site).values()) >= least:
            break
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == (63 if number == signal.SIGTERM else -number), out
    # Workers of a killed process end by themselves; until then they hold its lock.
    for path in (site.root / "lock").glob("*.lock"):
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


def test_the_lock_of_a_killed_backup_is_free_although_a_worker_was_at_a_large_file(site):
    ready(site, "files")
    site.configure(compress_type="gz", compress_level="9")
    large = site.cluster.data / "large"
    # Of two letters, which takes gz minutes at that level, long between two words to the parent.
    block = bytes(97 + (byte & 1) for byte in os.urandom(1 << 20))
    large.write_bytes(block * 64)
    own(large)
    try:
        process = begun(site)
        deadline = time.monotonic() + 120
        while not list((site.repo / "backup/demo").glob("*F/pg_data/large.gz.*.pgbackrest.tmp")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.communicate(timeout=60)
        killed = time.monotonic()
        locks = list((site.root / "lock").glob("*.lock"))
        assert locks
        for path in locks:
            with path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
        assert time.monotonic() - killed < 2
    finally:
        large.unlink()
    assert info(site) == []
    site.run("expire", "--repo1-retention-full=1")
    site.run("backup", "--type=full")
    assert len(info(site)) == 1


def info(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return stanza["backup"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    "stored", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in STORED]
)
def test_what_was_sent_is_not_sent_again(site, stored, number):
    ready(site, stored)
    broken_off(site, number)
    before = complete(site)
    assert info(site) == []
    (left,) = {path.relative_to(site.repo / "backup/demo").parts[0] for path in before}

    site.cluster.psql("update t3 set m = 'changed' where i = 1")
    out = site.run("backup", "--type=full", "--log-level-console=detail").stdout
    assert f"resumable backup {left} of same type exists" in out
    assert "checksum resumed file pg_data/" in out
    after = complete(site)
    sent = sum(size for _inode, size in before.values())
    kept = sum(
        size for path, (inode, size) in before.items() if after.get(path, (0, 0))[0] == inode
    )
    assert kept / sent > 0.9

    (backup,) = info(site)
    assert backup["label"] == left
    if stored != "blocks-aes":
        report = site.pgbackrest("verify", "--output=text", "--verbose").stdout
        peer.parse_verify(report).assert_clean([left])
    assert "\nstatus: ok\n" in site.run("verify", "--output=text", "--verbose").stdout
    site.run("backup", "--type=incr")
    site.cluster.psql("select pg_switch_wal()")
    expected = site.cluster.psql(CONTENT)
    copy = site.restored("copy")
    site.run("restore", f"--pg1-path={copy.data}")
    copy.configure(unix_socket_directories=str(copy.socket), archive_mode="off")
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f", seconds=120)
    assert copy.psql(CONTENT) == expected
    copy.stop()


@pytest.mark.parametrize("resumed", [False, True])
def test_the_server_is_asked_all_the_while(site, resumed):
    """A session that is idle for long may be ended, and a server change its role meanwhile."""
    ready(site, "bundles")
    if resumed:
        broken_off(site, signal.SIGTERM, 30_000_000)
    options = load("backup", [f"--config={site.config}", "--stanza=demo", "--type=full"], {})
    asked = []
    stages = {}

    def counted(stage, function):
        def run(*arguments, **named):
            before = len(asked)
            made = function(*arguments, **named)
            stages[stage] = len(asked) - before
            return made

        return run

    def work():
        check = source.OnlineSource.check_roles
        source.HEARTBEAT = 0
        source.OnlineSource.check_roles = lambda self: asked.append(check(self))
        steps.resume.keep = counted("keep", steps.resume.keep)
        steps.copy = counted("copy", steps.copy)
        backup.run(options)
        assert sorted(stages) == ["copy", "keep"][: 1 + resumed]
        assert all(count > 2 for count in stages.values()), stages

    as_owner(work)


def test_damage_in_what_was_sent_is_found_and_mended(site):
    ready(site, "bundles")
    broken_off(site, signal.SIGTERM, 30_000_000)
    files = sorted(complete(site), key=lambda path: path.stat().st_size)
    for path in (files[-1], files[-2]):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    stray = files[0].with_name("99")
    stray.write_bytes(b"nobody's")
    out = site.run("backup", "--type=full", "--log-level-console=detail").stdout
    assert out.count("is not what was sent") == 2
    assert not stray.exists()
    (backup,) = info(site)
    report = site.pgbackrest("verify", "--output=text", "--verbose").stdout
    peer.parse_verify(report).assert_clean([backup["label"]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-resume"], "remove aborted backup"),
        (["--compress-type=gz"], "new compress-type 'gz' does not match"),
        (["--no-repo1-bundle"], "new repo-bundle 'False' does not match"),
    ],
)
def test_what_cannot_be_resumed_is_removed(site, arguments, message):
    ready(site, "bundles")
    broken_off(site, signal.SIGTERM, 10_000_000)
    (left,) = {path.relative_to(site.repo / "backup/demo").parts[0] for path in complete(site)}
    stray = site.repo / "backup/demo" / left / "stray"
    stray.touch()
    out = site.run("backup", "--type=full", *arguments).stdout
    assert message in out
    # Within the second of the one that goes the new one takes its label, as the peer does.
    assert not stray.exists()
    (backup,) = info(site)
    assert backup["label"] >= left


def test_the_peer_is_not_held_up_by_what_we_left(site):
    ready(site, "bundles")
    broken_off(site, signal.SIGTERM, 10_000_000)
    (left,) = {path.relative_to(site.repo / "backup/demo").parts[0] for path in complete(site)}
    # Within the second of ours, whose directory it removes first, the peer takes the same label.
    time.sleep(1)
    site.pgbackrest("backup", "--type=full")
    (backup,) = info(site)
    assert backup["label"] > left
    assert not (site.repo / "backup/demo" / left).exists()
    report = site.pgbackrest("verify", "--output=text", "--verbose").stdout
    peer.parse_verify(report).assert_clean([backup["label"]])
