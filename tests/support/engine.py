# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host command as an operator has it: installed, and run by the owner of the cluster.

A conftest imports the fixtures that it wants::

    from ansible_collections.pgsftp.backup.tests.support.engine import host_command, sites

``PGSFTP_ENGINE`` may name a prefix where ``make engine`` has put it already. With
``PGSFTP_COVERAGE``, a directory that every user may write, the command notes there which lines ran.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from .postgres import OWNER, Cluster, ClusterFactory
from .sshd import Sshd

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def host_command() -> t.Iterator[Path]:
    """The path of an installed ``pgsftp`` that any user may run."""
    given = os.environ.get("PGSFTP_ENGINE")
    if given:
        yield Path(given) / "bin" / "pgsftp"
        return
    prefix = Path(tempfile.mkdtemp(prefix="pgsftp-engine-"))
    prefix.chmod(0o755)
    try:
        subprocess.run(
            ["make", "--silent", "-C", str(ROOT), "engine", f"PREFIX={prefix}"], check=True
        )
        if os.environ.get("PGSFTP_COVERAGE"):
            measure(prefix, Path(os.environ["PGSFTP_COVERAGE"]))
        yield prefix / "bin" / "pgsftp"
    finally:
        shutil.rmtree(prefix)


def measure(prefix: Path, data: Path) -> None:
    """Have an installed command write coverage data; its interpreter need not have the library."""
    import coverage

    library = prefix / "coverage"
    shutil.copytree(Path(coverage.__file__).parent, library / "coverage")
    settings = prefix / "coveragerc"
    settings.write_text(
        "[run]\nparallel = true\npatch = _exit, fork\nsigterm = true\n"
        "disable_warnings = no-data-collected\n"
        f"data_file = {data}/lines\ninclude = {prefix}/lib/pgsftp/pgsftp_engine/*\n"
    )
    command = prefix / "bin" / "pgsftp"
    text = command.read_text()
    begin = "from pgsftp_engine.start"
    assert text.count(begin) == 1
    command.write_text(
        text.replace(
            begin,
            f"sys.path.append({str(library)!r})\n"
            "import coverage\n"
            f"coverage.Coverage(config_file={str(settings)!r}, auto_data=True).start()\n" + begin,
        )
    )


