# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host command: what it prints, what it logs, and how it ends."""

from __future__ import annotations

import io
import os
import re
import signal
import stat
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import cli, errors, log
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.commands import COMMANDS

CONF = """\
[global]
log-path={tmp}
log-level-console=info
log-timestamp=n
allow-root=y
repo1-path={tmp}/repo
repo1-retention-full=1
[demo]
pg1-path=/pg
"""


class Run(t.NamedTuple):
    code: int
    output: str
    errors: str


class Result(t.NamedTuple):
    text: str = ""
    exit_code: int = 0


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the host command with a configuration; ``does`` takes the place of every command."""
    conf = tmp_path / "x.conf"
    conf.write_text(CONF.format(tmp=tmp_path))
    umask = os.umask(0o022)
    handlers = list(log._logger.handlers)

    def call(*words, does=lambda _options: None, conf=conf, environ=None):
        commands = dict.fromkeys(cli.DISPATCH, does)
        monkeypatch.setattr(cli, "DISPATCH", commands)
        output, said = io.StringIO(), io.StringIO()
        arguments = [f"--config={conf}", "--stanza=demo", *words] if conf else list(words)
        code = cli.main(arguments, environ or {}, output=output, errors=said)
        return Run(code, output.getvalue(), said.getvalue())

    yield call
    assert log._logger.handlers == handlers
    os.umask(umask)


def test_a_command_that_succeeds(run, tmp_path):
    got = run("--exec-id=1-a", "backup")
    assert got == (
        0,
        "P00   INFO: backup command begin 0.1.0: --allow-root --config="
        f"{tmp_path}/x.conf --exec-id=1-a --log-level-console=info --log-path={tmp_path}"
        f" --no-log-timestamp --pg1-path=/pg --repo1-path={tmp_path}/repo"
        " --repo1-retention-full=1 --stanza=demo\n"
        "P00   INFO: backup command end: completed successfully\n",
        "",
    )


def test_times(run):
    got = run("--log-timestamp", "backup")
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} P00   INFO: backup command "
    assert re.fullmatch(
        line + r"begin .*\n" + line + r"end: completed successfully \(\d+ms\)\n", got.output
    )


def test_a_command_that_fails(run):
    def does(_options):
        raise errors.FileMissingError("unable to open missing file 'x'", hint="where is it?")

    got = run("backup", does=does)
    assert got.code == 55
    assert got.output.endswith(
        "P00  ERROR: [055]: unable to open missing file 'x'\n"
        "            HINT: where is it?\n"
        "P00   INFO: backup command end: aborted with exception [055]\n"
    )
    assert got.errors == ""


def test_errors_on_standard_error(run):
    def does(_options):
        log.warn("look\nout")
        raise errors.DbConnectError("no server", hint="start it.")

    got = run("--log-level-stderr=error", "backup", does=does)
    assert got.errors == "ERROR: [056]: no server\n       HINT: start it.\n"
    assert "ERROR" not in got.output
    assert "P00   WARN: look\n            out\n" in got.output


def test_an_error_before_the_log_is_set_up(run):
    got = run("--proces-max=2", "backup")
    assert got == (
        31,
        "",
        "ERROR: [031]: invalid option '--proces-max'\n       HINT: did you mean 'process-max'?\n",
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("bakup",), 48, "invalid command 'bakup'"),
        (("--stanza=demo",), 30, "no command found"),
        (("server-ping",), 48, "command 'server-ping' is not supported yet"),
        (("--no-config", "backup"), 37, "backup command requires option: stanza"),
        (("--config=/nowhere/x", "--stanza=demo", "info"), 55, "unable to open missing file"),
    ],
)
def test_command_lines_that_are_none(run, words, code, message):
    got = run(*words, conf=None)
    assert got.code == code
    assert message in got.errors
    assert got.output == ""


def test_a_mistake_of_ours(run):
    got = run("--log-level-console=debug", "backup", does=lambda _options: {}["x"])
    assert got.code == 25
    assert "P00  ERROR: [025]: unexpected KeyError in test_cli.py:" in got.output
    assert "Traceback (most recent call last)" in got.output
    assert "Traceback" not in run("backup", does=lambda _options: {}["x"]).output


def test_warnings_of_the_configuration(run):
    got = run("--stop-auto", "backup")
    assert "P00   WARN: option 'stop-auto' has no effect here\n" in got.output


def test_what_a_command_has_to_say(run):
    got = run("info", does=lambda _options: Result("stanza: demo\n"))
    assert got == (0, "stanza: demo\n", "")


def test_exit_code_of_a_file_that_was_not_found(run):
    got = run("archive-get", "x", "y", does=lambda _options: Result(exit_code=1))
    assert got.code == 1
    assert "completed successfully" in got.output


def test_quiet_commands_begin_at_debug(run):
    assert run("info").output == ""
    assert "info command begin" in run("--log-level-console=debug", "info").output


def test_the_log_file(run, tmp_path):
    path = tmp_path / "demo-backup.log"
    run("backup")
    first = path.read_text()
    assert first.startswith("-------------------PROCESS START-------------------\n")
    assert re.search(r"\n\d{4}-.* P00   INFO: backup command end: completed", first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    run("backup")
    assert path.read_text().startswith(first + "\n-------------------PROCESS START---")
    for words in (("--log-level-file=off", "restore"), ("archive-push", "x"), ("info",)):
        run(*words)
    assert [found.name for found in tmp_path.glob("*.log")] == ["demo-backup.log"]


def test_a_name_of_any_bytes_is_logged_as_it_is(run, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    run("backup", does=lambda _options: log.info("found %s", name))
    assert b"found caf\xe9" in (tmp_path / "demo-backup.log").read_bytes()


def test_a_log_directory_that_cannot_be_written(run):
    got = run("--log-path=/nowhere", "backup")
    assert got.code == 0
    assert got.output.startswith(
        "P00   WARN: unable to open log file '/nowhere/demo-backup.log':"
        " No such file or directory\n"
        "            NOTE: process will continue without log file.\n"
    )


def test_secrets_are_in_no_log(run, tmp_path):
    environ = {
        "PGBACKREST_REPO1_CIPHER_TYPE": "aes-256-cbc",
        "PGBACKREST_REPO1_CIPHER_PASS": "hunter2",
    }
    got = run("--log-level-console=trace", "--log-level-file=trace", "backup", environ=environ)
    assert "--repo1-cipher-pass=<redacted>" in got.output
    assert "hunter2" not in got.output + (tmp_path / "demo-backup.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal(run, number):
    released = []

    def does(_options):
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)  # a second one does not disturb the clean-up
            released.append("lock")

    # Whoever starts the tests in the background may have some ignored.
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        got = run("backup", does=does)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, inherited)
    assert got.code == 63
    assert got.output.endswith(
        f"P00   INFO: backup command end: terminated on signal [{number.name}]\n"
    )
    assert released == ["lock"]


def test_a_signal_that_is_ignored_stays_so(run):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        got = run("backup", does=lambda _options: os.kill(os.getpid(), signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert got.code == 0


def test_root(run, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for command, root in ((name, row.root) for name, row in COMMANDS.items()):
        words = [command, "a", "b"][: 3 if command == "archive-get" else 1]
        if command == "annotate":
            words += ["--set=a", "--annotation=a=b"]
        if command in cli.DISPATCH:
            got = run("--no-allow-root", *words)
            assert got.code == (0 if root else 31), command
    got = run("--no-allow-root", "backup")
    assert got.errors == (
        "ERROR: [031]: the 'backup' command must not be run as the root user\n"
        "       HINT: run it as the owner of the cluster: runuser -u postgres -- pgsftp ..."
        " (or set allow-root=y).\n"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 101)
    assert run("--no-allow-root", "backup").code == 0


def test_modes_are_independent_of_the_umask(run, tmp_path):
    def does(_options):
        (tmp_path / "made").mkdir(0o750)
        with open(tmp_path / "made" / "x", "w", encoding="utf-8"):
            pass

    os.umask(0o077)
    run("backup", does=does)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "made" / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("words", [(), ("help",), ("--help",), ("-h",)])
def test_help(run, words):
    got = run(*words, conf=None)
    assert got.code == 0
    assert got.output.startswith("pgsftp 0.1.0 - General help\n")
    assert "    backup " in got.output
    assert "server-ping" not in got.output
    assert "remote" not in got.output


def test_help_of_a_command_and_of_an_option(run):
    assert "--[no-]start-fast" in run("help", "backup", conf=None).output
    assert run("backup", "--help", conf=None) == run("help", "backup", conf=None)
    assert "1MiB to 1PiB" in run("help", "backup", "repo1-bundle-size", conf=None).output
    got = run("help", "backup", "repo1-bundel-size", conf=None)
    assert got.code == 31
    assert "did you mean 'repo1-bundle-size'?" in got.errors


@pytest.mark.parametrize("words", [("version",), ("--version",), ("backup", "--version")])
def test_version(run, words):
    assert run(*words, conf=None) == (0, "pgsftp 0.1.0\n", "")


@pytest.mark.parametrize("word", ["version", "help"])
def test_a_value_is_no_command(run, word):
    assert (
        run("--filter", word, "repo-ls", does=lambda _options: Result("it ran\n")).output
        == "it ran\n"
    )


def test_what_the_remote_command_writes_goes_beside_the_line(run):
    def does(_options):
        log.warn("not for the other side's eyes")
        raise errors.ProtocolError("unexpected frame")

    got = run("--log-level-console=info", "remote", does=does)
    assert got.output == ""
    assert got.errors == "ERROR: [039]: unexpected frame\n"


def test_a_command_loads_only_what_it_needs():
    heavy = {"paramiko", "psycopg2", "numpy", "zstandard", "cryptography", "multiprocessing"}
    package = cli.__name__.rsplit(".", 1)[0]
    code = (
        f"import sys, io; before = set(sys.modules); from {package} import cli;"
        " cli.main(['version'], {}, output=io.StringIO());"
        " sys.stdout.write(' '.join(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert not heavy & loaded
    assert not [
        name for name in loaded if name.startswith((f"{package}.command", f"{package}.storage"))
    ]
