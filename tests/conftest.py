# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: the collection on the import path, the lab, and no silent skips.

``make test`` sets PGSFTP_REQUIRE=1; a test that would be skipped then fails instead, since on a
machine that was set up nothing may be missing.
"""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
LINK = TOP / ".cache/collections/ansible_collections/pgsftp/backup"

# pyproject.toml has .cache/collections on the path; `make setup` makes the link as well.
if not LINK.exists():
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to(TOP)
    importlib.invalidate_caches()

# Interpreters that a test starts import the collection as the test does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(TOP / ".cache/collections"), os.environ.get("PYTHONPATH")])
)
# A shell without job control, and nohup, have signals ignored by what they start; so would what a
# test starts to have it interrupted.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(TOP / ".cache/hypothesis"))


def _fail_when_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if (
        os.environ.get("PGSFTP_REQUIRE") == "1"
        and report.skipped
        and not hasattr(report, "wasxfail")
    ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, although PGSFTP_REQUIRE=1: {reason}"


# What tests that have this in their file share with each other, whichever file they are in.
SHARED = {"mark.lab": "the hosts", "mark.jobs": "the jobs of root on this machine"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Processes of pytest-xdist share the tests by file, and by what must not be used by two."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            name = nodeid.partition("::")[0]
            text = Path(config.rootpath, name).read_text(encoding="utf-8")
            return next((shared for mark, shared in SHARED.items() if mark in text), name)

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _fail_when_skipped(report)
    # What a test writes may be no UTF-8 on purpose, and pytest-xdist passes text on.
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail_when_skipped(report)
    return report


@pytest.fixture(autouse=True)
def _umask():
    """A command of the engine that runs in this process sets its own; the next test gets ours."""
    before = os.umask(0o022)
    yield
    os.umask(before)


SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Lab:
    """The three hosts of tests/lab; LAB_PREFIX, LAB_NET and LAB_STATE choose which three."""

    HOSTS = ("pg1-srv", "pg2-srv", "sftp-srv")

    def __init__(self) -> None:
        self.verb("up")
        (line,) = (line for line in self.verb("env").splitlines() if "PGSFTP_LAB_STATE=" in line)
        self.state = Path(shlex.split(line)[1].partition("=")[2])
        """Directory of ssh_config, known_hosts and id_ed25519."""
        self._pids: dict[str, str] = {}

    @property
    def ssh_config(self) -> Path:
        """What ssh, scp and Ansible need to reach the hosts by name."""
        return self.state / "ssh_config"

    def verb(self, *words: object) -> str:
        """Run ``tests/lab/lab`` with these words; gives its output."""
        return _run([str(TOP / "tests/lab/lab"), *map(str, words)]).stdout

    def run(
        self,
        host: str,
        command: str,
        user: str = "root",
        check: bool = True,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a host, whatever faults its network has."""
        words = [str(TOP / "tests/lab/lab"), "exec", host]
        if user != "root":
            words += ["runuser", "-u", user, "--"]
        return _run([*words, "sh", "-c", command], check=check, input=input or "")

    def enter(
        self, host: str, command: str, user: str = "root", input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """``run`` by the host's namespaces alone, in a twentieth of the time.

        What is started so is no process of the container: it is not frozen with it.
        """
        pid = self._pids.get(host)
        if pid is None or not Path("/proc", pid).exists():
            prefix = os.environ.get("LAB_PREFIX", "pgsftp")
            inspect = ["podman", "inspect", "--format", "{{.State.Pid}}", f"{prefix}-{host}"]
            conf = str(TOP / "tests/lab/containers.conf")
            pid = _run(inspect, env={**os.environ, "CONTAINERS_CONF": conf}).stdout.strip()
            self._pids[host] = pid
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wdns=/"]
        words = ["nsenter", "--target", pid, *spaces, "env", "-i", f"PATH={SEARCHED}"]
        if user != "root":
            words += ["runuser", "-u", user, "--"]
        return _run([*words, "sh", "-c", command], input=input or "")

    def copy_in(self, host: str, source: Path | str, target: str) -> None:
        """Copy a file or directory of this machine to a host, over SSH."""
        _run(["scp", "-qrF", str(self.ssh_config), str(source), f"{host}:{target}"])

    def copy_out(self, host: str, source: str, target: Path | str) -> None:
        """Copy a file or directory of a host to this machine, over SSH."""
        _run(["scp", "-qrF", str(self.ssh_config), f"{host}:{source}", str(target)])


def _run(words: list[str], check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, check=False, capture_output=True, text=True, **options)
    if check and done.returncode:
        raise AssertionError(
            f"exit {done.returncode}: {shlex.join(words)}\n{done.stdout}{done.stderr}"
        )
    return done


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The hosts, up; nothing is promised about what is installed on them."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    return Lab()
