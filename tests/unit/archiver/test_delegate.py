# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the light end of info asks the archiver for, and what it takes for an answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import delegate
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.delegated import Task
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import TermError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.resident import Alone

ENGINE = Path(delegate.__file__).parents[1]
CONFIG = "/etc/pgbackrest.conf"


class Archiver:
    """One that gives one answer, and keeps the question and what is handed over."""

    def __init__(self, path, *answers):
        self.question = ""
        self.written = b""
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        connection, _address = self._listener.accept()
        with connection, self._listener:
            self.question = connection.recv(65536).decode()
            for number, answer in enumerate(self._answers):
                if number == 1:
                    _data, descriptors, _flags, _from = socket.recv_fds(connection, 1, 2)
                    for descriptor in descriptors:
                        os.write(descriptor, b"hello\n")
                        os.close(descriptor)
                connection.sendall(answer)

    @property
    def words(self):
        self._thread.join(5)
        return self.question.rstrip("\n").split("\t")


@pytest.fixture
def streams(tmp_path):
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        yield out, err


def ask(tmp_path, streams):
    return delegate.ask(str(tmp_path), "demo", ["run", "x"], [row.fileno() for row in streams])


def test_the_streams_are_handed_over_and_the_code_comes_back(tmp_path, streams):
    archiver = Archiver(tmp_path / "demo.sock", b"ready\n", b"27\n")
    assert ask(tmp_path, streams) == 27
    assert archiver.words == ["run", "x"]
    assert (tmp_path / "out").read_text() == (tmp_path / "err").read_text() == "hello\n"


@pytest.mark.parametrize(
    "answers", [(b"alone no\n",), (b"ready\n",), (b"ready\n", b""), (b"ready\n", b"x\n"), (b"",)]
)
def test_without_an_answer_it_is_run_at_home(tmp_path, streams, answers):
    Archiver(tmp_path / "demo.sock", *answers)
    with pytest.raises(Alone):
        ask(tmp_path, streams)


def test_without_an_archiver_it_is_run_at_home(tmp_path, streams):
    with pytest.raises(Alone):
        ask(tmp_path, streams)
    assert delegate.info([f"--archiver-path={tmp_path}", "--stanza=demo", "info"], {}) is None
    assert delegate.info([f"--archiver-path={tmp_path}/no", "info"], {}) is None


def test_it_loads_nothing_to_speak_of(tmp_path):
    Archiver(tmp_path / "demo.sock", b"ready\n", b"0\n")
    words = [f"--archiver-path={tmp_path}", "--stanza=demo", "info"]
    code = (
        f"import sys; sys.path.insert(0, {str(ENGINE.parent)!r})\n"
        "before = set(sys.modules)\n"
        f"from {ENGINE.name}.archiver import delegate\n"
        f"assert delegate.info({words!r}, {{}}) == 0\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    hello, loaded = done.stdout.splitlines()
    assert hello == "hello"
    light = {"_socket", "os", "stat", "_stat", "posixpath", "genericpath", "_collections_abc"}
    assert {name.partition(".")[0] for name in loaded.split()} <= light | {"__future__", "engine"}


@pytest.mark.parametrize("given", [["--stanza=demo"], []])
def test_the_question_says_everything(tmp_path, given, monkeypatch):
    archiver = Archiver(tmp_path / "demo.sock", b"alone no\n")
    words = [f"--archiver-path={tmp_path}", *given, f"--config={CONFIG}", "info"]
    environ = {"PGBACKREST_OUTPUT": "json", "TZ": "UTC", "HOME": "/root", "SECRET": "x"}
    assert delegate.info(words, environ) is None
    assert archiver.words[0] == "run"
    task = Task.of(archiver.words[1:])
    assert task.config == CONFIG
    assert task.environ == {"PGBACKREST_OUTPUT": "json", "TZ": "UTC", "HOME": "/root"}
    assert list(task.words) == words


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["info", "--repo1-path=/elsewhere"], {}),
        (["info", "--log-path", "/tmp"], {}),
        (["info", "--config=here.conf"], {}),
        (["info", "--stanza"], {}),
        (["info", "--stanza=a/../b"], {}),
        (["info", "-h"], {}),
        (["info", "--help"], {}),
        (["info", "more"], {}),
        (["help", "info"], {}),
        (["check", "--set=info"], {}),
        (["info"], {"PGBACKREST_REPO1_CIPHER_PASS": "secret"}),
        (["info", "--set=a\tb"], {}),
    ],
)
def test_what_is_not_for_an_archiver(tmp_path, words, environ):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "demo.sock"))
    listener.listen(1)
    listener.settimeout(0.05)
    with listener:
        environ = {"PGBACKREST_ARCHIVER_PATH": str(tmp_path), **environ}
        assert delegate.info(words, environ) is None
        with pytest.raises(TimeoutError):
            listener.accept()


def test_an_interrupt_ends_it_as_at_home(tmp_path, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(delegate, "ask", interrupted)
    (tmp_path / "demo.sock").touch()
    words = [f"--archiver-path={tmp_path}", "--stanza=demo", "info"]
    assert delegate.info(words, {}) == TermError("x").code


@pytest.mark.parametrize("words", [[], ["", "utf-8", "strict"], ["", "utf-8", "strict", "many"]])
def test_words_that_are_no_task(words):
    assert Task.of(words) is None
