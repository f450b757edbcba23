# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The light end of archive-push: what it loads, when it asks, and what it makes of the answers."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import resident
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import client

ENGINE = Path(client.__file__).parents[1]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Where the socket lies, with a notice of its own."""
    monkeypatch.setattr(client, "notice_path", lambda *_: str(tmp_path / "notice"))
    monkeypatch.setattr(resident, "SILENCE", 0.5)
    return tmp_path


def answers(directory, *chunks):
    """A stand-in of the archiver: sends these bytes to who asks, and keeps the question."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "demo.sock"))
    listener.listen()
    heard = []

    def serve():
        with listener:
            connection, _dummy = listener.accept()
        with connection:
            heard.append(connection.recv(4096))
            for chunk in chunks:
                if chunk is None:
                    connection.recv(1)  # until the other side hangs up
                else:
                    connection.send(chunk)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return heard


def push(directory, *more, environ=None):
    words = [f"--archiver-path={directory}", "--stanza=demo", "archive-push", "pg_wal/1", *more]
    return client.push(words, environ or {})


@pytest.mark.parametrize("command", ["push", "get"])
def test_it_loads_nothing_to_speak_of(directory, command):
    (directory / "fetched").write_bytes(b"wal")
    answer = b"ok\n" if command == "push" else f"found {directory}/fetched\n".encode()
    heard = answers(directory, b"..", answer)
    words = [f"--archiver-path={directory}", "--stanza=demo"]
    words += {"push": ["archive-push", "x"], "get": ["archive-get", "1", f"{directory}/got"]}[
        command
    ]
    code = (
        f"import sys; sys.path.insert(0, {str(ENGINE.parent)!r})\n"
        "before = set(sys.modules)\n"
        f"from {ENGINE.name}.archiver import client\n"
        f"assert client.{command}({words!r}, {{}}) == 0\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stdout)"
    )
    # Without site, as the installed command starts: that loads much by itself.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    top = {name.partition(".")[0] for name in done.stdout.split()}
    light = {"_socket", "os", "stat", "_stat", "posixpath", "genericpath", "_collections_abc"}
    assert top <= light | {"__future__", ENGINE.name}
    assert len(heard) == 1
    assert (directory / "got").exists() == (command == "get")


def test_the_question_has_all_that_matters(directory):
    heard = answers(directory, b"..", b".ok\n")
    assert push(directory, "--config=/etc/x.conf", "--log-level-console=detail") == 0
    path = os.path.join(os.getcwd(), "pg_wal/1")
    assert heard == [f"push\t/etc/x.conf\tdemo\t{path}\n".encode()]


def test_an_archiver_of_another_user_is_not_believed(directory, monkeypatch, capsys):
    monkeypatch.setattr(resident, "peer_uid", lambda _socket: 4711)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "demo.sock"))
        listener.listen()
        assert push(directory) is None
        connection, _address = listener.accept()
        with connection:
            # He is not even told what is wanted.
            assert connection.recv(100) == b""
    assert f"'{directory}/demo.sock' belongs to another user" in capsys.readouterr().err


@pytest.mark.parametrize(("peer", "own"), [(4712, 4712), (0, 4712), (4711, 0)])
def test_ours_and_root_s_are(directory, monkeypatch, peer, own):
    answers(directory, b"ok\n")
    monkeypatch.setattr(resident, "peer_uid", lambda _socket: peer)
    monkeypatch.setattr(os, "geteuid", lambda: own)
    assert push(directory) == 0


def test_the_environment_counts(directory):
    heard = answers(directory, b"ok\n")
    environ = {
        "PGBACKREST_CONFIG": "/e.conf",
        "PGBACKREST_STANZA": "demo",
        "PGBACKREST_ARCHIVER_PATH": str(directory),
    }
    assert client.push(["archive-push", "/x/pg_wal/1"], environ) == 0
    assert heard == [b"push\t/e.conf\tdemo\t/x/pg_wal/1\n"]


