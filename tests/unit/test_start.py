# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL starts ends with the code that was meant, whether or not its log has room."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import start
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import client
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import archive_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.tests.support.two_nodes import make_control

ENGINE = Path(start.__file__).parent

# As the host command, which scripts/engine writes.
PROGRAM = f"""\
import os, sys

def broken(*error):
    sys.__excepthook__(*error)
    os._exit(127)

sys.excepthook = broken
sys.path.insert(0, {str(ENGINE.parent)!r})
from {ENGINE.name}.start import main
raise SystemExit(main())
"""

WAL = "000000010000000000000009"
FULL = [("stdout",), ("stderr",), ("stdout", "stderr")]


class Host:
    """A host whose server's log is on a disk that may be full."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "pgbackrest.conf"
        self.config.write_text(
            f"[global]\nrepo1-path={root}/repo\nlog-path={root}\nlock-path={root}/lock\n"
            "log-level-console=info\nallow-root=y\n[demo]\n"
        )
        archive = archive_info.create(7, "15", None)
        archive_info.save(PosixStorage(f"{root}/repo"), "demo", archive, None)

    def run(self, *words: str, full: tuple[str, ...] = (), config: bool = True) -> int:
        """The exit code of the command, with these of its streams on a full disk."""
        given = [f"--config={self.config}"] if config else [f"--archiver-path={self.root}"]
        with contextlib.ExitStack() as stack:
            streams = {
                name: stack.enter_context(open("/dev/full", "wb"))
                if name in full
                else subprocess.DEVNULL
                for name in ("stdout", "stderr")
            }
            return subprocess.run(
                [sys.executable, "-ISXutf8", "-c", PROGRAM, *given, "--stanza=demo", *words],
                check=False,
                timeout=60,
                env={},
                **streams,
            ).returncode

    def answer(self, text: str) -> None:
        """Have an archiver answer the next question so."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{self.root}/demo.sock")
        listener.listen()

        def serve() -> None:
            with listener:
                connection, _address = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(text.encode() + b"\n")

        threading.Thread(target=serve, daemon=True).start()


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.mark.parametrize("full", [(), *FULL])
def test_a_recovery_is_stopped(host, full):
    """Else it would end, and the server accept writes."""
    data = host.root / "data"
    data.mkdir()
    (data / "recovery.signal").touch()
    (host.root / "repo/archive/demo/archive.info").write_text("damaged")
    (host.root / "repo/archive/demo/archive.info.copy").write_text("damaged")
    assert host.run(f"--pg1-path={data}", "archive-get", WAL, str(data / "x"), full=full) == 200


@pytest.mark.parametrize("full", [(), *FULL])
def test_what_the_archive_does_not_have(host, full):
    """A code above 125 would end a standby."""
    data = host.root / "data"
    (data / "global").mkdir(parents=True)
    make_control(data)
    (data / "standby.signal").touch()
    assert host.run(f"--pg1-path={data}", "archive-get", WAL, str(data / "x"), full=full) == 1


@pytest.mark.parametrize("full", [(), *FULL])
def test_what_was_pushed_was_pushed(host, full):
    """Else the server would keep it, and its disk never be less full."""
    (host.root / "00000002.history").write_text("1\t0/1\twhy\n")
    # For an archiver to be asked there are too many options.
    words = ["--no-archive-header-check", "archive-push", str(host.root / "00000002.history")]
    assert host.run(*words, full=full) == 0
    assert list((host.root / "repo/archive/demo/15-1").iterdir())


@pytest.mark.parametrize("full", FULL)
@pytest.mark.parametrize(
    ("command", "answer", "code"),
    [
        ("archive-get", "exit 200 ERROR: [049]: given up", 200),
        ("archive-get", "exit 1 WARN: no way there", 1),
        ("archive-get", "error 49 no way there", 49),
        ("archive-push", "exit 0 WARN: dropped", 0),
        ("archive-push", "ok", 0),
    ],
)
def test_what_the_archiver_says(host, full, command, answer, code):
    host.answer(answer)
    words = [command, WAL, "x"] if command == "archive-get" else [command, "/wal/" + WAL]
    assert host.run(*words, full=full, config=False) == code


@pytest.mark.parametrize("full", FULL)
def test_that_there_is_no_archiver_cannot_be_said(host, full):
    (host.root / "00000002.history").write_text("1\t0/1\twhy\n")
    words = [f"--archiver-path={host.root}", "archive-push", str(host.root / "00000002.history")]
    try:
        assert host.run(*words, full=full) == 0
    finally:
        os.unlink(client.notice_path(str(host.root), "demo", "archive-push"))


def test_a_mistake_of_ours_is_not_taken_for_the_end_of_the_archive(host, monkeypatch):
    """Even where it cannot be said."""
    program = PROGRAM.replace("raise SystemExit", "main = None; raise SystemExit")
    monkeypatch.setitem(globals(), "PROGRAM", program)
    assert host.run("archive-get", WAL, "x", full=("stdout", "stderr")) == 127


@pytest.mark.parametrize("archiver", [False, True])
def test_output_that_nobody_takes_is_an_error(host, archiver):
    if archiver:
        host.answer("alone it is not asked")
    program = PROGRAM.replace("import os, sys\n", "import os, sys\nsys.stdout = None\n")
    words = [f"--config={host.config}", f"--archiver-path={host.root}", "--stanza=demo", "info"]
    done = subprocess.run(
        [sys.executable, "-ISXutf8", "-c", program, *words],
        check=False,
        timeout=60,
        env={},
        stderr=subprocess.PIPE,
    )
    assert done.returncode == 64
    assert b"standard output: it is closed" in done.stderr


def test_output_that_cannot_be_written_is_an_error(host):
    for words in (("help",), ("info",)):
        assert host.run(*words) == 0
        assert host.run(*words, full=("stdout",)) == 64
