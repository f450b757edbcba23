# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords, questions and two factors, on a server in this process."""

from __future__ import annotations

import os
import socket
import threading
import types

import pytest

paramiko = pytest.importorskip("paramiko")

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors  # noqa: E402
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (  # noqa: E402
    RepoOptions,
    Secret,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import (  # noqa: E402
    open as opening,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import (  # noqa: E402
    eager,
    login,
)
from ansible_collections.pgsftp.backup.tests.support.ssh_server import (  # noqa: E402
    Conduct,
    SshServer,
)
from ansible_collections.pgsftp.backup.tests.support.sshd import keygen  # noqa: E402

PASSWORD = "Zwölf Boxkämpfer"


@pytest.fixture(scope="module")
def host_key():
    return paramiko.ECDSAKey.generate()


@pytest.fixture
def server(host_key):
    """Start a server: ``server(methods="password")``."""
    started = []

    def start(**conduct):
        started.append(SshServer([host_key], Conduct(password=PASSWORD, **conduct)))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture
def connect(tmp_path):
    """Log in, and list the repository."""

    def connect(server, **options):
        (tmp_path / "repo").mkdir(exist_ok=True)
        sftp = SftpOptions(
            host="127.0.0.1",
            port=server.port,
            user="pgbackrest",
            key_check_type="none",
            **options,
        )
        repo = RepoOptions(type="sftp", path=str(tmp_path / "repo"), sftp=sftp)
        with opening.prepare(repo, io_timeout=5).open() as storage:
            storage.write("x", b"1")

    return connect


def password_file(tmp_path, text=PASSWORD + "\n", mode=0o600):
    file = tmp_path / "password"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return str(file)


def user_key(tmp_path):
    keygen(tmp_path / "id", "ed25519")
    return str(tmp_path / "id")


@pytest.mark.parametrize("methods", ["password", "keyboard-interactive", "publickey,password"])
@pytest.mark.parametrize("text", [PASSWORD, PASSWORD + "\n", PASSWORD + "\r\nnot this line"])
def test_a_password(server, connect, tmp_path, methods, text):
    connect(server(methods=methods), password_file=password_file(tmp_path, text))


def test_only_the_hidden_question_is_answered(server, connect, tmp_path):
    made = server(
        methods="keyboard-interactive",
        questions=(("Your name: ", True), ("Password: ", False), ("Code: ", False)),
    )
    connect(made, password_file=password_file(tmp_path))
    assert made.answers == [["", PASSWORD, ""]]


def test_the_password_is_given_once(server, connect, tmp_path):
    made = server(methods="keyboard-interactive", rounds=3)
    with pytest.raises(errors.ServiceError, match="refused"):
        connect(made, password_file=password_file(tmp_path))
    assert made.answers == [[PASSWORD], [""], [""]]


@pytest.mark.parametrize("methods", ["password", "keyboard-interactive"])
def test_a_wrong_password_is_not_shown(server, connect, tmp_path, methods):
    file = password_file(tmp_path, "not this one\n")
    with pytest.raises(errors.ServiceError, match=r"with the password in '.*': refused") as raised:
        connect(server(methods=methods), password_file=file)
    assert "not this one" not in str(raised.value)
    assert "repo-sftp-password-file" in raised.value.hint


def test_the_key_comes_first(server, connect, tmp_path):
    made = server(methods="publickey,keyboard-interactive")
    connect(made, password_file=password_file(tmp_path), private_key_file=user_key(tmp_path))
    assert made.answers == []


def test_a_key_that_is_refused_leaves_the_password(server, connect, tmp_path):
    made = server(methods="publickey,password", accept_key=False)
    connect(made, password_file=password_file(tmp_path), private_key_file=user_key(tmp_path))


def test_a_key_and_a_password(server, connect, tmp_path):
    """AuthenticationMethods publickey,password."""
    key = user_key(tmp_path)
    connect(
        server(methods="publickey", more=True),
        password_file=password_file(tmp_path),
        private_key_file=key,
    )
    with pytest.raises(errors.ServiceError, match="the server asks for more: password") as raised:
        connect(server(methods="publickey", more=True), private_key_file=key)
    assert "repo-sftp-password-file" in raised.value.hint


def test_a_server_without_passwords(server, connect, tmp_path):
    with pytest.raises(errors.ServiceError, match="does not allow passwords, only publickey"):
        connect(server(methods="publickey"), password_file=password_file(tmp_path))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read(tmp_path, mode):
    with pytest.raises(errors.ServiceError, match=f"is open to others: its mode is {mode:04o}"):
        login.read_password(password_file(tmp_path, mode=mode))


@pytest.mark.parametrize("text", ["", "\n", "\nsecond line"])
def test_a_file_without_a_password(tmp_path, text):
    with pytest.raises(errors.ServiceError, match="holds no password"):
        login.read_password(password_file(tmp_path, text))


def test_a_file_of_somebody_else(tmp_path, monkeypatch):
    file = password_file(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: os.stat(file).st_uid + 1)
    if os.stat(file).st_uid == 0:
        # What root laid down for us is fine.
        login.read_password(file)
        os.chown(file, 12345, -1)
    with pytest.raises(errors.ServiceError, match="belongs to another user"):
        login.read_password(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(errors.ServiceError, match=r"unable to read password file '.*': no such"):
        login.read_password(str(tmp_path / "none"))


def test_a_password_does_not_show_itself(tmp_path):
    found = login.prepare(SftpOptions(host="h", user="u", password_file=password_file(tmp_path)))
    assert PASSWORD not in repr(found)
    assert found.password.reveal() == PASSWORD


def test_no_agent(server, connect, monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(errors.ServiceError, match="has no key, or there is no agent"):
        connect(server(), agent=True)
    with pytest.raises(errors.ServiceError, match="has no key, or there is no agent"):
        login.check(SftpOptions(host="h", user="u", agent=True))


@pytest.mark.parametrize(
    ("answer", "has_key"),
    [
        (b"\0\0\0\x05\x0c\0\0\0\0", False),
        (b"\0\0\0\x20\x0c\0\0\0\1" + b"x" * 27, True),
        (b"\0\0\0\1\x05", False),
        (b"", False),
    ],
)
def test_an_agent_is_asked_whether_it_has_a_key(tmp_path, monkeypatch, answer, has_key):
    place = str(tmp_path / "agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", place)
    asked = []

    def serve(listening):
        line, _address = listening.accept()
        with line:
            asked.append(line.recv(100))
            line.sendall(answer)

    options = SftpOptions(host="h", user="u", agent=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        serving = threading.Thread(target=serve, args=(listening,))
        serving.start()
        if has_key:
            assert login.check(options)
        else:
            with pytest.raises(errors.ServiceError, match="has no key, or there is no agent"):
                login.check(options)
        serving.join(10)
    # As ssh-add -l asks.
    assert asked == [b"\0\0\0\1\x0b"]


def test_what_is_wrong_on_this_side_shows_without_a_login(tmp_path):
    """Whatever else there is besides the agent: it is not asked then."""
    key = user_key(tmp_path)
    assert login.check(SftpOptions(host="h", user="u", agent=True, private_key_file=key))
    for wrong in ({"private_key_file": key + "x"}, {"password_file": key + "x"}):
        with pytest.raises(errors.ServiceError, match="unable to read"):
            login.check(SftpOptions(host="h", user="u", **wrong))
    os.remove(key)
    keygen(tmp_path / "id", "ed25519", passphrase="secret")
    given = {"private_key_file": key, "private_key_passphrase": Secret("wrong")}
    assert not login.check(SftpOptions(host="h", user="u", **given))


class OldHandler:
    """As paramiko has it before 3.2: the table has functions of this class, and gives them it."""

    def __init__(self):
        self.sent = 0

    def _request_auth(self):
        """What asks for the service."""

    def _parse_service_accept(self, _message):
        self.sent += 1

    _client_handler_table = {6: _parse_service_accept, 51: _request_auth}


def test_a_library_that_names_its_functions_sends_a_key_once():
    library = types.SimpleNamespace(
        auth_handler=types.SimpleNamespace(AuthHandler=OldHandler), Message=paramiko.Message
    )
    handler = eager._handler_class(library)()
    handler._request_auth()
    assert handler.sent == 1
    handler._client_handler_table[6](handler, paramiko.Message())
    assert handler.sent == 1
    assert handler._client_handler_table[51] is OldHandler._request_auth
