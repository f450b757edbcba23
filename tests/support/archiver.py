# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resident archiver of a site, and what tests ask about it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import zstandard

from .engine import own
from .postgres import OWNER


class Archiver:
    """An archiver of a site, as the service manager would run it."""

    def __init__(self, site, name="run"):
        self.site = site
        self.run_path = site.root / f"run-{name}"
        self.run_path.mkdir(exist_ok=True)
        own(self.run_path)
        self.process = None
        self.environ = {}
        """Further variables of its environment."""
        self.output = site.root / "archiver.out"

    @property
    def words(self):
        return [f"--config={self.site.config}", "--stanza=demo", f"--archiver-path={self.run_path}"]

    def popen(self, *arguments, **options):
        owner = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(
            [str(self.site.command), *self.words, *arguments],
            cwd=self.site.cluster.data,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.site.root),
                "TZ": "UTC",
                **self.environ,
            },
            **owner,
            **options,
        )

    def start(self, *arguments, wait=True):
        with self.output.open("a") as out:
            self.process = self.popen(
                "archiver", "--log-level-console=detail", *arguments, stdout=out, stderr=out
            )
        if wait:
            until(self._listens, "no socket", self)
        return self

    def _listens(self):
        """A killed one leaves its socket behind."""
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(str(self.run_path / "demo.sock"))
            except OSError:
                return False
        return True

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            return self.process.wait(20)
        return None

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def workers(self):
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], check=False, capture_output=True, text=True
        )
        return [int(pid) for pid in found.stdout.split()]

    def status(self):
        out = self.popen("archiver", "status", "--output=json", stdout=subprocess.PIPE)
        text, _dummy = out.communicate(timeout=30)
        assert out.returncode == 0
        (row, *_rest) = json.loads(text)["repositories"]
        return row

    def push(self, name, code=0, timeout=60):
        """One archive-push, as PostgreSQL calls it; gives what it said."""
        done = self.popen(
            "archive-push", f"pg_wal/{name}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        out, _dummy = done.communicate(timeout=timeout)
        assert done.returncode == code, out.decode()
        return out.decode()

    def forget(self):
        """Remove what was noted for the user of the commands."""
        for path in Path("/tmp").glob(f"pgsftp-*{str(self.run_path).replace('/', '-')}-demo.*"):
            path.unlink()

    @property
    def said(self):
        return self.output.read_text()


def until(condition, what, archiver=None, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}\n{archiver.said if archiver else ''}")
        time.sleep(0.05)


def make_segments(site, count):
    """Have PostgreSQL fill that many segments; gives their names."""
    before = set(ready(site))
    for _dummy in range(count):
        site.cluster.psql(
            "select pg_logical_emit_message(true, 'x', repeat(md5(random()::text), 90))"
        )
        site.cluster.psql("select pg_switch_wal()")
    names = sorted(set(ready(site)) - before)
    assert len(names) == count
    return names


def ready(site):
    status = site.cluster.data / "pg_wal" / "archive_status"
    return sorted(path.stem for path in status.glob("*.ready"))


def stored(site, repo=None):
    """What the archive holds: names to digests; everything is whole and what its name says."""
    found = {}
    for path in sorted((repo or site.repo).glob("archive/demo/*/*/*")):
        if path.name.endswith(".pgbackrest.tmp"):
            continue
        name, rest = path.name.split("-")
        content = path.read_bytes()
        if rest.endswith(".zst"):
            content = zstandard.ZstdDecompressor().stream_reader(content).read()
        assert hashlib.sha1(content).hexdigest() == rest.partition(".")[0]
        assert name not in found, f"{name} is stored twice"
        found[name] = rest
    return found


def archive_command(site, archiver):
    site.cluster.configure(
        archive_command=" ".join([str(site.command), *archiver.words, "archive-push", "%p"])
    )
    site.cluster.reload()


def drained(site, archiver, seconds=60.0):
    until(lambda: not ready(site), "segments are left", archiver, seconds)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    listed = subprocess.run(
        ["pgrep", "-P", str(pid)], check=False, capture_output=True, text=True
    ).stdout.split()
    return [row for child in map(int, listed) for row in (child, *descendants(child))]


def signal_all(pids, number):
    for pid in pids:
        os.kill(pid, number)


def end_sessions(sshd):
    listed = subprocess.run(
        ["pgrep", "-P", str(sshd.process.pid)], check=False, capture_output=True, text=True
    )
    for pid in listed.stdout.split():
        # It may have ended since it was listed.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
