# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that borrow a session of the archiver: no connection of their own, and no library."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import whose
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import open_storage
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import borrow
from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.archiver import Archiver, alive, until
from ansible_collections.pgsftp.backup.tests.support.engine import ROOT, own
from ansible_collections.pgsftp.backup.tests.support.postgres import OWNER

pytestmark = pytest.mark.integration

COMMANDS = [["info"], ["info", "--output=json"], ["check"], ["expire"], ["stanza-create"]]

LOADS = """\
import sys
sys.path.insert(0, {path!r})
from pgsftp_engine import cli
code = cli.main({words!r})
sys.stderr.write("loaded: " + " ".join(sorted({{"paramiko", "cryptography"}} & set(sys.modules))))
raise SystemExit(code)
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """A server that lets the tests in."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def site(sites, new_cluster, sshd):
    """A cluster that archives through an archiver, and has a backup."""
    made = sites(new_cluster("--wal-segsize=1", archive_mode="on", archive_command="false"))
    made.use_sftp(sshd)
    made.run("stanza-create")
    archiver = Archiver(made)
    made.cluster.configure(
        archive_command=" ".join([str(made.command), *archiver.words, "archive-push", "%p"])
    )
    made.cluster.reload()
    made.run("backup", "--type=full")
    status = made.cluster.data / "pg_wal" / "archive_status"
    until(lambda: not list(status.glob("*.ready")), "WAL is left")
    return made


@pytest.fixture
def archiver(site):
    made = Archiver(site)
    yield made
    made.stop()
    made.forget()


def lent(archiver):
    archiver.start()
    until(lambda: archiver.status()["sessions"], "no session", archiver)
    return archiver


def end(archiver):
    """Kill it, and see its workers end."""
    workers = archiver.workers
    archiver.kill()
    until(lambda: not any(map(alive, workers)), "they do not end", archiver)


def connections(sshd):
    return sshd.log.count("Accepted publickey")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_connects_without_an_archiver_and_borrows_with_one(site, sshd, archiver, command):
    words = [f"--archiver-path={archiver.run_path}", *command]
    before = connections(sshd)
    alone = site.run(*words)
    # A check has a segment archived, by a command that connects, too.
    assert connections(sshd) - before == (2 if command == ["check"] else 1)
    lent(archiver)
    # So that an archive_command that runs now does not count.
    archiver.status()
    before = connections(sshd)
    borrowed = site.run(*words)
    assert connections(sshd) == before
    if command[0] == "info":
        assert borrowed.stdout == alone.stdout


