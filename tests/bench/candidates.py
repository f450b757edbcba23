# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who archives in the benchmark of WAL, and what: see tests/bench/wal."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import usage

from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER


def owner() -> dict:
    return {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}


class Segments:
    """Segments of a running cluster that can be ready again and again."""

    def __init__(self, cluster, count):
        self.data = cluster.data
        self.status = cluster.data / "pg_wal" / "archive_status"
        cluster.psql("create table load (id int, text text)")
        while len(list(self.status.glob("*.ready"))) < count:
            cluster.psql(
                "insert into load select i, md5(i::text) || repeat(chr(65 + i % 26), 60)"
                " from generate_series(1, 100000) i"
            )
        self.names = sorted(path.stem for path in self.status.glob("*.ready"))[:count]
        for path in self.status.glob("*.ready"):
            path.rename(path.with_suffix(".done"))

    def make_ready(self, count=None):
        for name in self.names[:count]:
            done = self.status / f"{name}.done"
            if done.exists():
                done.rename(self.status / f"{name}.ready")
                os.utime(self.status / f"{name}.ready")

    def drain(self, command, count=None):
        """Archive as PostgreSQL's archiver does; gives the seconds of every single command."""
        seconds = []
        for name in self.names[:count]:
            words = [word.replace("%p", f"pg_wal/{name}") for word in command]
            for _dummy in range(20):
                begun = time.perf_counter()
                done = subprocess.run(
                    words, cwd=self.data, capture_output=True, text=True, check=False, **owner(),
                    env={"PATH": os.environ["PATH"], "TZ": "UTC"},
                )  # fmt: skip
                seconds.append(time.perf_counter() - begun)
                if done.returncode == 0:
                    break
            else:
                sys.exit(f"{words}: {done.stdout}{done.stderr}")
            (self.status / f"{name}.ready").rename(self.status / f"{name}.done")
        return seconds


