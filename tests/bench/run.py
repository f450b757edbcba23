# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long commands take, ours and stock pgBackRest's in turns, on hosts of the lab.

    python tests/bench/run.py [--rtt 0,20,95] [--repeats 5] [--what info,full] [--out FILE]

The hosts are those of `make demo`: pg1-srv gets a cluster of its own besides, pgBackRest from
Debian, and two repositories on sftp-srv, one for each program. Distance is the delaying proxy of
tests/support, which runs on the machine and keeps the bandwidth. What is measured runs in pg1-srv
and is timed there. The result is JSON; tests/bench/page.py makes a page of it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from hosts import (
    ARCHIVE,
    KEY,
    OURS,
    PEER,
    PORT,
    ROOT,
    add_files,
    enlarge,
    host,
    set_up,
    tear_down,
    timed,
)

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
PROXY = TOP / "tests" / "support" / "delay_proxy.py"

# The backups that are restored.
LABELS: dict[str, str] = {}

# A file up or down with our storage alone, in a process that is like a worker.
TRANSFER = """
import os, sys
sys.path.insert(0, os.path.realpath("/opt/pgsftp/current"))
from pgsftp_engine.config.options import RepoOptions, SftpOptions
from pgsftp_engine.storage.base import Publish
from pgsftp_engine.storage.open import prepare
from pgsftp_engine.worker.memory import keep_freed
keep_freed()
way, host, port, file, name = sys.argv[1:]
sftp = SftpOptions(host=host, port=int(port), user="pgbackrest", key_check_type="none",
                   private_key_file="%s")
opener = prepare(RepoOptions(type="sftp", path="/backup_space/bench-ours", sftp=sftp))
with opener.striping(1).open() as storage:
    if way == "up":
        writer = storage.writer(name, publish=Publish.RENAME, most=os.path.getsize(file))
        with open(file, "rb", buffering=0) as source:
            while data := source.read(1 << 20):
                writer.write(data)
        writer.finish().wait()
    else:
        with open(file, "wb", buffering=0) as sink:
            for data in storage.reader(name):
                sink.write(data)
            os.fsync(sink.fileno())
"""


Measure = t.Callable[[str], dict[str, t.Any]]


def configure(address: str, port: int) -> None:
    """The same for both programs but for the repository's path."""
    for name in ("ours", "peer"):
        text = f"""[global]
repo1-type=sftp
repo1-path=/backup_space/bench-{name}
repo1-bundle=y
repo1-sftp-host={address}
repo1-sftp-host-port={port}
repo1-sftp-host-user=pgbackrest
repo1-sftp-host-key-check-type=none
repo1-sftp-host-key-hash-type=sha256
repo1-sftp-private-key-file={KEY}
repo1-sftp-public-key-file={KEY}.pub
repo1-retention-full=9
process-max=2
compress-type=zst
compress-level=3
start-fast=y
expire-auto=n
archive-check=n
log-level-console=warn
log-level-file=off
lock-path={ROOT}/lock-{name}
spool-path={ROOT}/spool-{name}

[bench]
pg1-path={ROOT}/data
pg1-port=5499
pg1-socket-path={ROOT}
"""
        host(
            "pg1-srv", f"cat > {ROOT}/{name}.conf <<'END'\n{text}END\nchmod 644 {ROOT}/{name}.conf"
        )


SMALL = (
    "full",
    "incr",
    "restore",
    "delta restore",
    "info",
    "check",
    "verify",
    "expire",
    "file up",
    "file down",
)
LARGE = ("full", "restore", "delta restore")
MANY = "full 10 000 files"
# Again, on a host where the resident archiver runs, as the roles set it up.
LENT = ("full", "incr", "restore", "delta restore", "check", "verify")
BESIDE = " beside the archiver"
ROWS = (
    *SMALL,
    *(what + BESIDE for what in LENT),
    *(f"{what} 1.3 GB" for what in LARGE),
    MANY,
)