def test_several_in_a_row_and_at_once(site, sshd, archiver):
    lent(archiver)
    before = connections(sshd)
    running = [
        archiver.popen("info", "--output=json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _number in range(4)
    ]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert len({out for out, _error in said}) == 1
    assert json.loads(said[0][0])[0]["status"]["code"] == 0
    # A fifth channel while four are open is granted, too: MaxSessions is ten.
    assert connections(sshd) == before


@pytest.mark.parametrize("command", [*COMMANDS, ["archive-get"]], ids=" ".join)
def test_no_library_is_loaded(site, sshd, archiver, command):
    lent(archiver)
    archiver.status()
    before = connections(sshd)
    if command == ["archive-get"]:
        # The newest but one is in the archive, and goes nowhere that matters.
        status = site.cluster.data / "pg_wal" / "archive_status"
        name = max(path.stem for path in status.glob("*.done") if len(path.stem) == 24)
        command = [*command, name, str(site.root / "got")]
    (path,) = re.findall(r'^sys.path.insert\(0, "(.*)"\)$', site.command.read_text(), re.MULTILINE)
    words = [f"--config={site.config}", "--stanza=demo", f"--archiver-path={archiver.run_path}"]
    owner = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
    python = site.command.read_text().splitlines()[0][2:].split()[0]
    done = subprocess.run(
        [python, "-I", "-c", LOADS.format(path=path, words=[*words, *command])],
        capture_output=True, text=True, check=False, cwd="/", **owner,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("loaded: ")
    assert connections(sshd) == before


def test_with_another_key_or_another_check_nothing_is_lent(site, sshd, archiver):
    lent(archiver)
    before = connections(sshd)
    site.run(
        f"--archiver-path={archiver.run_path}", "--repo1-sftp-host-key-check-type=none", "info"
    )
    assert connections(sshd) == before + 1


def test_when_the_archiver_dies_the_command_goes_on_by_itself(site, sshd, archiver):
    if os.geteuid() != 0 and os.environ.get("USER") != OWNER:
        pytest.skip("the archiver lends to its own user")
    lent(archiver)
    words = [f"--config={site.config}", "--stanza=demo", f"--archiver-path={archiver.run_path}"]
    options = load("info", words, {})
    before = connections(sshd)
    with open_storage(options.repo(), lender=borrow.lender(options)) as storage:
        names = [row.name for row in storage.list("archive/demo")]
        assert "archive.info" in names
        assert connections(sshd) == before
        archiver.kill()
        assert [row.name for row in storage.list("archive/demo")] == names
        assert connections(sshd) == before + 1


LONG = [["verify"], ["restore", "--type=none"]]


@pytest.mark.parametrize("command", LONG, ids=lambda command: command[0])
def test_commands_with_workers_begin_with_a_borrowed_session(site, sshd, archiver, command):
    lent(archiver)
    found = []
    for number, directory in enumerate((site.root / "nobody", archiver.run_path)):
        words = [f"--archiver-path={directory}", "--log-level-console=debug", *command]
        if command[0] == "restore":
            words.append(f"--pg1-path={site.restored(f'borrowed-{number}').data}")
        found.append(site.run(*words).stdout.count("connected to "))
    assert found[1] == found[0] - 1 > 0


def said(site, archiver, *words):
    """The lines of a command beside the archiver, and how many connections it made."""
    out = site.run(
        f"--archiver-path={archiver.run_path}", "--log-level-console=debug", *words
    ).stdout
    return out, out.count("connected to ")


def test_a_small_backup_needs_no_login(site, archiver):
    lent(archiver)
    out, logins = said(site, archiver, "backup", "--type=full", "--process-max=2")
    assert logins == 0
    # The parent's, and one of each worker.
    assert out.count("session of the archiver to") == 3
    site.run("verify")


def test_the_data_of_a_larger_one_goes_past_the_archiver(site, archiver):
    lent(archiver)
    large = site.cluster.data / "base" / "large"
    with large.open("wb") as file:
        file.truncate(whose.LENT_SIZE + 1)
    own(large)
    try:
        _out, logins = said(site, archiver, "backup", "--type=incr", "--process-max=2")
    finally:
        large.unlink()
    # Of two workers one may have done it all before the other one is let in.
    assert logins in (1, 2)


def test_a_delta_restore_logs_in_only_for_what_differs(site, archiver):
    lent(archiver)
    copy = site.restored("delta")
    where = [f"--pg1-path={copy.data}", "--type=none"]
    site.run("restore", *where)
    delta = ["restore", "--delta", "--process-max=2", *where]
    # pg_control differs on purpose, and is fetched by the parent.
    out, logins = said(site, archiver, *delta)
    assert (out.count("P00 DETAIL: restore file pg_data/"), logins) == (1, 0)
    assert not re.search(r"P0[12] DETAIL: restore file \S+ \(", out)
    (copy.data / "PG_VERSION").write_text("99\n")
    out, logins = said(site, archiver, *delta)
    assert logins == 1
    assert re.search(r"P0[12] DETAIL: restore file pg_data/PG_VERSION \(", out)
    assert (copy.data / "PG_VERSION").read_text() == f"{site.cluster.version}\n"


def test_a_delta_restore_without_a_key_is_refused_before_anything_is_touched(site, archiver):
    """It begins with a borrowed session, which needs none."""
    lent(archiver)
    copy = site.restored("keyless")
    where = [f"--pg1-path={copy.data}", "--type=none"]
    site.run("restore", *where)
    (copy.data / "PG_VERSION").write_text("99\n")
    (copy.data / "more").write_text("not of the backup\n")
    own(copy.data / "more")
    (line,) = (line for line in site.config.read_text().splitlines() if "private-key-file" in line)
    key = Path(line.partition("=")[2])
    key.rename(f"{key}.away")
    try:
        words = [f"--archiver-path={archiver.run_path}", "restore", "--delta", *where]
        failed = site.run(*words, code=101)
    finally:
        Path(f"{key}.away").rename(key)
    assert f"unable to read private key '{key}'" in failed.stderr + failed.stdout
    assert (copy.data / "global/pg_control").exists()
    assert (copy.data / "more").exists()


def test_a_limited_command_borrows_nothing(site, sshd, archiver):
    """The session would keep to the limit of the archiver."""
    lent(archiver)
    found = []
    for directory in (site.root / "nobody", archiver.run_path):
        before = connections(sshd)
        site.run(f"--archiver-path={directory}", "--repo1-sftp-rate-limit=100MiB", "verify")
        found.append(connections(sshd) - before)
    assert found[0] == found[1]


def test_a_backup_goes_on_when_the_archiver_dies(site, archiver):
    lent(archiver)
    process = archiver.popen(
        "backup", "--type=full", "--log-level-console=debug",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = []
    for line in process.stdout:
        said.append(line)
        if "backup start archive" in line:
            process.send_signal(signal.SIGSTOP)
            end(archiver)
            process.send_signal(signal.SIGCONT)
    process.stdout.close()
    assert process.wait(60) == 0, "".join(said)
    assert any("session of the archiver" in line for line in said)
    assert sum("connecting again" in line for line in said) == 1
    site.run("verify")


def test_a_server_that_grants_one_session_only_lends_none(sites, site, tmp_path_factory):
    server = real_sshd.start(tmp_path_factory.mktemp("one"), "MaxSessions 1")
    try:
        made = sites(site.cluster)
        made.use_sftp(server)
        made.run("stanza-create")
        archiver = lent(Archiver(made))
        before = connections(server)
        made.run(f"--archiver-path={archiver.run_path}", "info")
        assert connections(server) == before + 1
        assert archiver.status()["reachable"]
        archiver.stop()
        archiver.forget()
    finally:
        server.stop()


def test_nobody_else_is_lent_anything(site, archiver):
    lent(archiver)
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    code = (
        "import socket, sys\n"
        "line = socket.socket(socket.AF_UNIX)\n"
        "try:\n"
        "    line.connect(sys.argv[1])\n"
        "except PermissionError:\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run(
        ["python3", "-c", code, str(archiver.run_path / "demo.sock")],
        user="nobody", group="nogroup", extra_groups=[], check=False, cwd=str(ROOT.anchor),
    )  # fmt: skip
    assert done.returncode == 7
    # Where the socket's mode does not keep him out, his number does.
    for path in (archiver.run_path, archiver.run_path / "demo.sock"):
        path.chmod(0o777)
    code = (
        "import socket, sys\n"
        "line = socket.socket(socket.AF_UNIX)\n"
        "line.connect(sys.argv[1])\n"
        "line.sendall(b'status\\n')\n"
        "sys.exit(8 if line.recv(1) else 9)\n"
    )
    site.cluster.root.chmod(0o755)
    done = subprocess.run(
        ["python3", "-c", code, str(archiver.run_path / "demo.sock")],
        user="nobody", group="nogroup", extra_groups=[], check=False, cwd=str(ROOT.anchor),
        capture_output=True, text=True,
    )  # fmt: skip
    refused = ("Connection reset", "Broken pipe")
    assert done.returncode == 9 or any(text in done.stderr for text in refused), done.stderr
    assert "a connection of another user was refused" in archiver.said