class Candidate:
    """A repository of its own, and a way to fill it.

    ``count`` segments stand for all of them, where those would take too long.
    """

    def __init__(self, name, site, command, count=None):
        self.lasting = usage.children(os.getpid())
        self.name, self.site, self.command, self.count = name, site, command, count
        self.words = [
            str(command),
            f"--config={site.config}",
            "--stanza=demo",
            "archive-push",
            "%p",
        ]
        self.seconds, self.cpu, self.load = {}, {}, {}

    def begin(self):
        for path in (self.site.root / "spool").glob("archive/demo/out/*"):
            path.unlink()
        for path in self.site.repo.glob("archive/demo/*/0*"):
            shutil.rmtree(path)

    def end(self):
        pass

    @property
    def living(self):
        """What runs all the time."""
        return []

    @property
    def last(self):
        """What the last round gave, in words."""
        return ", ".join(f"{what} {row[-1]:g}" for what, row in self.seconds.items())

    def note(self, what, work, share=1.0):
        """Measure once; ``work`` may give seconds that stand for those it took.

        ``share`` is what part of the whole was done.
        """
        known = {*self.lasting, *self.living}
        usage.settle(known)
        before = usage.cpu(*self.living)
        begun = time.perf_counter()
        given = work()
        seconds = time.perf_counter() - begun if given is None else given
        usage.settle(known)
        used = usage.cpu(*self.living) - before
        self.seconds.setdefault(what, []).append(round(seconds / share, 4))
        self.cpu.setdefault(what, []).append(round(used / share, 3))
        self.load.setdefault(what, []).append(round(os.getloadavg()[0], 1))

    def round(self, segments):
        self.begin()
        try:
            segments.make_ready(self.count)
            share = (self.count or len(segments.names)) / len(segments.names)
            self.note("drain", lambda: self.drain(segments), share)
            self.check(segments.names[: self.count])
            if self.count is None:
                self.again(segments)
                self.replay(segments)
                for _dummy in range(3):
                    self.note("info", lambda: self.run(None, *self.plain, "info"))
                self.rest()
        finally:
            self.end()

    def drain(self, segments):
        """As PostgreSQL does it."""
        segments.drain(self.words, self.count)

    @property
    def plain(self):
        """The words before the command."""
        return self.words[: self.words.index("archive-push")]

    def again(self, segments):
        """The command's time for what is shipped already; several may run while others are sent."""
        segments.make_ready()
        self.warm(segments)

    def warm(self, segments):
        """The median of the single commands, in ms."""
        share = len(segments.names)
        self.note(
            "push", lambda: share * 1000 * statistics.median(segments.drain(self.words)), share
        )

    def rest(self):
        """What is to be seen when all is done."""

    def replay(self, segments):
        """Fetch all segments, one after the other."""
        for path in (self.site.root / "spool").glob("archive/demo/in/*"):
            path.unlink()
        got = self.site.root / "got"

        def work():
            for name in segments.names:
                self.run(segments, *self.plain, "archive-get", name, str(got))

        self.note("replay", work)
        if got.read_bytes() != (segments.data / "pg_wal" / segments.names[-1]).read_bytes():
            sys.exit(f"{self.name}: the last segment is another one")

    def run(self, segments, *words):
        done = subprocess.run(
            words, cwd="/" if segments is None else segments.data, capture_output=True, text=True,
            check=False, **owner(), env={"PATH": os.environ["PATH"], "TZ": "UTC"},
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{words}: {done.stdout}{done.stderr}")

    def check(self, names):
        stored = {path.name[:24] for path in self.site.repo.glob("archive/demo/*/*/*")}
        if not set(names) <= stored:
            sys.exit(f"{self.name}: {len(set(names) - stored)} segments are not in the repository")


class Archiver(Candidate):
    """The resident archiver, idle with one session when the segments become ready."""

    def begin(self):
        super().begin()
        run = self.site.root / "run"
        run.mkdir(exist_ok=True)
        own(run)
        flags = [*self.words[1:3], f"--archiver-path={run}"]
        self.words = [str(self.command), *flags, "archive-push", "%p"]
        self.flags = flags
        with open(self.site.root / "archiver.out", "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [str(self.command), *flags, "archiver"], stdout=out, stderr=out, **owner(),
                env={"PATH": os.environ["PATH"], "TZ": "UTC"},
            )  # fmt: skip
        while not self.status() or not self.status()["repositories"][0]["sessions"]:
            if self.process.poll() is not None:
                sys.exit((self.site.root / "archiver.out").read_text(encoding="utf-8"))
            time.sleep(0.1)

    @property
    def living(self):
        return [self.process.pid]

    def status(self):
        done = subprocess.run(
            [str(self.command), *self.flags, "archiver", "status", "--output=json"],
            capture_output=True, check=False, **owner(), env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        return json.loads(done.stdout) if done.returncode == 0 else None

    def again(self, segments):
        segments.make_ready()
        while self.status()["repositories"][0]["lag_segments"]:
            time.sleep(0.2)
        self.warm(segments)

    def rest(self):
        """Wait until it is idle: one worker is left, with its session."""
        deadline = time.monotonic() + 180
        while len(usage.tree(self.process.pid)) > 2:
            if time.monotonic() > deadline:
                sys.exit("the archiver does not become idle")
            time.sleep(1)
        found = usage.memory(self.process.pid)
        for what, value in (("memory", found.pss), ("rss", found.rss)):
            self.seconds.setdefault(what, []).append(round(value, 1))
        self.load.setdefault("memory", []).append(round(os.getloadavg()[0], 1))

    def end(self):
        self.process.terminate()
        self.process.wait()


class Async(Candidate):
    """pgBackRest with archive-async, whose own spool says what is shipped."""

    def again(self, segments):
        segments.make_ready()
        segments.drain(self.words, 1)
        out = self.site.root / "spool/archive/demo/out"
        while len(list(out.glob("*.ok"))) < len(segments.names) - 1:
            time.sleep(0.2)
        names, segments.names = segments.names, segments.names[1:]
        try:
            self.warm(segments)
        finally:
            segments.names = names
