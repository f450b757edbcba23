# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a session: each cause has its class, its exit code and its sentence."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import socket
import threading
import time

import pytest

paramiko = pytest.importorskip("paramiko")

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors  # noqa: E402
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (  # noqa: E402
    RepoOptions,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import (  # noqa: E402
    open as opening,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage import (  # noqa: E402
    turns,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import (  # noqa: E402
    Publish,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import (  # noqa: E402
    session,
)
from ansible_collections.pgsftp.backup.tests.support.sftp_server import Defects  # noqa: E402
from ansible_collections.pgsftp.backup.tests.support.ssh_sessions import (  # noqa: E402
    connect,
    keys,
    server,
)

# Fixtures for the tests of this file.
__all__ = ["connect", "keys", "server"]


def test_files_go_through(server, connect):
    storage = connect(server().port)
    data = os.urandom(3_000_000)
    storage.write("d/x", data)
    assert storage.read("d/x") == data
    assert [entry.size for entry in storage.list("d")] == [3_000_000]


def test_closing_is_quick_and_ends_the_thread(server, connect):
    there = set(threading.enumerate())
    storage = connect(server().port)
    ours = [
        thread
        for thread in set(threading.enumerate()) - there
        if isinstance(thread, paramiko.Transport) and not thread.server_mode
    ]
    assert len(ours) == 1
    before = time.monotonic()
    storage.close()
    assert time.monotonic() - before < 0.08
    assert not ours[0].is_alive()


def test_nobody_answers(connect):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(errors.HostConnectError) as raised:
            connect(port)
    assert raised.value.message == (f"unable to connect to '127.0.0.1:{port}': connection refused")
    assert raised.value.hint


def test_no_such_host(connect):
    with pytest.raises(
        errors.HostConnectError, match=r"unable to connect to 'sftp-srv.invalid:22'"
    ):
        connect(22, host="sftp-srv.invalid")


def test_a_server_that_says_nothing(connect):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(errors.HostConnectError, match="no SSH server answers within 1 s"):
            connect(silent.getsockname()[1], io_timeout=1)


@pytest.mark.parametrize("conduct", [{"hang_up": True}, {"greeting": b"220 FTP here\r\n"}])
def test_a_server_that_is_no_ssh_server(server, connect, conduct):
    with pytest.raises(errors.HostConnectError, match=r"unable to connect to '127.0.0.1:"):
        connect(server(**conduct).port, io_timeout=2)


def test_a_refused_key(server, connect, keys):
    port = server(accept_key=False).port
    with pytest.raises(errors.ServiceError) as raised:
        connect(port)
    assert raised.value.message == (
        f"unable to authenticate as 'pgbackrest' on 127.0.0.1:{port} with key '{keys['user']}': "
        "public key refused"
    )
    assert "authorized_keys" in raised.value.hint
    assert raised.value.code == 101


def test_a_server_that_wants_a_password(server, connect):
    with pytest.raises(errors.ServiceError, match="does not allow public keys, only password"):
        connect(server(methods="password").port)


def test_a_server_that_wants_more(server, connect):
    with pytest.raises(errors.ServiceError, match="the server asks for more: password"):
        connect(server(more=True).port)


def test_a_server_that_hangs_up_at_authentication(server, connect):
    with pytest.raises(errors.HostConnectError, match="closed by the server"):
        connect(server(drop_at_auth=True).port)


def test_a_server_without_sftp(server, connect):
    with pytest.raises(errors.ProtocolError, match="has no SFTP subsystem for user 'pgbackrest'"):
        connect(server(subsystem=False).port)


def test_a_server_that_refuses_sessions(server, connect):
    with pytest.raises(errors.ServiceError, match="refuses a session"):
        connect(server(accept_session=False).port)


def test_login_noise(server, connect):
    defects = Defects(noise=b"You have mail.\n")
    with pytest.raises(errors.ProtocolError, match=r"'You have mail.' where the SFTP protocol"):
        connect(server(defects=defects).port)


def test_a_session_that_ends_before_the_protocol(server, connect):
    with pytest.raises(errors.ProtocolError, match="ended the session before the SFTP protocol"):
        connect(server(defects=Defects(ends=True)).port)


def test_a_connection_that_ends_before_the_protocol(server, connect):
    """Killed or restarted in the moment of the greeting: no word about how SFTP is set up."""
    with pytest.raises(errors.HostBusyError, match="lost before SFTP began: closed by the server"):
        connect(server(cut_greetings=1).port)


def test_one_that_ends_before_the_protocol_is_replaced(server, connect, monkeypatch):
    monkeypatch.setattr(turns, "FIRST_PAUSE", 0.01)
    made = server(cut_greetings=2)
    storage = connect(made.port, replaced=True)
    storage.write("x", b"y")
    assert storage.read("x") == b"y"
    assert made.connections == 3


def test_a_cut_connection(server, connect):
    running = server()
    storage = connect(running.port)
    storage.write("x", b"1")
    running.cut()
    with pytest.raises(errors.TransportLostError, match=r"connection to 127.0.0.1 lost"):
        for _dummy in range(10):
            storage.read("x")
    with pytest.raises(errors.TransportLostError):
        storage.info("x")


def test_a_server_that_falls_silent(server, connect):
    storage = connect(server(defects=Defects(silent_after=5)).port, io_timeout=0.5)
    before = time.monotonic()
    with pytest.raises(errors.TransportLostError, match="no answer in time"):
        storage.write("x", b"1")
        storage.read("x")
    assert time.monotonic() - before < 5


def test_paramiko_logs_nothing(server, connect, caplog, capfd):
    # The server in this process logs as paramiko, too, but not the client's name.
    caplog.set_level(logging.DEBUG)
    for conduct in ({"hang_up": True}, {"accept_key": False}, {"greeting": b"what?\n"}):
        with pytest.raises(errors.EngineError):
            connect(server(**conduct).port, io_timeout=2)
    assert not [record for record in caplog.records if "client mode" in record.getMessage()]
    assert capfd.readouterr() == ("", "")


# Host keys over the wire.


def line(port, key):
    return f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n"


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256"])
def test_the_key_on_record_is_the_one_that_is_asked_for(server, connect, keys, tmp_path, kind):
    running = server()
    known = tmp_path / "known_hosts"
    known.write_text(line(running.port, keys[kind]))
    connect(running.port, key_check_type="strict", known_hosts=(str(known),)).write("x", b"")


def test_an_unknown_host_is_not_told_who_we_are(server, connect, tmp_path):
    running = server()
    with pytest.raises(errors.ServiceError, match=r"host key of '.*' is unknown"):
        connect(running.port, key_check_type="strict", known_hosts=(str(tmp_path / "none"),))
    assert not running.sessions


def test_a_changed_host_key(server, connect, keys, tmp_path):
    running = server("ssh-rsa")
    known = tmp_path / "known_hosts"
    other = paramiko.RSAKey.generate(2048)
    known.write_text(line(running.port, other))
    with pytest.raises(errors.ServiceError, match="has changed"):
        connect(running.port, key_check_type="strict", known_hosts=(str(known),))


@pytest.mark.parametrize("rule", ["strict", "accept-new"])
def test_a_host_key_of_another_type_than_on_record(
    server, connect, keys, tmp_path, monkeypatch, rule
):
    monkeypatch.setenv("HOME", str(tmp_path))
    running = server("ssh-rsa")
    known = tmp_path / "known_hosts"
    known.write_text(line(running.port, keys["ecdsa-sha2-nistp256"]))
    with pytest.raises(errors.ServiceError, match="has changed") as raised:
        connect(running.port, key_check_type=rule, known_hosts=(str(known),))
    for kind in ("ssh-rsa", "ecdsa-sha2-nistp256"):
        digest = base64.b64encode(hashlib.sha256(keys[kind].asbytes()).digest()).decode()
        assert f"{kind} SHA256:{digest.rstrip('=')}" in raised.value.message
    assert running.connections == 2
    assert not running.sessions


@pytest.mark.parametrize("rule", ["strict", "none"])
def test_a_host_key_that_changes_its_type_between_sessions(server, keys, tmp_path, rule):
    running = server("ecdsa-sha2-nistp256")
    known = tmp_path / "known_hosts"
    known.write_text(line(running.port, keys["ecdsa-sha2-nistp256"]))
    sftp = SftpOptions(
        host="127.0.0.1",
        port=running.port,
        user="u",
        private_key_file=keys["user"],
        key_check_type=rule,
        known_hosts=(str(known),),
    )
    repo = RepoOptions(type="sftp", path=str(tmp_path / "repo"), sftp=sftp)
    opener = opening.prepare(repo, io_timeout=5)
    opener.open().close()
    running.host_keys = [keys["ssh-rsa"]]
    if rule == "none":
        opener.open().close()
    else:
        with pytest.raises(errors.ServiceError, match="has changed"):
            opener.open()


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256"])
def test_a_pinned_fingerprint_of_any_type(server, connect, keys, kind):
    running = server()
    pinned = hashlib.sha1(keys[kind].asbytes()).hexdigest()
    options = {"key_check_type": "fingerprint", "key_hash_type": "sha1", "fingerprint": pinned}
    connect(running.port, **options).write("x", b"")
    assert running.connections == (2 if kind == "ssh-rsa" else 1)


def test_a_fingerprint_that_does_not_fit(server, connect, keys):
    running = server()
    with pytest.raises(errors.ServiceError, match="does not match the configured") as raised:
        connect(running.port, key_check_type="fingerprint", fingerprint="ab" * 32)
    for kind in ("ssh-rsa", "ecdsa-sha2-nistp256"):
        assert hashlib.sha256(keys[kind].asbytes()).hexdigest() in raised.value.message
    assert "ab" * 32 in raised.value.message


def test_a_pinned_key_that_changes_between_sessions(server, keys, tmp_path):
    running = server("ecdsa-sha2-nistp256")
    good = running.host_keys
    pinned = hashlib.sha256(keys["ecdsa-sha2-nistp256"].asbytes()).hexdigest()
    sftp = SftpOptions(
        host="127.0.0.1",
        port=running.port,
        user="u",
        private_key_file=keys["user"],
        key_check_type="fingerprint",
        fingerprint=pinned,
    )
    repo = RepoOptions(type="sftp", path=str(tmp_path / "repo"), sftp=sftp)
    opener = opening.prepare(repo, io_timeout=5)
    opener.open().close()
    other = paramiko.ECDSAKey.generate()
    for kept in ([], [keys["ssh-rsa"]]):
        running.host_keys = [other, *kept]
        before = running.connections
        with pytest.raises(errors.ServiceError, match="does not match the configured") as raised:
            opener.open()
        for seen in (pinned, hashlib.sha256(other.asbytes()).hexdigest()):
            assert seen in raised.value.message
        assert running.connections - before <= 3
    running.host_keys = good
    opener.open().close()


# Ready for workers.


def test_the_key_is_read_before_anything_is_connected(tmp_path):
    sftp = SftpOptions(host="sftp-srv", user="u", private_key_file=str(tmp_path / "missing"))
    with pytest.raises(errors.ServiceError, match="unable to read private key"):
        opening.prepare(RepoOptions(type="sftp", path="/", sftp=sftp))


def test_forked_workers_have_sessions_of_their_own(server, keys, tmp_path):
    running = server()
    sftp = SftpOptions(
        host="127.0.0.1",
        port=running.port,
        user="u",
        private_key_file=keys["user"],
        key_check_type="none",
    )
    repo = RepoOptions(type="sftp", path=str(tmp_path / "repo"), sftp=sftp)
    opener = opening.prepare(repo, io_timeout=10)
    children = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                with opener.open() as storage:
                    storage.write(f"child{number}", b"%d" % number)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    with opener.open() as storage:
        assert [storage.read(f"child{number}") for number in range(3)] == [b"0", b"1", b"2"]


def test_a_posix_repository_needs_no_ssh(tmp_path, monkeypatch):
    monkeypatch.setattr(opening.dependency, "paramiko", pytest.fail)
    with opening.open_storage(RepoOptions(type="posix", path=str(tmp_path))) as storage:
        storage.write("x", b"1")
    with pytest.raises(errors.OptionInvalidValueError):
        opening.prepare(RepoOptions(type="s3", path="/"))


def test_latency_is_paid_per_round_trip_not_per_file(server, connect):
    storage = connect(server(latency=0.05).port)
    storage.make_path("d")
    before = time.monotonic()
    completions = []
    for number in range(60):
        writer = storage.writer(f"d/{number}", publish=Publish.RENAME)
        writer.write(b"x" * 5000)
        completions.append(writer.finish())
    storage.wait(completions)
    took = time.monotonic() - before
    assert took < 0.05 * 12


def test_fast_ciphers_come_first():
    ciphers = session.gcm_first(["aes128-ctr", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com"])
    assert ciphers == ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"]
    assert session.gcm_first(["aes128-ctr"]) == ["aes128-ctr"]


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        (None, 60 + 30),
        # What is buffered takes longer to arrive than the server to answer.
        (64 * 1024, 60 + 1024),
        (1 << 40, 60 + 30),
    ],
)
def test_keys_may_be_exchanged_anew_for_as_long_as_what_is_before_that_takes(
    server, connect, rate, seconds
):
    storage = connect(server().port, io_timeout=60.0, rate_limit=rate)
    transport = storage.channel._stream.transport
    assert transport.clear_to_send_timeout == seconds


def test_what_can_only_be_granted_is_used_at_once(server, connect):
    """Two round trips of each connection: a client that waits for the word waits for ever here."""
    storage = connect(server(last_word=True).port)
    storage.write("x", b"data")
    assert storage.read("x") == b"data"
