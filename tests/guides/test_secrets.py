# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret of the roles is seen anywhere but in the files that are for it, at -vvvv neither."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.pgsftp.backup.tests.support import awx

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

# What holds a secret on each host, and its mode.
CONFIG = {"/etc/pgbackrest.conf": "640"}
MAY = {
    "pg1-srv": CONFIG,
    "pg2-srv": {**CONFIG, "/var/lib/postgresql/.pgpass": "600"},
    "sftp-srv": {},
}

# Everything but what comes with the distribution, and the clusters' relation files.
PLACES = "/etc /home /opt /root /run /srv /tmp /var/backups /var/cache /var/lib /var/log /var/tmp"

# What the roles make of secrets is gone on the standby, and the primary has another password.
STRIP = "rm -f /etc/pgbackrest.conf ~postgres/.pgpass ~postgres/.ssh/id_ed25519_sftp*"
ALTER = """psql -qc "alter role replic_user password 'another'" """

# What no host has, of which a run in check mode shows what it would write.
CIPHER = {
    "pgsftp_repository_cipher_type": "aes-256-cbc",
    "pgsftp_repository_cipher_pass": "geheim-cipher-0815",
}


def secrets_of(state: Path) -> list[str]:
    """What the demo has made up, and how .pgpass spells those with a colon."""
    found = [path.read_text().split()[0] for path in sorted((state / "secrets").iterdir())]
    assert len(found) >= 3
    assert all(len(secret) == 32 for secret in found)
    return [*found, *(secret.replace(":", r"\:") for secret in found if ":" in secret)]


class Play:
    """Runs a playbook of the collection, and keeps all that others see of that meanwhile."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.out: list[str] = []
        self.seen: list[bytes] = []

    def run(self, playbook: str, *words: str) -> None:
        """Run it as loudly as Ansible can."""
        environment = {
            **os.environ,
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.directory / "facts"),
            "ANSIBLE_LOG_PATH": str(self.directory / "log"),
            "ANSIBLE_LOCAL_TEMP": str(self.directory / "local"),
        }
        line = '. scripts/env; exec ansible-playbook -vvvv --diff -i inventories/demo "$@"'
        running = subprocess.Popen(
            ["sh", "-c", line, "sh", f"playbooks/{playbook}.yml", *words],
            cwd=awx.TOP,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        watcher = threading.Thread(target=self._watch, args=(running,))
        watcher.start()
        out = running.communicate()[0]
        watcher.join()
        assert running.returncode == 0, out[-10000:]
        self.out.append(out)

    def _watch(self, running: subprocess.Popen[str]) -> None:
        # The hosts are containers of this machine, which sees their processes beside its own.
        while running.poll() is None:
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        self.seen.append((process / name).read_bytes())
                    except OSError:
                        continue
            self.seen = list(set(self.seen))
            time.sleep(0.02)


def holders(lab, host: str, secrets: list[str]) -> dict[str, str]:
    """The files that hold one of them, with their modes."""
    grep = f"grep -rlaFs --exclude-dir=base -f /dev/stdin {PLACES} || test $? -le 2"
    names = lab.run(host, grep, input="\n".join(secrets) + "\n").stdout.splitlines()
    return {name: lab.run(host, f"stat -c %a {name}").stdout.strip() for name in names}


def test_no_secret_is_seen(deployed_lab, tmp_path):
    lab = deployed_lab
    secrets = secrets_of(lab.state)
    since = time.time()
    lab.run("pg2-srv", STRIP)
    lab.run("pg1-srv", ALTER, user="postgres")
    play = Play(tmp_path)
    cipher = tmp_path / "cipher.yml"
    cipher.write_text(yaml.safe_dump(CIPHER))
    play.run("site")
    play.run("site", "--check", f"--extra-vars=@{cipher}", "--tags=pgsftp")
    play.run("rotate_keys", "--extra-vars=rotate_keys_confirm=true")
    cipher.unlink()

    changed = [int(count) for count in re.findall(r"pg2-srv +: ok=\d+ +changed=(\d+)", play.out[0])]
    assert changed and changed[0] >= 3, "nothing was written that holds a secret"
    secrets.append(CIPHER["pgsftp_repository_cipher_pass"])
    for secret in secrets:
        for number, out in enumerate(play.out):
            lines = [line[:300] for line in out.splitlines() if secret in line]
            assert not lines, (number, secret, lines[:5])
        assert not [text for text in play.seen if secret.encode() in text]
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    for host in lab.HOSTS:
        journal = lab.run(host, f"journalctl --since=@{since:.0f} --no-pager --quiet").stdout
        assert not [secret for secret in secrets if secret in journal], host
        assert holders(lab, host, secrets) == MAY[host], host
