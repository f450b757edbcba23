# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other node through a real sshd, with a key that may do nothing but serve."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import cli, errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import wal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.node import LocalNode
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.remote import RemoteNode
from ansible_collections.pgsftp.backup.tests.support import sshd as sshd_support

pytestmark = pytest.mark.integration


def script(path, *lines):
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


class Access:
    """How the tests reach their sshd: ``ssh``, a script that knows its port and keys."""

    def __init__(self, server):
        self.server = server
        self.directory = server.directory
        self.authorized_keys = server.directory / "authorized_keys"
        self.known_hosts = server.directory / "known_hosts_ed25519"
        self.ssh = script(
            server.directory / "ssh",
            f"exec ssh -F none -i {server.private_key} -o IdentitiesOnly=yes"
            f" -o UserKnownHostsFile={server.known_hosts('ed25519')}"
            f' -o StrictHostKeyChecking=yes -p {server.port} "$@"',
        )

    def authorize(self, options):
        """Limit the key to what the options of its line allow."""
        key = (self.directory / "id_ed25519.pub").read_text()
        self.authorized_keys.write_text(f"{options} {key}")

    def sessions(self):
        """The processes that serve."""
        found = subprocess.run(
            ["pgrep", "-f", f"{self.directory}/pgbackrest.conf --stanza=demo remote"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    if not os.path.exists(str(sshd_support.SSHD)):
        pytest.skip("no sshd is installed")
    server = sshd_support.start(
        tmp_path_factory.mktemp("sshd"), subsystem=None, host_keys=("ed25519",)
    )
    yield Access(server)
    server.stop()


@pytest.fixture(scope="module")
def host(sshd, new_cluster):
    """The other host: a cluster, its configuration, and a key limited to serving it."""
    cluster = new_cluster()
    conf = sshd.directory / "pgbackrest.conf"
    options = {**cluster.options(1), "pg2-host": "elsewhere", "pg2-path": "/elsewhere"}
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    conf.write_text(f"[global]\nallow-root=y\n[demo]\n{lines}")
    program = script(
        sshd.directory / "pgsftp",
        f"PYTHONPATH='{os.pathsep.join(sys.path)}' exec {sys.executable} -m {cli.__name__} \"$@\"",
    )
    sshd.authorize(f'restrict,command="{program} --config={conf} --stanza=demo remote"')
    return cluster


@pytest.fixture
def far(sshd, host):
    opened = []

    def run(path=str(host.data), **changes):
        options = load(
            "backup",
            ["--no-config", "--stanza=demo", "--pg1-path=/here", f"--pg2-path={path}",
             f"--pg2-host={sshd.server.host}", f"--pg2-host-user={sshd.server.user}",
             "--pg2-host-cmd=false",
             f"--cmd-ssh={sshd.ssh}", "--protocol-timeout=31m"],
            {},
        )  # fmt: skip
        pg = dataclasses.replace(options.pgs[1], **changes)
        opened.append(RemoteNode(pg, options))
        return opened[-1]

    yield run
    for node in opened:
        node.close()


def test_the_cluster_of_the_other_host(far, host):
    node = far()
    node.connect()
    local = LocalNode(dataclasses.replace(node.pg, host=None, path=str(host.data)), node.options)
    assert node.db.facts().data_directory == str(host.data)
    assert node.control() == local.control()
    spaces = node.db.tablespaces()
    assert node.scan(online=True, tablespaces=spaces) == local.scan(online=True, tablespaces=spaces)
    for path in ("PG_VERSION", "base/1/1259", "global/pg_control"):
        with node.open_file(path) as there, local.open_file(path) as here:
            assert there.read(10_000_000) == here.read(10_000_000)


def test_a_backup_of_the_other_host_from_start_to_stop(far, host):
    node = far()
    node.connect()
    start = node.db.start_backup("pgBackRest backup started at x", True)
    assert node.control().checkpoint >= wal.lsn_parse(start.lsn)
    stop = node.db.stop_backup()
    assert start.lsn in stop.backup_label


def test_a_backup_ends_with_the_connection(far, host):
    node = far()
    node.connect()
    node.db.start_backup("x", True)
    sessions = "select count(*) from pg_stat_activity where application_name like 'pgsftp%'"
    assert host.psql(sessions) == "1"
    node.close()
    host.wait(sessions, "0")


def test_the_key_may_do_nothing_else(sshd, host):
    """Whatever command is asked for, the serving side answers, and it takes no shell's input."""
    done = subprocess.run(
        [sshd.ssh, sshd.server.host, "cat /etc/passwd; id"],
        capture_output=True,
        input=b"id\n",
        check=False,
    )
    assert done.stdout == b"pgsftp-node 1\n"
    assert done.returncode == 39
    assert b"unexpected output instead of a greeting: 'id'" in done.stderr


def test_another_data_directory(far):
    with pytest.raises(errors.DbMismatchError, match="is not a data directory of stanza 'demo'"):
        far("/etc").control()
    with pytest.raises(errors.DbMismatchError):
        far("/elsewhere").control()


def test_a_connection_that_is_lost(far, sshd):
    node = far()
    node.connect()
    assert sshd.sessions()
    for pid in sshd.sessions():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(errors.HostConnectError, match=r"connection to '127\.0\.0\.1'"):
        node.db.now()


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ("", "Permission denied", "may the key of this user log in"),
        ('restrict,command="echo Welcome"', "unexpected output instead of a greeting: 'Welcome'",
         "does a login script"),
        ('restrict,command="/nowhere/pgsftp remote"', "/nowhere/pgsftp: No such file",
         "is the engine installed there?"),
        ('restrict,command="true"', "ended the connection", "do SSH and the engine work"),
    ],
)  # fmt: skip
def test_a_key_that_leads_nowhere(far, sshd, host, options, message, hint):
    path = sshd.authorized_keys
    before = path.read_text()
    try:
        if options:
            sshd.authorize(options)
        else:
            path.write_text("")
        with pytest.raises(errors.EngineError) as caught:
            far().control()
    finally:
        path.write_text(before)
    assert caught.value.code in (39, 49)
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


def test_a_host_key_that_is_not_known(far, sshd):
    path = sshd.known_hosts
    before = path.read_text()
    path.write_text("")
    try:
        with pytest.raises(errors.HostConnectError) as caught:
            far().control()
    finally:
        path.write_text(before)
    assert "Host key verification failed" in caught.value.message
    assert caught.value.hint == "is the host's key in known_hosts of this user?"
