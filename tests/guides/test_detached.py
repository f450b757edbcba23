# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long command of a module goes on when the controller dies, and logind ends the whole login.

The login is that of a user who becomes root, on a host that lets no process outlive its login.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support import awx, sudoer

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

HOST = "pg1-srv"

TASKS = {
    "backup": {"type": "incr", "options": {"backup-standby": "n"}},
    "restore": {"archive_mode": "off", "options": {"pg1-path": "/var/lib/postgresql/detached"}},
    "verify": {},
}


STRICT = """set -e
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\\nKillUserProcesses=yes\\n' > /etc/systemd/logind.conf.d/strict.conf
systemctl restart systemd-logind
"""

AGAIN = """rm -rf /var/lib/postgresql/detached
rm /etc/systemd/logind.conf.d/strict.conf
systemctl restart systemd-logind
"""


@pytest.fixture(scope="module")
def strict_host(deployed_lab):
    """A host whose logind kills what a login has left, with a user who may become root."""
    sudoer.admit(deployed_lab, HOST)
    deployed_lab.run(HOST, STRICT)
    yield deployed_lab
    deployed_lab.run(HOST, AGAIN, check=False)
    sudoer.dismiss(deployed_lab, HOST)


def until(condition):
    limit = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.5)


def scopes(lab, command):
    """The jobs of this command that systemd knows."""
    words = f"systemctl list-units --plain --no-legend 'pgsftp-{command}-*.scope'"
    return lab.run(HOST, words).stdout.split()


def is_logged_in(lab):
    return sudoer.USER in lab.run(HOST, "loginctl list-users --no-legend").stdout


@pytest.mark.parametrize("command", list(TASKS))
def test_a_command_outlives_its_login(strict_host, command, tmp_path):
    lab = strict_host
    task = {f"pgsftp.backup.{command}": {"stanza": "demo", **TASKS[command]}, "register": "done"}
    shown = {"ansible.builtin.debug": {"msg": "ATTACHED {{ done.attached }}"}}
    play = {"hosts": HOST, "become": True, "gather_facts": False, "tasks": [task, shown]}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    words = "exec ansible-playbook -i inventories/demo"
    words += f" -e ansible_user={sudoer.USER} {tmp_path}/play.yml"

    def start():
        return subprocess.Popen(
            ["sh", "-c", f". scripts/env; {words}"], cwd=awx.TOP, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    # It waits for as long as nobody reads what it logs.
    log = f"/var/log/pgbackrest/demo-{command}.log"
    lab.run(HOST, f"test ! -e {log} || mv {log} {log}.former; mkfifo {log}; chown postgres {log}")
    try:
        running = start()
        until(lambda: scopes(lab, command) or running.poll() is not None)
        assert running.poll() is None, running.stdout.read()
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()
        lab.run(HOST, f"loginctl terminate-user {sudoer.USER}")
        until(lambda: not is_logged_in(lab))
        assert scopes(lab, command)
        lab.run(HOST, f"systemd-run --collect cat {log}")
        again = start()
        output = again.communicate(timeout=900)[0]
        assert again.returncode == 0, output
        assert "ATTACHED True" in output
        until(lambda: not scopes(lab, command))
    finally:
        lab.run(HOST, f"rm {log}; test ! -e {log}.former || mv {log}.former {log}")
