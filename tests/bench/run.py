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
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
LAB = TOP / "tests" / "lab" / "lab"
PROXY = TOP / "tests" / "support" / "delay_proxy.py"

PEER, OURS = "/usr/bin/pgbackrest", "/usr/local/bin/pgsftp"
ROOT = "/var/lib/postgresql/bench"
KEY = f"{ROOT}/id"

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_pids: dict[str, str] = {}

# The backups that are restored.
LABELS: dict[str, str] = {}

# A server of SFTP for this alone.
PORT = 2200
SSHD_PID = "/run/sshd-bench.pid"

# Run in pg1-srv, as the owner of the cluster: times one command, and says what it used.
TIMER = """
import json, os, resource, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
took = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"seconds": took, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss,
                  "code": done.returncode, "out": done.stdout.decode(errors="replace")[-20000:]}))
"""

# A file up or down with our storage alone.
TRANSFER = """
import os, sys
sys.path.insert(0, os.path.realpath("/opt/pgsftp/current"))
from pgsftp_engine.config.options import RepoOptions, SftpOptions
from pgsftp_engine.storage.base import Publish
from pgsftp_engine.storage.open import prepare
way, host, port, file, name = sys.argv[1:]
sftp = SftpOptions(host=host, port=int(port), user="pgbackrest", key_check_type="none",
                   private_key_file="%s")
opener = prepare(RepoOptions(type="sftp", path="/backup_space/bench-ours", sftp=sftp))
with opener.striping().open() as storage:
    if way == "up":
        writer = storage.writer(name, publish=Publish.RENAME)
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


class Failed(Exception):
    """A command in a host."""


def entered(name: str) -> list[str]:
    """How a command is run in a host: by its namespaces alone, so that it competes as a process of
    the machine, and not as one of all containers together.
    """
    if name not in _pids:
        container = f"{os.environ.get('LAB_PREFIX', 'pgsftp')}-{name}"
        done = subprocess.run(
            ["podman", "inspect", "--format", "{{.State.Pid}}", container],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "CONTAINERS_CONF": str(LAB.with_name("containers.conf"))},
        )
        _pids[name] = done.stdout.strip()
    spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wdns=/"]
    return ["nsenter", "--target", _pids[name], *spaces, "env", "-i", f"PATH={SEARCHED}"]


def host(name: str, script: str, *, check: bool = True) -> str:
    """Run a script of the shell in a host, as root."""
    done = subprocess.run(
        [*entered(name), "bash", "-ec", script], capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise Failed(f"{name}: {script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def timed(*command: str) -> dict[str, object]:
    """Time a command of the cluster's owner in pg1-srv."""
    words = ["runuser", "-u", "postgres", "--", "python3", "-c", TIMER, *command]
    done = subprocess.run(
        [*entered("pg1-srv"), *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    if found["code"]:
        raise Failed(f"{' '.join(command)}: {found['code']}\n{found['out']}")
    return found


def set_up(size: int) -> None:
    """Cluster, keys and directories; what is there from an earlier run goes first."""
    host(
        "pg1-srv",
        "command -v pgbackrest >/dev/null || { apt-get -q update && "
        "DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Options::=--force-confold "
        "install pgbackrest openssh-client; } >&2",
    )
    tear_down()
    host(
        "sftp-srv",
        "install -d -o pgbackrest -g pgbackrest -m 750 "
        "/srv/pgsftp/backup_space/bench-ours /srv/pgsftp/backup_space/bench-peer",
    )
    host(
        "pg1-srv",
        f"""
        install -d -o postgres -g postgres -m 700 {ROOT}
        cd {ROOT}
        bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
        runuser -u postgres -- sh -ec "
            ssh-keygen -q -t ed25519 -N '' -C bench -f {KEY}
            $bin/initdb -k -D {ROOT}/data >/dev/null
        "
        cat >> {ROOT}/data/postgresql.conf <<END
port = 5499
unix_socket_directories = '{ROOT}'
listen_addresses = ''
archive_mode = on
archive_command = '/bin/true'
END
        runuser -u postgres -- sh -ec "
            $bin/pg_ctl -w -D {ROOT}/data -l {ROOT}/log start >/dev/null
            head -c {size} /dev/urandom > {ROOT}/large
        "
    """,
    )
    public = host("pg1-srv", f"cat {KEY}.pub").strip()
    host("sftp-srv", f"/usr/sbin/sshd -p {PORT} -o PidFile={SSHD_PID}")
    host("sftp-srv", f"printf '%s\\n' 'restrict {public}' >> /etc/ssh/authorized_keys.d/pgbackrest")


def tear_down() -> None:
    """Leave nothing."""
    host(
        "pg1-srv",
        f"""
        bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
        [ ! -e {ROOT}/data/postmaster.pid ] ||
            runuser -u postgres -- $bin/pg_ctl -m immediate -D {ROOT}/data stop >/dev/null
        rm -rf {ROOT}
    """,
    )
    host(
        "sftp-srv",
        "rm -rf /srv/pgsftp/backup_space/bench-*; "
        "sed -i '/ bench$/d' /etc/ssh/authorized_keys.d/pgbackrest",
    )


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


class Bench:
    """The rows at one distance."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        configure(address, port)

    def run(self, who: str, *words: str) -> dict[str, object]:
        """A command of one of the two programs."""
        command = OURS if who == "ours" else PEER
        return timed(command, f"--config={ROOT}/{who}.conf", "--stanza=bench", *words)

    def prepare(self, who: str) -> None:
        """A backup to restore, with the WAL that it needs."""
        self.run(who, "backup", "--type=full")
        names = host("pg1-srv", f"ls {ROOT}/data/pg_wal").split()
        for name in sorted(name for name in names if len(name) == 24)[:-1]:
            self.run(who, "archive-push", f"{ROOT}/data/pg_wal/{name}")
        listed = self.run(who, "info", "--output=json", "--log-level-console=off")["out"]
        LABELS[who] = json.loads(str(listed))[0]["backup"][-1]["label"]

    def rows(self):
        """Name and how to measure one side once."""
        restored = f"{ROOT}/restored-{{who}}"

        def target(who: str) -> tuple[str, ...]:
            where = f"--pg1-path={restored.format(who=who)}"
            return (where, "--type=none", f"--set={LABELS[who]}")

        def restore(who: str) -> dict[str, object]:
            host("pg1-srv", f"rm -rf {restored.format(who=who)}")
            return self.run(who, "restore", *target(who))

        def delta(who: str) -> dict[str, object]:
            return self.run(who, "restore", "--delta", *target(who))

        def expire(who: str) -> dict[str, object]:
            backup = ("backup", "--type=full", "--no-repo1-bundle")
            kept = self.near()
            for _number in range(2):
                kept.run(who, *backup)
            kept.run(who, "expire", "--repo1-retention-full=2")
            configure(self.address, self.port)
            measured = self.run(who, "expire", "--repo1-retention-full=1")
            # The backup that was there to be restored has gone with the others.
            kept = self.near()
            kept.prepare(who)
            configure(self.address, self.port)
            return measured

        return {
            "full": lambda who: self.run(who, "backup", "--type=full"),
            "incr": lambda who: self.run(who, "backup", "--type=incr"),
            "restore": restore,
            "delta restore": delta,
            "info": lambda who: self.run(who, "info"),
            "verify": lambda who: self.run(who, "verify"),
            "expire": expire,
            "file up": lambda who: self.transfer(who, "up"),
            "file down": lambda who: self.transfer(who, "down"),
        }

    def near(self) -> Bench:
        """The same without distance, to prepare something."""
        return Bench("sftp-srv", PORT)

    def transfer(self, who: str, way: str) -> dict[str, object]:
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


def main() -> None:
    """Measure, and write JSON after each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rtt", default="0,20,95")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--what", default="", help="rows, by commas; all by default")
    parser.add_argument("--nice", type=int, default=0, help="of all that is measured")
    parser.add_argument("--add", action="store_true", help="rows to those of an earlier run")
    parser.add_argument("--size", type=int, default=256, help="MiB of the one large file")
    parser.add_argument("--out", type=Path, default=TOP / "tests" / "output" / "bench.json")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.what.split(",") if name]
    os.nice(arguments.nice)
    set_up(arguments.size << 20)
    found: dict[str, object] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": versions(),
        "size": arguments.size,
        "rows": [],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if arguments.add and arguments.out.exists():
        found["rows"] = json.loads(arguments.out.read_text())["rows"]
    near = Bench("sftp-srv", PORT)
    for who in ("ours", "peer"):
        near.run(who, "stanza-create")
        near.prepare(who)
    for rtt in map(float, arguments.rtt.split(",")):
        with at_distance(rtt) as place:
            bench = Bench(*place)
            for what, measure in bench.rows().items():
                if wanted and what not in wanted:
                    continue
                row: dict[str, object] = {
                    "what": what,
                    "rtt": rtt,
                    "load": [],
                    "cpu": {},
                    "rss": {},
                }
                sides: dict[str, list[float]] = {"ours": [], "peer": []}
                for number in range(arguments.repeats):
                    # In turns, and not always the same one first.
                    for who in (("ours", "peer"), ("peer", "ours"))[number % 2]:
                        one = measure(who)
                        sides[who].append(round(float(one["seconds"]), 3))
                        row["cpu"][who] = round(float(one["cpu"]), 2)
                        row["rss"][who] = one["rss"]
                    row["load"].append(round(os.getloadavg()[0], 1))
                ratios = [theirs / ours for ours, theirs in zip(sides["ours"], sides["peer"])]
                row.update(sides)
                row["ratio"] = round(statistics.median(ratios), 2)
                rows = [old for old in found["rows"] if (old["what"], old["rtt"]) != (what, rtt)]
                found["rows"] = [*rows, row]
                arguments.out.write_text(json.dumps(found, indent=1) + "\n")
                median = {who: statistics.median(times) for who, times in sides.items()}
                print(
                    f"{time.strftime('%H:%M:%S')} rtt {rtt:4.0f} {what:14} "
                    f"ours {median['ours']:8.2f}  peer {median['peer']:8.2f}  ratio {row['ratio']}",
                    flush=True,
                )
    tear_down()


if __name__ == "__main__":
    main()
