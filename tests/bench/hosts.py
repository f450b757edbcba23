# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the lab as the benchmark uses them: a cluster, keys and repositories of its own."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

LAB = Path(__file__).resolve().parents[1] / "lab" / "lab"

PEER, OURS = "/usr/bin/pgbackrest", "/usr/local/bin/pgsftp"
ROOT = "/var/lib/postgresql/bench"
KEY = f"{ROOT}/id"

# Does nothing but where archiving is measured. Both programs want their name in archive_command.
ARCHIVE = f"{ROOT}/archive-pgbackrest"

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_pids: dict[str, str] = {}

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


def timed(*command: str) -> dict[str, t.Any]:
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
archive_command = '{ARCHIVE} %p'
END
        install -m 755 /bin/true {ARCHIVE}
        runuser -u postgres -- sh -ec "
            $bin/pg_ctl -w -D {ROOT}/data -l {ROOT}/log start >/dev/null
            head -c {size} /dev/urandom > {ROOT}/large
        "
    """,
    )
    public = host("pg1-srv", f"cat {KEY}.pub").strip()
    host("sftp-srv", f"/usr/sbin/sshd -p {PORT} -o PidFile={SSHD_PID}")
    host("sftp-srv", f"printf '%s\\n' 'restrict {public}' >> /etc/ssh/authorized_keys.d/pgbackrest")


def enlarge(scale: int, rows: int) -> None:
    """Tables of pgbench (15 MiB each unit of ``scale``), and one that compresses badly."""
    host(
        "pg1-srv",
        f"""
        bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
        runuser -u postgres -- \
            $bin/pgbench -h {ROOT} -p 5499 -i -q -s {scale} postgres >/dev/null 2>&1
        runuser -u postgres -- psql -q -h {ROOT} -p 5499 postgres <<'END'
create table hashes as
  select id, sha256(id::text::bytea) as one, sha256((-id)::text::bytea) as other
  from generate_series(1, {rows}) as id;
checkpoint;
END
    """,
    )


def add_files(count: int, size: int) -> None:
    """A directory of files of random bytes in the data directory."""
    host(
        "pg1-srv",
        f"""
        cd {ROOT}
        head -c {count * size} /dev/urandom > many
        runuser -u postgres -- install -d data/many
        split --bytes={size} --suffix-length=5 --numeric-suffixes many data/many/
        chown -R postgres: data/many
        rm many
    """,
    )


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
        f"[ ! -e {SSHD_PID} ] || kill $(cat {SSHD_PID}) || true; "
        "rm -rf /srv/pgsftp/backup_space/bench-*; "
        "sed -i '/ bench$/d' /etc/ssh/authorized_keys.d/pgbackrest",
    )