def test_a_working_directory_that_is_gone_does_not_matter(directory, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    heard = answers(directory, b"exit 0 \n")
    words = [f"--archiver-path={directory}", "--stanza=demo", "archive-push", "/wal/1"]
    assert client.push(words, {}) == 0
    assert heard == [b"push\t\tdemo\t/wal/1\n"]


def test_an_error_is_told_with_its_code(directory, capsys):
    answers(directory, b"error 45 it is\\nanother\\\\one\n")
    assert push(directory) == 45
    assert capsys.readouterr().err == "ERROR: [045]: it is\nanother\\one\n"


@pytest.mark.parametrize(
    ("chunks", "why"),
    [
        ((b"alone it serves stanza x\n",), "it serves stanza x"),
        ((b".",), "it ended without an answer"),
        ((b".", None), "it has been silent for 0.5 seconds"),
        ((b"what\n",), "it answered 'what'"),
    ],
)
def test_the_command_is_left_alone(directory, capsys, chunks, why):
    answers(directory, *chunks)
    assert push(directory) is None
    assert why in capsys.readouterr().err


def test_that_nobody_is_there_is_said_once(directory, capsys):
    assert push(directory) is None
    assert "WARN: no archiver" in capsys.readouterr().err
    assert push(directory) is None
    assert capsys.readouterr().err == ""
    answers(directory, b"ok\n")
    assert push(directory) == 0
    (directory / "demo.sock").unlink()
    assert push(directory) is None
    assert "WARN: no archiver" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "environ"),
    [
        (["--repo1-path=/other"], {}),
        (["--compress-type", "none"], {}),
        (["--no-archive-header-check"], {}),
        (["another"], {}),
        (["--log-level-console"], {}),
        (["-x"], {}),
        ([], {"PGBACKREST_REPO1_PATH": "/other"}),
        (["pg_wal/with\ttab"], {}),
    ],
)
def test_what_an_archiver_was_not_told_goes_the_long_way(directory, capsys, more, environ):
    heard = answers(directory, b"ok\n")
    assert push(directory, *more, environ=environ) is None
    assert heard == []
    assert capsys.readouterr().err == ""


def test_without_a_stanza_it_goes_the_long_way():
    assert client.push(["archive-push", "x"], {}) is None
    assert client.push(["--stanza=../x", "archive-push", "x"], {}) is None


@pytest.mark.parametrize("kind", ["file", "link", "ours"])
def test_what_another_user_has_put_there_silences_nobody(directory, tmp_path, capsys, kind):
    notice = tmp_path / "notice"
    if kind == "link":
        notice.symlink_to("/nowhere")
    else:
        notice.touch()
    if kind != "ours":
        theirs(notice)
    assert push(directory / "nowhere") is None
    assert ("no archiver" in capsys.readouterr().err) == (kind != "ours")


def theirs(path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, 12345, follow_symlinks=False)


@pytest.mark.parametrize("text", ["", "one", "two\nlines", "\\n", "\\", "a\\\nb\\n"])
def test_a_text_survives_the_line(text):
    assert "\n" not in resident.escape(text)
    assert client.unescape(resident.escape(text)) == text


def get(directory, *more, environ=None):
    words = [f"--archiver-path={directory}", "--stanza=demo", "archive-get", *more]
    return client.get(words, environ or {})


def test_what_was_fetched_is_moved_to_its_place(directory, tmp_path, monkeypatch):
    (tmp_path / "spooled").write_bytes(b"wal")
    (tmp_path / "pg_wal").mkdir()
    monkeypatch.chdir(tmp_path)
    heard = answers(directory, f"found {tmp_path}/spooled\n".encode(), None)
    assert get(directory, "000000010000000000000001", "pg_wal/RECOVERYXLOG") == 0
    assert heard == [f"get\t\tdemo\t{tmp_path}\t000000010000000000000001\n".encode()]
    assert (tmp_path / "pg_wal" / "RECOVERYXLOG").read_bytes() == b"wal"
    assert not (tmp_path / "spooled").exists()


