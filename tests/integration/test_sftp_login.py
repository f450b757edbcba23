# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way into a real OpenSSH server: keys, agents, passwords, and which server it is."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Secret
from ansible_collections.pgsftp.backup.tests.support import sshd

pytest.importorskip("paramiko")
pytestmark = pytest.mark.skipif(sshd.SSHD is None, reason="needs sshd (package openssh-server)")


@pytest.mark.parametrize("form", ["OPENSSH", "PEM"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_every_type_of_key(server, connect, tmp_path, kind, form, passphrase):
    """ssh-keygen writes ed25519 in OpenSSH's own form whatever is asked for: PEM has none."""
    file = tmp_path / "id"
    arguments = [*(["-b", "2048"] if kind == "rsa" else []), "-m", form]
    sshd.keygen(
        file, kind, *(arguments if form == "PEM" else arguments[:-2]), passphrase=passphrase
    )
    begin = "OPENSSH" if form == "OPENSSH" or kind == "ed25519" else kind.replace("ecdsa", "ec")
    assert file.read_text().startswith(f"-----BEGIN {begin.upper()} PRIVATE KEY-----")
    server.authorize(f"{file}.pub")
    secret = Secret(passphrase) if passphrase else None
    connect(server, private_key_file=str(file), private_key_passphrase=secret).write("x", b"")


def test_rsa_keys_sign_with_sha2(special, connect, agent, tmp_path):
    """On a server that accepts nothing else, as OpenSSH does by itself from its release 8.8 on."""
    running = special("PubkeyAcceptedAlgorithms rsa-sha2-512,rsa-sha2-256")
    sshd.keygen(tmp_path / "id", "rsa", "-b", "2048")
    running.authorize(f"{tmp_path / 'id'}.pub")
    connect(running, private_key_file=str(tmp_path / "id")).write("x", b"")
    running.authorize(agent("rsa"))
    connect(running, private_key_file=None, agent=True).write("x", b"")
    # It means it.
    with pytest.raises(errors.ServiceError, match="public key refused"):
        connect(running)


@pytest.fixture
def account():
    """A user of this system who has a password, and a directory to write to."""
    tools = [shutil.which(name, path="/usr/sbin:/sbin") for name in ("useradd", "chpasswd")]
    if os.geteuid() != 0 or None in tools:
        pytest.skip("only root may make users")
    name = f"pgsftp-test-{os.getpid()}"
    made = subprocess.run(
        [tools[0], "-M", "-s", "/bin/sh", name], check=False, capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no user can be made here: {made.stderr.strip()}")
    home = pathlib.Path(tempfile.mkdtemp(prefix="pgsftp-account-"))
    try:
        line = f"{name}:open sesame\n"
        subprocess.run([tools[1]], input=line, text=True, check=True)
        shutil.chown(home, name)
        yield name, home
    finally:
        subprocess.run(["userdel", "--force", name], check=False, capture_output=True)
        shutil.rmtree(home)


@pytest.mark.parametrize(
    "method, lines",
    [
        ("password", ("PasswordAuthentication yes", "UsePAM no")),
        ("keyboard-interactive", ("KbdInteractiveAuthentication yes", "UsePAM yes")),
    ],
)
def test_a_password(account, special, connect, tmp_path, method, lines):
    if "UsePAM yes" in lines and not os.path.exists("/etc/pam.d/sshd"):
        pytest.skip("no PAM here")
    name, home = account
    running = dataclasses.replace(special(f"AuthenticationMethods {method}", *lines), user=name)
    file = tmp_path / "password"
    options = {"private_key_file": None, "password_file": str(file), "path": str(home / "repo")}
    for password in ("wrong one", "open sesame"):
        file.write_text(password + "\n")
        file.chmod(0o600)
        if password == "open sesame":
            connect(running, **options).write("x", b"1")
            continue
        with pytest.raises(errors.ServiceError) as raised:
            connect(running, **options)
        assert password not in str(raised.value)
    assert (home / "repo/x").owner() == name
    assert f"Accepted {method}" in running.log


def test_a_key_that_is_not_authorized(server, connect, tmp_path):
    sshd.keygen(tmp_path / "id", "ed25519")
    with pytest.raises(errors.ServiceError, match="public key refused"):
        connect(server, private_key_file=str(tmp_path / "id"))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_every_type_of_host_key(server, connect, kind):
    connect(server, known_hosts=(server.known_hosts(kind),)).write("x", b"")
    blob = server.host_key(kind).split()[1]
    pinned = hashlib.sha256(base64.b64decode(blob)).hexdigest()
    connect(server, key_check_type="fingerprint", fingerprint=pinned).write("x", b"")


def test_an_unknown_and_a_changed_host_key(server, connect, tmp_path, special):
    with pytest.raises(errors.ServiceError, match="is unknown"):
        connect(server, known_hosts=(str(tmp_path / "none"),))
    other = special()
    file = tmp_path / "known_hosts"
    file.write_text(f"[{server.host}]:{server.port} {other.host_key('ed25519')}\n")
    with pytest.raises(errors.ServiceError, match="has changed"):
        connect(server, known_hosts=(str(file),))


def test_hashed_names(server, connect):
    file = server.known_hosts("ed25519", "rsa")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "127.0.0.1" not in pathlib.Path(file).read_text()
    connect(server, known_hosts=(file,)).write("x", b"")


def test_accept_new(server, connect, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {"key_check_type": "accept-new", "known_hosts": ("~/.ssh/known_hosts",)}
    connect(server, **options).write("x", b"")
    assert len((tmp_path / ".ssh/known_hosts").read_text().splitlines()) == 1
    connect(server, **options).write("x", b"")
    # ssh finds what we wrote.
    found = subprocess.run(
        ["ssh-keygen", "-F", f"[{server.host}]:{server.port}", "-f", tmp_path / ".ssh/known_hosts"],
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """A running agent; a function adds keys to it."""
    socket = tmp_path / "agent"
    running = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    deadline = time.monotonic() + 10
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.02)

    def add(kind):
        file = tmp_path / f"id_{kind}"
        sshd.keygen(file, kind, *(["-b", "2048"] if kind == "rsa" else []))
        subprocess.run(["ssh-add", "-q", str(file)], check=True)
        os.unlink(file)
        return f"{file}.pub"

    yield add
    running.terminate()
    running.wait()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_a_key_that_only_the_agent_has(server, connect, agent, kind):
    public = agent(kind)
    with pytest.raises(errors.ServiceError, match=f"the agent's .*{kind}.* key: public key refus"):
        connect(server, private_key_file=None, agent=True)
    server.authorize(public)
    connect(server, private_key_file=None, agent=True).write("x", b"")


def test_the_right_one_of_several_keys(server, connect, agent, tmp_path):
    sshd.keygen(tmp_path / "other", "ed25519")
    agent("ecdsa")
    server.authorize(agent("ed25519"))
    connect(server, private_key_file=str(tmp_path / "other"), agent=True).write("x", b"")


def test_two_keys_where_the_server_wants_two(special, connect, agent):
    running = special("AuthenticationMethods publickey,publickey")
    with pytest.raises(errors.ServiceError, match="the server asks for more: publickey"):
        connect(running)
    running.authorize(agent("ecdsa"))
    connect(running, agent=True).write("x", b"")


def test_more_keys_than_the_server_looks_at(special, connect, agent):
    running = special("MaxAuthTries 2")
    for kind in ("rsa", "ecdsa", "ed25519"):
        agent(kind)
    with pytest.raises(errors.ServiceError, match=r"closed by the server|too many") as raised:
        connect(running, private_key_file=None, agent=True)
    assert "MaxAuthTries" in raised.value.hint
