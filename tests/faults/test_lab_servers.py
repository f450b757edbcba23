# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the hosts of the walk-through: a disk that is really full, and ProFTPD's mod_sftp."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

SPACE = "/srv/pgsftp/backup_space"

PROFTPD = """\
ModulePath /usr/lib/proftpd
LoadModule mod_ls.c
LoadModule mod_xfer.c
LoadModule mod_sftp.c
ServerName test
ServerType standalone
DefaultServer on
Port 2222
User proftpd
Group nogroup
UseIPv6 off
RequireValidShell off
PidFile /run/proftpd-sftp.pid
ScoreboardFile /run/proftpd-sftp.score
SFTPEngine on
SFTPHostKey /etc/ssh/ssh_host_ecdsa_key
SFTPHostKey /etc/ssh/ssh_host_rsa_key
SFTPAuthMethods publickey
SFTPAuthorizedUserKeys file:/etc/proftpd/keys/%u
DefaultRoot /srv/pgsftp
AllowOverwrite on
Umask 0027 0027
"""


def pgsftp(lab, *words, config="/etc/pgbackrest.conf", check=True):
    line = f"pgsftp --config={config} --stanza=demo --log-level-file=off {' '.join(words)}"
    return lab.run("pg1-srv", line, user="postgres", check=check)


def labels(lab, **options):
    out = pgsftp(lab, "info", "--output=json", "--log-level-console=off", **options).stdout
    return [row["label"] for row in json.loads(out)[0]["backup"]]


@pytest.mark.parametrize("free", ["4k", "600k"])
def test_a_full_disk(deployed_lab, free):
    """No bundle fits, or the first ones do."""
    lab = deployed_lab
    before = labels(lab)
    lab.verb("full", "sftp-srv", SPACE, free)
    try:
        done = pgsftp(
            lab, "backup", "--type=full", "--no-expire-auto", "--no-archive-check", check=False
        )
        assert done.returncode == 64, done.stdout
        assert re.search(r"no space left on the server \(\d+ bytes free\)", done.stdout)
        assert "free space and run again" in done.stdout
        assert labels(lab) == before
        # Space is there again: nothing else was done.
        lab.run("sftp-srv", f"mount -o remount,size=1g {SPACE}")
        pgsftp(lab, "backup", "--type=full", "--no-expire-auto", "--no-archive-check")
        assert len(labels(lab)) == len(before) + 1
        pgsftp(lab, "verify", f"--set={labels(lab)[-1]}")
        assert not lab.run("sftp-srv", f"find {SPACE} -name '*.tmp'").stdout
    finally:
        # What was archived meanwhile belongs to the cluster's WAL, below the disk that was full.
        lab.run(
            "sftp-srv",
            f"mkdir -p /run/below && mount --bind {SPACE}/.. /run/below"
            f" && cp -an {SPACE}/archive/. /run/below/backup_space/archive/; umount /run/below",
        )
        # A session of the archiver has its working directory there.
        lab.run("sftp-srv", f"umount --lazy {SPACE}")
    assert labels(lab) == before


@pytest.fixture
def proftpd(deployed_lab):
    """ProFTPD from Debian beside OpenSSH; gives the configuration that uses it."""
    lab = deployed_lab
    options = "-o Dpkg::Options::=--force-confold"
    lab.run(
        "sftp-srv",
        "test -e /usr/lib/proftpd/mod_sftp.so || { apt-get -q update && "
        f"DEBIAN_FRONTEND=noninteractive apt-get -qy {options} install proftpd-core "
        "proftpd-mod-crypto; }",
    )
    lab.run("sftp-srv", "cat > /etc/proftpd/sftp.conf", input=PROFTPD)
    lab.run(
        "sftp-srv",
        f"""set -e
        systemctl disable --now proftpd >/dev/null 2>&1 || true
        install -d /etc/proftpd/keys
        install -d -o pgbackrest -g pgbackrest {SPACE}/proftpd
        sed -n 's/^.*\\(ssh-ed25519 .*\\)$/\\1/p' /etc/ssh/authorized_keys.d/pgbackrest |
            head -1 > /root/key.pub
        ssh-keygen -e -f /root/key.pub > /etc/proftpd/keys/pgbackrest
        pkill -F /run/proftpd-sftp.pid 2>/dev/null && sleep 1 || true
        proftpd -c /etc/proftpd/sftp.conf""",
    )
    lab.run(
        "pg1-srv",
        """sed 's#^repo1-path=.*#repo1-path=/backup_space/proftpd#
        s#^repo1-sftp-host-port=.*#repo1-sftp-host-port=2222#
        s#^repo1-sftp-host-key-check-type=.*#repo1-sftp-host-key-check-type=none#' \
        /etc/pgbackrest.conf > /tmp/proftpd.conf; chown postgres: /tmp/proftpd.conf""",
    )
    yield "/tmp/proftpd.conf"
    lab.run("pg1-srv", "rm -f /tmp/proftpd.conf")
    lab.run(
        "sftp-srv",
        f"pkill -F /run/proftpd-sftp.pid; rm -rf {SPACE}/proftpd /etc/proftpd/keys /root/key.pub "
        "/etc/proftpd/sftp.conf",
    )


def test_proftpd(deployed_lab, proftpd):
    lab, options = deployed_lab, {"config": proftpd}
    pgsftp(lab, "stanza-create", **options)
    quiet = ("--no-archive-check", "--output=json", "--log-level-console=off")
    (repo,) = json.loads(pgsftp(lab, "check", *quiet, **options).stdout)["repos"]
    assert "mod_sftp" in repo["preflight"]["software"]
    refused = {row["name"] for row in repo["preflight"]["trials"] if not row["works"]}
    assert refused <= {"limits"}
    pgsftp(lab, "backup", "--type=full", "--no-archive-check", **options)
    pgsftp(lab, "backup", "--type=incr", "--no-archive-check", "--no-repo1-bundle", **options)
    pgsftp(lab, "backup", "--type=full", "--no-archive-check", "--no-repo1-bundle", **options)
    assert len(labels(lab, **options)) == 3
    found = json.loads(
        pgsftp(lab, "verify", "--output=json", "--log-level-console=off", **options).stdout
    )
    # No WAL is archived there, which is the only thing that may be missed.
    assert all(row["checked"] == row["valid"] > 0 for row in found["backups"]), found
    pgsftp(lab, "expire", "--repo1-retention-full=1", **options)
    assert len(labels(lab, **options)) == 1
    copy = "/var/lib/postgresql/proftpd"
    try:
        # The checksum of each file is compared.
        pgsftp(lab, "restore", f"--pg1-path={copy}", "--type=none", **options)
        assert lab.run("pg1-srv", f"ls {copy}/global/pg_control {copy}/base/5").stdout
    finally:
        lab.run("pg1-srv", f"rm -rf {copy}")