def test_from_another_file_system_it_is_copied(directory, tmp_path, monkeypatch):
    (tmp_path / "spooled").write_bytes(b"wal" * 1_000_000)
    renames = []

    def rename(source, target):
        renames.append((source, target))
        if len(renames) == 1:
            raise OSError(18, "Invalid cross-device link")
        os.replace(source, target)

    monkeypatch.setattr(client.os, "rename", rename)
    answers(directory, f"found {tmp_path}/spooled\n".encode(), None)
    assert get(directory, "000000010000000000000001", str(tmp_path / "got")) == 0
    assert (tmp_path / "got").read_bytes() == b"wal" * 1_000_000
    assert not (tmp_path / "got.pgbackrest.tmp").exists()


def test_what_cannot_be_taken_is_fetched_by_the_command(directory, tmp_path, capsys):
    answers(directory, b"found /nowhere/at/all\n", None)
    assert get(directory, "000000010000000000000001", str(tmp_path / "got")) is None
    assert not (tmp_path / "got").exists()
    assert "archive-get does the work itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (b"exit 1 \n", 1, ""),
        (b"exit 1 WARN: no way there; the standby will ask again\n", 1, "WARN: no way there"),
        (b"exit 200 ERROR: [049]: given up\\nHINT: wait\n", 200, "ERROR: [049]: given up\nHINT"),
    ],
)
def test_the_code_is_what_the_archiver_says(directory, capsys, answer, code, text):
    answers(directory, answer)
    assert get(directory, "000000010000000000000001", "x") == code
    said = capsys.readouterr().err
    assert text in said if text else not said


def test_the_data_directory_of_the_server_goes_along(directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heard = answers(directory, b"exit 1 \n")
    get(directory, f"--pg1-path={tmp_path}", "00000002.history", "pg_wal/RECOVERYHISTORY")
    assert heard == [f"get\t\tdemo\t{tmp_path}\t00000002.history\n".encode()]


@pytest.mark.parametrize("destination", ["pg_wal/RECOVERYXLOG", "/somewhere/RECOVERYXLOG"])
def test_the_server_is_the_one_that_the_command_runs_in(
    directory, tmp_path, monkeypatch, destination
):
    """Its data directory may be another one than the archiver's, whose recovery it is not."""
    (tmp_path / "PG_VERSION").write_text("15\n")
    monkeypatch.chdir(tmp_path)
    heard = answers(directory, b"exit 1 \n")
    assert get(directory, "00000002.history", destination) == 1
    assert heard == [f"get\t\tdemo\t{tmp_path}\t00000002.history\n".encode()]


def test_a_data_directory_that_is_not_the_server_s_is_looked_into_at_length(
    directory, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    heard = answers(directory, b"exit 1 \n")
    given = ["--pg1-path=/elsewhere", "00000002.history", "pg_wal/RECOVERYXLOG"]
    assert get(directory, *given) is None
    assert heard == []


def test_with_another_repository_it_is_not_for_the_archiver(directory):
    answers(directory, b"exit 1 \n")
    assert get(directory, "--repo=2", "00000002.history", "x") is None


def test_without_an_archiver_nothing_is_said_of_it(directory, capsys):
    assert get(directory / "nowhere", "00000002.history", "x") is None
    assert not capsys.readouterr().err


def test_who_gets_no_socket_does_the_work_himself(directory, capsys):
    """A restore_command that ends with a traceback ends a standby."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        assert push(directory) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "Too many open files" in capsys.readouterr().err


def test_whether_an_archiver_is_there(tmp_path):
    assert not resident.answers(str(tmp_path), "demo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(resident.socket_path(str(tmp_path), "demo"))
        # One that has ended leaves its socket behind.
        assert not resident.answers(str(tmp_path), "demo")
        listener.listen()
        assert resident.answers(str(tmp_path), "demo")