class Bench:
    """The rows at one distance."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.ready: set[str] = set()
        configure(address, port)

    def run(self, who: str, *words: str) -> dict[str, t.Any]:
        """A command of one of the two programs."""
        command = OURS if who == "ours" else PEER
        return timed(command, f"--config={ROOT}/{who}.conf", "--stanza=bench", *words)

    def prepare(self, who: str) -> None:
        """One backup to restore, and nothing else but the WAL that it needs."""
        self.run(who, "backup", "--type=full")
        self.run(who, "expire", "--repo1-retention-full=1")
        # The directory has names of later segments, too: of files to be used again.
        complete = "cd archive_status && ls | sed -n 's/\\.done$//p'"
        for name in host("pg1-srv", f"cd {ROOT}/data/pg_wal/; {complete}").split():
            if len(name) != 24:
                continue
            self.run(who, "archive-push", f"{ROOT}/data/pg_wal/{name}")
        listed = self.run(who, "info", "--output=json", "--log-level-console=off")["out"]
        LABELS[who] = json.loads(str(listed))[0]["backup"][-1]["label"]

    def rows(self):
        """Name and how to measure one side once."""
        restored = f"{ROOT}/restored-{{who}}"

        def target(who: str) -> tuple[str, ...]:
            where = f"--pg1-path={restored.format(who=who)}"
            return (where, "--type=none", f"--set={LABELS[who]}")

        def restore(who: str) -> dict[str, t.Any]:
            host("pg1-srv", f"rm -rf {restored.format(who=who)}")
            return self.run(who, "restore", *target(who))

        def delta(who: str) -> dict[str, t.Any]:
            # There is nothing to do then, as the row's name says.
            if restored.format(who=who) not in self.ready:
                self.near().run(who, "restore", "--delta", *target(who))
                configure(self.address, self.port)
                self.ready.add(restored.format(who=who))
            return self.run(who, "restore", "--delta", *target(who))

        def expire(who: str) -> dict[str, t.Any]:
            backup = ("backup", "--type=full", "--no-repo1-bundle")
            kept = self.near()
            for _number in range(2):
                kept.run(who, *backup)
            kept.run(who, "expire", "--repo1-retention-full=2")
            configure(self.address, self.port)
            measured = self.run(who, "expire", "--repo1-retention-full=1")
            # The backup that was there to be restored has gone with the others.
            self.near().prepare(who)
            configure(self.address, self.port)
            return measured

        def verify(who: str) -> dict[str, t.Any]:
            self.near().prepare(who)
            configure(self.address, self.port)
            return self.run(who, "verify")

        def check(who: str) -> dict[str, t.Any]:
            command = OURS if who == "ours" else PEER
            words = f'{command} --config={ROOT}/{who}.conf --stanza=bench archive-push "$1"'
            host("pg1-srv", f"printf '%s\\n' '#!/bin/sh' 'exec {words}' > {ARCHIVE}")
            try:
                return self.run(who, "check")
            finally:
                host("pg1-srv", f"install -m 755 /bin/true {ARCHIVE}")

        return {
            "full": lambda who: self.run(who, "backup", "--type=full"),
            "incr": lambda who: self.run(who, "backup", "--type=incr"),
            "restore": restore,
            "delta restore": delta,
            "info": lambda who: self.run(who, "info"),
            "check": check,
            "verify": verify,
            "expire": expire,
            "file up": lambda who: self.transfer(who, "up"),
            "file down": lambda who: self.transfer(who, "down"),
        }

    @contextlib.contextmanager
    def archiver(self):
        """Has ours with its resident archiver."""
        words = f"{OURS} --config={ROOT}/ours.conf --stanza=bench archiver"
        begin = f"setsid runuser -u postgres -- {words} > {ROOT}/archiver.log 2>&1"
        host("pg1-srv", f"cd {ROOT} && ({begin} & echo $! > {ROOT}/archiver.pid)")
        try:
            yield
        finally:
            host("pg1-srv", f"pkill -TERM -P $(cat {ROOT}/archiver.pid)")

    def lent_rows(self):
        """Of those commands that borrow a session of the archiver."""
        rows = self.rows()

        def beside(measure: Measure) -> Measure:
            def measured(who: str) -> dict[str, t.Any]:
                if who == "ours":
                    self.await_sessions()
                return measure(who)

            return measured

        return {what + BESIDE: beside(rows[what]) for what in LENT}

    def await_sessions(self) -> None:
        """Until the archiver has a session with the server, and one to lend."""
        words = f"{OURS} --config={ROOT}/ours.conf --stanza=bench archiver status --output=json"
        for _attempt in range(100):
            status = host("pg1-srv", f"runuser -u postgres -- {words}", check=False)
            if status.startswith("{") and json.loads(status)["repositories"][0]["sessions"]:
                time.sleep(1)
                return
            time.sleep(0.2)
        raise RuntimeError("the archiver has no session")

    def large_rows(self):
        """The same of a cluster with data."""
        rows = self.rows()
        return {f"{what} 1.3 GB": rows[what] for what in LARGE}

    def many_rows(self):
        """A backup of many small files, each a file of the repository; ours alone.

        Far away the peer would take an hour.
        """
        return {MANY: lambda who: self.run(who, "backup", "--type=full", "--no-repo1-bundle")}

    def near(self) -> Bench:
        """The same without distance, to prepare something."""
        return Bench("sftp-srv", PORT)

    def transfer(self, who: str, way: str) -> dict[str, t.Any]:
        """One file, whole operation; the other side is OpenSSH's sftp with the same cipher."""
        file = f"{ROOT}/large" if way == "up" else f"{ROOT}/fetched"
        if who == "ours":
            script = TRANSFER % KEY
            words = (way, self.address, str(self.port), file, "large")
            return timed("python3", "-c", script, *words)
        verb = f"put {file} " if way == "up" else "get "
        tail = "/backup_space/bench-peer/large" + ("" if way == "up" else f" {file}")
        options = (
            f"-o IdentityFile={KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
            f"-o LogLevel=ERROR -c aes128-gcm@openssh.com -P {self.port}"
        )
        sftp = f"echo '{verb}{tail}' | sftp -q -f -b - {options} pgbackrest@{self.address}"
        return timed("bash", "-ec", sftp)