class Site:
    """A cluster with its configuration file and a repository; stanza ``demo``."""

    def __init__(self, cluster: Cluster, command: Path, name: str) -> None:
        self.cluster = cluster
        self.command = command
        self.root = cluster.root / name
        self.root.mkdir()
        own(self.root)
        self.config = self.root / "pgbackrest.conf"
        self.repo = self.root / "repo"
        self.settings: dict[str, str] = {
            "repo1-path": str(self.repo),
            "repo1-bundle": "y",
            "compress-type": "zst",
            "process-max": "2",
            "start-fast": "y",
            # Nobody waits for that long but a test on a busy machine.
            "archive-timeout": "120",
            "log-path": str(self.root),
            "log-level-console": "info",
            "lock-path": str(self.root / "lock"),
            "spool-path": str(self.root / "spool"),
        }

    def configure(self, **changes: str | None) -> None:
        """Change options (``_`` for ``-``; None removes) and write the file."""
        for key, value in changes.items():
            name = key.replace("_", "-")
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value
        lines = ["[global]", *(f"{name}={value}" for name, value in self.settings.items())]
        lines += ["[demo]"]
        lines += [f"{name}={value}" for name, value in self.cluster.options(1).items()]
        self.config.write_text("\n".join(lines) + "\n")
        own(self.config)
        self.config.chmod(0o640)

    def use_sftp(self, sshd: Sshd) -> None:
        """Reach the repository through a server instead of the file system."""
        keys = self.root / "keys"
        keys.mkdir()
        for source, name in ((sshd.private_key, "id"), (sshd.private_key + ".pub", "id.pub")):
            shutil.copy(source, keys / name)
        shutil.copy(sshd.known_hosts("ed25519", "ecdsa", "rsa"), keys / "known_hosts")
        for path in (keys, *keys.iterdir()):
            own(path)
        (keys / "id").chmod(0o600)
        self.configure(
            repo1_type="sftp",
            repo1_sftp_host=sshd.host,
            repo1_sftp_host_port=str(sshd.port),
            repo1_sftp_host_user=sshd.user,
            repo1_sftp_host_key_hash_type="sha256",
            repo1_sftp_private_key_file=str(keys / "id"),
            repo1_sftp_known_host=str(keys / "known_hosts"),
        )

    def archive(self, command: Path | None = None) -> None:
        """Have the cluster archive into the repository; it restarts once for that."""
        pushes = f"{command or self.command} --config={self.config} --stanza=demo archive-push %p"
        self.cluster.configure(archive_mode="on", archive_command=pushes)
        self.cluster.restart()

    def run(
        self, *arguments: str, code: int = 0, command: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the host command as the owner of the cluster; ``code`` is the exit code expected."""
        done = self.attempt(*arguments, command=command)
        if done.returncode != code:
            raise AssertionError(
                f"{' '.join(arguments)} ended with {done.returncode} instead of {code}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return done

    def attempt(
        self, *arguments: str, command: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the host command as the owner of the cluster, however it ends."""
        words = [str(command or self.command), f"--config={self.config}", "--stanza=demo"]
        return subprocess.run(
            [*words, *arguments], check=False, capture_output=True, **self._as_owner()
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the host command as the owner of the cluster; all its output is one."""
        return subprocess.Popen(
            [str(self.command), f"--config={self.config}", "--stanza=demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **self._as_owner(),
        )

    def _as_owner(self) -> dict[str, t.Any]:
        owner: dict[str, t.Any] = {}
        if os.geteuid() == 0:
            owner = {"user": OWNER, "group": OWNER, "extra_groups": []}
        return {
            "text": True,
            "cwd": self.cluster.root,
            "env": {"PATH": os.environ["PATH"], "HOME": str(self.cluster.root), "TZ": "UTC"},
            **owner,
        }

    def pgbackrest(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run stock pgBackRest on the same configuration.

        It makes no backup in the second in which another began: a pg_control that has the same time
        as then, in seconds, seems to be missing to it. By itself it never is so quick.
        """
        if "backup" in arguments:
            time.sleep(1 - time.time() % 1)
        return self.run(*arguments, code=code, command=Path("/usr/bin/pgbackrest"))

    def pass_second_of_last_backup(self, cluster: Cluster | None = None) -> None:
        """Wait until the clock has left the second in which the newest backup ended.

        Backups end at whole seconds, and a time in that second may lie before the end.
        """
        (stanza,) = json.loads(self.run("info", "--output=json").stdout)
        ended = max(backup["timestamp"]["stop"] for backup in stanza["backup"])
        (cluster or self.cluster).wait(f"select now() > to_timestamp({ended} + 1)", "t")

    def restored(self, name: str) -> Cluster:
        """A cluster in the directory that a restore will make, with its own socket; not started."""
        root = self.root / name
        root.mkdir()
        own(root)
        copy = Cluster(root, self.cluster.version)
        copy.socket.mkdir()
        own(copy.socket)
        return copy


def own(path: Path) -> None:
    """Give a file to the owner of the clusters."""
    if os.geteuid() == 0:
        owner = pwd.getpwnam(OWNER)
        os.chown(path, owner.pw_uid, owner.pw_gid)


class SiteFactory:
    """Makes sites, each with a cluster of its own unless one is given."""

    def __init__(self, new_cluster: ClusterFactory, command: Path) -> None:
        self._new_cluster = new_cluster
        self._command = command
        self._count = 0

    def __call__(self, cluster: Cluster | None = None) -> Site:
        self._count += 1
        made = cluster or self._new_cluster()
        site = Site(made, self._command, f"site{self._count}")
        site.configure()
        return site

    def with_backup(self) -> Site:
        """One whose cluster has the table ``fact``, archives, and has a full backup."""
        site = self()
        site.archive()
        site.cluster.psql("create table fact as select i from generate_series(1, 1000) i")
        site.run("stanza-create")
        site.run("backup", "--type=full")
        return site


@pytest.fixture(scope="module")
def sites(new_cluster: ClusterFactory, host_command: Path) -> SiteFactory:
    """A function that makes sites for the tests of a module."""
    return SiteFactory(new_cluster, host_command)
