# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bad input gets: the cause first, one hint, pgBackRest's exit code, and nothing half done."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def archived(sites):
    """A cluster that archives into a repository; never changed by a test."""
    made = sites()
    made.archive()
    made.run("stanza-create")
    return made


@pytest.fixture
def site(sites, archived):
    """A configuration of its own for the same cluster."""
    return sites(archived.cluster)


@pytest.fixture
def remote(site, sshd):
    """The same, with a repository over SFTP."""
    site.use_sftp(sshd)
    return site


def refused(site, *command, code, cause, hint=None):
    """Run a command that must fail; its message."""
    done = site.run(*command, code=code)
    lines = (done.stdout + done.stderr).splitlines()
    errors = [line for line in lines if f"ERROR: [{code:03d}]: " in line]
    assert len(errors) == 1, done.stdout
    assert cause in errors[0], errors[0]
    assert not errors[0].endswith(".")
    hints = [line for line in lines if "HINT:" in line]
    assert len(hints) == 1, hints
    if hint is not None:
        assert hint in hints[0], hints[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert "opensesame" not in done.stdout + done.stderr
    return errors[0]


def nothing_listed(site):
    (stanza,) = json.loads(site.run("info", "--output=json").stdout)
    return stanza["backup"] == []


def test_wrong_key(remote, tmp_path):
    real_sshd.keygen(tmp_path / "other", "ed25519")
    shutil.copy(tmp_path / "other", remote.root / "keys" / "other")
    own(remote.root / "keys" / "other")
    remote.configure(repo1_sftp_private_key_file=str(remote.root / "keys" / "other"))
    refused(remote, "stanza-create", code=101, cause="public key refused", hint="authorized_keys")


def with_passphrase(remote, sshd, tmp_path, **changes):
    key = tmp_path / "locked"
    real_sshd.keygen(key, "ed25519", passphrase="opensesame")
    sshd.authorize(f"{key}.pub")
    place = remote.root / "keys" / "locked"
    shutil.copy(key, place)
    own(place)
    remote.configure(repo1_sftp_private_key_file=str(place), **changes)


def test_wrong_passphrase(remote, sshd, tmp_path):
    with_passphrase(remote, sshd, tmp_path, repo1_sftp_private_key_passphrase="not-opensesame")
    refused(remote, "stanza-create", code=101, cause="passphrase")


def test_no_passphrase(remote, sshd, tmp_path):
    with_passphrase(remote, sshd, tmp_path)
    refused(remote, "stanza-create", code=101, cause="passphrase", hint="passphrase")


def test_right_passphrase(remote, sshd, tmp_path):
    with_passphrase(remote, sshd, tmp_path, repo1_sftp_private_key_passphrase="opensesame")
    remote.run("stanza-create")


def test_unknown_host_key(remote):
    empty = remote.root / "keys" / "nobody"
    empty.write_text("")
    own(empty)
    remote.configure(repo1_sftp_known_host=str(empty))
    refused(remote, "stanza-create", code=101, cause="host key", hint="known")


def test_changed_host_key(remote, tmp_path):
    real_sshd.keygen(tmp_path / "impostor", "ed25519")
    blob = (tmp_path / "impostor.pub").read_text().split()[1]
    known = remote.root / "keys" / "known_hosts"
    name = known.read_text().split()[0]
    known.write_text(f"{name} ssh-ed25519 {blob}\n")
    text = refused(remote, "stanza-create", code=101, cause="host key")
    assert text.count("SHA256:") == 2


def test_unreachable_host(remote):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    remote.configure(repo1_sftp_host_port=str(port))
    refused(remote, "stanza-create", code=49, cause=f"127.0.0.1:{port}': connection refused")


def test_a_host_name_that_does_not_resolve(remote):
    remote.configure(repo1_sftp_host="nosuch.invalid")
    refused(remote, "stanza-create", code=49, cause="unable to connect to 'nosuch.invalid:")


@pytest.mark.parametrize("kind", ["posix", "sftp"])
def test_a_repository_that_cannot_be_made(site, sshd, kind):
    if kind == "sftp":
        site.use_sftp(sshd)
    # A file where a directory should be stops root, too, who the server's user may be.
    blocked = site.root / "blocked"
    blocked.write_text("")
    site.configure(repo1_path=str(blocked / "repo"))
    refused(site, "stanza-create", code=47, cause="blocked", hint="repo1-path")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_repository_without_permission(site):
    site.repo.mkdir(mode=0o700)
    refused(site, "stanza-create", code=105, cause="permission denied")


@pytest.fixture
def jail(site):
    """A site whose server shows a user without rights a directory of root's, as sshd wants it."""
    if os.geteuid() != 0 or not os.path.exists("/etc/pam.d/sshd"):
        pytest.skip("only root's sshd has a chroot, and only PAM lets in who has no password")
    # All above a chroot must be root's alone, which /tmp is not.
    root = Path(tempfile.mkdtemp(prefix="pgsftp-jail-", dir="/run"))
    root.chmod(0o755)
    keys = Path(tempfile.mkdtemp(prefix="pgsftp-sshd-"))
    # Who is let in has to read which keys may.
    keys.chmod(0o755)
    lines = ("UsePAM yes", f"ChrootDirectory {root}", "ForceCommand internal-sftp")
    server = real_sshd.start(keys, *lines)
    try:
        site.use_sftp(dataclasses.replace(server, user=OWNER))
        site.configure(repo1_path="/backup_space")
        yield root
    finally:
        server.stop()
        shutil.rmtree(root)
        shutil.rmtree(keys)


@pytest.mark.parametrize("made", [True, False], ids=["owned by root", "missing"])
def test_a_repository_that_the_administrator_did_not_hand_over(site, jail, made):
    if made:
        (jail / "backup_space").mkdir(mode=0o755)
    hint = "is the repository directory there"
    for command in ("stanza-create", "check"):
        text = refused(site, command, code=105, cause="127.0.0.1:/backup_space", hint=hint)
        assert text.endswith(": permission denied")
    refused(site, "backup", code=55, cause="unable to load", hint="stanza-create")
    assert [path.name for path in jail.rglob("*")] == ["backup_space"] * made


def test_no_stanza(site):
    refused(site, "backup", "--type=full", code=55, cause="unable to load", hint="stanza-create")
    refused(site, "check", "--no-archive-check", code=55, cause="unable to load")


def test_stanza_of_another_cluster(sites, archived):
    other = sites()
    other.configure(repo1_path=str(archived.repo))
    cluster = other.cluster
    cluster.configure(archive_mode="on", archive_command="true pgbackrest %p")
    cluster.restart()
    before = sorted(archived.repo.rglob("*"))
    refused(other, "stanza-create", code=28, cause="another cluster", hint="stanza")
    refused(other, "backup", "--type=full", code=51, cause="system-id", hint="stanza")
    cluster.psql("create table t as select 1")
    segment = cluster.psql("select pg_walfile_name(pg_switch_wal())")
    path = cluster.data / "pg_wal" / segment
    refused(other, "archive-push", str(path), code=44, cause="system-id", hint="stanza")
    assert sorted(archived.repo.rglob("*")) == before


def test_postgres_is_down(sites):
    site = sites()
    site.cluster.stop()
    refused(site, "stanza-create", code=56, cause="unable to connect to PostgreSQL at")
    assert not site.repo.exists()
    site.cluster.start()
    site.run("stanza-create")
    site.cluster.stop()
    before = sorted(site.repo.rglob("*"))
    for command in ("stanza-create", "check", "backup"):
        refused(site, command, code=56, cause="unable to connect to PostgreSQL at")
    assert nothing_listed(site)
    assert sorted(site.repo.rglob("*")) == before


def test_archiving_is_off(sites):
    site = sites()
    site.run("stanza-create")
    refused(site, "check", code=87, cause="archive_mode must be enabled", hint="archive_mode")
    refused(site, "backup", "--type=full", code=87, cause="archive_mode must be enabled")
    site.cluster.configure(archive_mode="on")
    site.cluster.restart()
    refused(site, "check", code=68, cause="archive_command", hint="archive-push")
    refused(site, "backup", "--type=full", code=68, cause="archive_command")
    assert nothing_listed(site)


def test_archiving_of_standbys_too(sites):
    """Both would archive to the stanza; whoever has one for each host may say so."""
    site = sites()
    site.archive()
    site.cluster.configure(archive_mode="always")
    site.cluster.restart()
    site.run("stanza-create")
    for command in (("check",), ("backup", "--type=full")):
        refused(
            site, *command,
            code=67, cause="archive_mode=always not supported", hint="archive-mode-check=n",
        )  # fmt: skip
    assert nothing_listed(site)
    site.configure(archive_mode_check="n")
    site.run("check")
    site.run("backup", "--type=full")
    assert not nothing_listed(site)


def test_wal_that_does_not_arrive(sites):
    site = sites()
    site.configure(archive_timeout="1")
    site.run("stanza-create")
    site.cluster.configure(archive_mode="on", archive_command="false pgbackrest")
    site.cluster.restart()
    refused(site, "check", code=82, cause="was not archived before", hint="archive_command")
    refused(site, "backup", "--type=full", code=82, cause="was not archived before")
    assert nothing_listed(site)


def test_restore_without_a_backup(archived):
    copy = archived.restored("none")
    refused(archived, "restore", f"--pg1-path={copy.data}", code=75, cause="no backup set found")
    assert not copy.data.exists()


def test_restore_over_a_running_server(archived):
    marker = archived.cluster.data / "PG_VERSION"
    for how in ((), ("--delta",), ("--force",), ("--delta", "--force")):
        refused(archived, "restore", *how, code=38, cause="running", hint="stop")
    assert marker.exists()
    assert archived.cluster.psql("select 1") == "1"


def test_restore_into_a_directory_that_is_not_empty(archived):
    copy = archived.restored("full")
    copy.data.mkdir(mode=0o700)
    own(copy.data)
    (copy.data / "precious").write_text("data")
    refused(
        archived, "restore", f"--pg1-path={copy.data}",
        code=40, cause="contains files", hint="--delta",
    )  # fmt: skip
    # Nothing says that this is a data directory, so --delta does not remove it either.
    done = archived.run("restore", f"--pg1-path={copy.data}", "--delta", code=40)
    assert "unable to find 'PG_VERSION'" in done.stdout
    assert (copy.data / "precious").read_text() == "data"


def test_a_second_backup_at_the_same_time(archived):
    import fcntl

    path = archived.root / "lock" / "demo-backup-1.lock"
    path.parent.mkdir(exist_ok=True)
    own(path.parent)
    with open(path, "w") as holder:
        own(path)
        fcntl.flock(holder, fcntl.LOCK_EX)
        refused(archived, "backup", code=50, cause="unable to acquire lock", hint="running")
    path.unlink()


def test_an_option_that_does_not_exist(site):
    site.configure(repo1_sftp_hots="sftp-srv")
    text = refused(site, "info", code=31, cause="repo1-sftp-hots")
    assert f"{site.config}, line " in text


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(site):
    done = site.run("info", "--repo1-sftp-private-key-passphrase=opensesame", code=31)
    assert "opensesame" not in done.stdout + done.stderr