@contextlib.contextmanager
def at_distance(rtt: float):
    """Address and port of the SFTP host as seen over a line of ``rtt`` ms."""
    if not rtt:
        yield "sftp-srv", PORT
        return
    net = os.environ.get("LAB_NET", "10.213.77")
    command = [sys.executable, str(PROXY), f"{net}.13", str(PORT), str(rtt / 2), f"{net}.1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as proxy:
        try:
            yield f"{net}.1", int(proxy.stdout.readline())
        finally:
            proxy.stdin.close()
            proxy.wait(10)


def versions() -> dict[str, str]:
    """What was measured."""
    asked = {
        "pgBackRest": "pgbackrest version",
        "pgsftp": "pgsftp --version",
        "OpenSSH": "ssh -V 2>&1",
        "PostgreSQL": "/usr/lib/postgresql/*/bin/postgres --version",
        "Python": "python3 --version",
        "paramiko": "python3 -c 'import paramiko; print(paramiko.__version__)'",
        "kernel": "uname -sr",
        "processors": "nproc",
        "processor": "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1",
    }
    return {name: host("pg1-srv", script).strip() for name, script in asked.items()}


@dataclasses.dataclass(frozen=True)
class Record:
    """What is found, in a file that is whole after each row."""

    found: dict[str, t.Any]
    file: Path
    repeats: int
    wanted: list[str]

    def measure(
        self, rtt: float, rows: dict[str, Measure], sides: tuple[str, ...] = ("ours", "peer")
    ) -> None:
        """The sides of each row, in turns."""
        for what, measure in rows.items():
            if what in self.wanted:
                self._add(self._row(what, rtt, measure, sides))

    def _row(
        self, what: str, rtt: float, measure: Measure, measured: tuple[str, ...]
    ) -> dict[str, t.Any]:
        row: dict[str, t.Any] = {"what": what, "rtt": rtt, "load": [], "cpu": {}, "rss": {}}
        # Rows that are added later may be of another machine.
        row["processor"] = self.found["versions"]["processor"]
        sides: dict[str, list[float]] = {who: [] for who in measured}
        cpu: dict[str, list[float]] = {who: [] for who in measured}
        for number in range(self.repeats):
            # In turns, and not always the same one first.
            for who in (measured, measured[::-1])[number % 2]:
                one = measure(who)
                sides[who].append(round(float(one["seconds"]), 3))
                cpu[who].append(float(one["cpu"]))
                row["cpu"][who] = round(statistics.median(cpu[who]), 2)
                row["rss"][who] = max(one["rss"], row["rss"].get(who, 0))
            row["load"].append(round(os.getloadavg()[0], 1))
        row.update(sides)
        if "peer" in sides:
            ratios = [theirs / ours for ours, theirs in zip(sides["ours"], sides["peer"])]
            row["ratio"] = round(statistics.median(ratios), 2)
        return row

    def _add(self, row: dict[str, t.Any]) -> None:
        key = (row["what"], row["rtt"])
        rows = [old for old in self.found["rows"] if (old["what"], old["rtt"]) != key]
        self.found["rows"] = [*rows, row]
        self.file.write_text(json.dumps(self.found, indent=1) + "\n")
        said = f"{time.strftime('%H:%M:%S')} rtt {row['rtt']:4.0f} {row['what']:22} "
        said += f"ours {statistics.median(row['ours']):8.2f}"
        if "peer" in row:
            said += f"  peer {statistics.median(row['peer']):8.2f}  ratio {row['ratio']}"
        print(said, flush=True)


def main() -> None:
    """Measure, and write JSON after each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rtt", default="0,20,95")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--what", default="", help="rows, by commas; all by default")
    parser.add_argument("--not", dest="without", default="", help="rows to leave out, by commas")
    parser.add_argument("--nice", type=int, default=0, help="of all that is measured")
    parser.add_argument("--add", action="store_true", help="rows to those of an earlier run")
    parser.add_argument("--size", type=int, default=256, help="MiB of the one large file")
    parser.add_argument("--out", type=Path, default=TOP / "tests" / "output" / "bench.json")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.what.split(",") if name]
    wanted = wanted or [name for name in ROWS if name not in arguments.without.split(",")]
    os.nice(arguments.nice)
    set_up(arguments.size << 20)
    found: dict[str, t.Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": versions(),
        "size": arguments.size,
        "rows": [],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if arguments.add and arguments.out.exists():
        found["rows"] = json.loads(arguments.out.read_text())["rows"]
    record = Record(found, arguments.out, arguments.repeats, wanted)
    distances = [float(rtt) for rtt in arguments.rtt.split(",")]
    near = Bench("sftp-srv", PORT)
    for who in ("ours", "peer"):
        near.run(who, "stanza-create")
        near.prepare(who)
    for rtt in distances:
        with at_distance(rtt) as place:
            bench = Bench(*place)
            record.measure(rtt, bench.rows())
            if any(what.endswith(BESIDE) for what in wanted):
                with bench.archiver():
                    record.measure(rtt, bench.lent_rows())
    if any("1.3 GB" in what for what in wanted):
        enlarge(62, 3_000_000)
        near = Bench("sftp-srv", PORT)
        for who in ("ours", "peer"):
            near.prepare(who)
        for rtt in distances:
            with at_distance(rtt) as place:
                record.measure(rtt, Bench(*place).large_rows())
    if MANY in wanted:
        add_files(10_000, 8192)
        for rtt in distances:
            with at_distance(rtt) as place:
                record.measure(rtt, Bench(*place).many_rows(), ("ours",))
    tear_down()


if __name__ == "__main__":
    main()
