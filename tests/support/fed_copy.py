# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored cluster whose recovery an archiver feeds.

A real server replays; a wrapper of restore_command keeps a list of what it asked for, and can hold
it at one of the questions.
"""

from __future__ import annotations

import os
import signal
import subprocess

from ansible_collections.pgsftp.backup.tests.support.archiver import Archiver, until
from ansible_collections.pgsftp.backup.tests.support.engine import own

HELD = """\
#!/bin/sh
echo "$1" >> {directory}/asked
if [ "$(wc -l < {directory}/asked)" = "$(cat {directory}/hold)" ]; then
  touch {directory}/held
  while [ ! -e {directory}/go ]; do sleep 0.05; done
fi
exec {command} archive-get "$1" "$2"
"""


class Copy:
    """A restored cluster, its archiver, and the wrapper of its restore_command."""

    def __init__(self, site, name, *arguments, hold=0):
        self.site = site
        self.cluster = site.restored(name)
        site.run("restore", f"--pg1-path={self.cluster.data}", *arguments)
        self.archiver = Archiver(site, name)
        self.flags = [f"--pg1-path={self.cluster.data}"]
        self.root = self.cluster.root
        (self.root / "hold").write_text(f"{hold}\n")
        command = " ".join([str(site.command), *self.archiver.words, *self.flags])
        script = self.root / "held.sh"
        script.write_text(HELD.format(directory=self.root, command=command))
        script.chmod(0o755)
        own(script)
        self.cluster.configure(
            unix_socket_directories=str(self.cluster.socket),
            wal_retrieve_retry_interval="200ms",
            log_min_messages="info",
        )
        with open(self.cluster.data / "postgresql.auto.conf", "a", encoding="utf-8") as stream:
            stream.write(f"restore_command = '{script} %f \"%p\"'\n")

    @property
    def spool(self):
        return self.site.root / "spool" / "archive" / "demo" / "fetched"

    @property
    def fetched(self):
        """What the archiver fetched, in order."""
        lines = [line for line in self.archiver.said.splitlines() if "DETAIL: fetched " in line]
        return [line.split("fetched ")[1].split()[0] for line in lines]

    @property
    def asked(self):
        return (self.root / "asked").read_text().split()

    def feed(self, *arguments):
        spool = self.site.root / "spool"
        spool.mkdir(exist_ok=True)
        own(spool)
        self.archiver.start(*self.flags, *arguments)

    def launch(self):
        """Start the server without waiting for it."""
        self.cluster.run(
            self.cluster.bin / "pg_ctl", "start", "--no-wait", "--silent",
            "--pgdata", self.cluster.data, "--log", self.cluster.log,
        )  # fmt: skip

    def until_held(self):
        until((self.root / "held").exists, "not held", self.archiver)

    def go(self):
        (self.root / "go").touch()

    @property
    def log(self):
        return self.cluster.log.read_text() if self.cluster.log.exists() else ""

    def until_logged(self, text, times=1, seconds=60):
        until(lambda: self.log.count(text) >= times, f"not logged: {text}", self, seconds)

    @property
    def said(self):
        return self.log + self.archiver.said

    def until_gone(self):
        pid = self.cluster.data / "postmaster.pid"
        until(lambda: not pid.exists(), "still there", self, 60)

    def end_sessions(self):
        for pid in self.archiver.workers:
            os.kill(pid, signal.SIGKILL)

    def get(self, name, code):
        """One archive-get, by hand."""
        target = self.root / "taken"
        done = self.archiver.popen(
            *self.flags, "archive-get", name, str(target),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            out, _dummy = done.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            done.kill()
            raise AssertionError(f"no answer\n{self.archiver.said}") from None
        assert done.returncode == code, out.decode()
        assert target.exists() == (code == 0)
        target.unlink(missing_ok=True)
        return out.decode()
