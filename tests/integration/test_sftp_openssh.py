"""The SFTP storage on a real OpenSSH server."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    RepoOptions,
    Secret,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.open import prepare
from ansible_collections.pgsftp.backup.tests.support import sshd
from ansible_collections.pgsftp.backup.tests.support.delay_proxy import delayed

pytest.importorskip("paramiko")
pytestmark = pytest.mark.skipif(sshd.SSHD is None, reason="needs sshd (package openssh-server)")

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server as it comes, with internal-sftp."""
    running = sshd.start(tmp_path_factory.mktemp("sshd"))
    yield running
    running.stop()


@pytest.fixture
def special(tmp_path_factory):
    """Start a server with other settings."""
    started = []

    def start(*lines, **arguments):
        started.append(sshd.start(tmp_path_factory.mktemp("sshd"), *lines, **arguments))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def connect(tmp_path):
    """Open a storage on a server, as strictly as by default."""
    opened = []

    def connect(running, *, path=None, io_timeout=10.0, port=None, striping=False, **options):
        options.setdefault("known_hosts", (running.known_hosts("ed25519"),))
        options.setdefault("private_key_file", running.private_key)
        options.update(host=running.host, port=port or running.port, user=running.user)
        sftp = SftpOptions(**options)
        repo = RepoOptions(type="sftp", path=path or str(tmp_path / "repo"), sftp=sftp)
        # One session, without what replaces a lost one.
        opener = prepare(repo, io_timeout=io_timeout)
        opened.append((opener.striping() if striping else opener).open())
        return opened[-1]

    yield connect
    for storage in opened:
        storage.close()


def put(storage, names, data):
    completions = []
    for name in names:
        writer = storage.writer(name, publish=Publish.RENAME)
        writer.write(data)
        completions.append(writer.finish())
    storage.wait(completions)


def children(running):
    """The session processes of a server."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(running.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]


def test_every_verb(server, connect, tmp_path):
    storage = connect(server)
    data = os.urandom(5_000_000)
    storage.write("backup/demo/x", data)
    assert storage.read("backup/demo/x") == data
    assert (
        storage.reader("backup/demo/x", offset=1_000_000, size=7).read_all()
        == (data[1_000_000:1_000_007])
    )
    found = os.stat(tmp_path / "repo/backup/demo/x")
    assert found.st_mode & 0o777 == 0o640
    assert os.stat(tmp_path / "repo/backup").st_mode & 0o777 == 0o750
    storage.write("backup/demo/x", b"replaced")
    assert [(entry.name, entry.size) for entry in storage.list("backup/demo")] == [("x", 8)]
    storage.rename("backup/demo/x", "backup/demo/y")
    assert storage.info("backup/demo/x") is None
    storage.link("demo", "backup/latest")
    assert os.readlink(tmp_path / "repo/backup/latest") == "demo"
    assert storage.free_size() > 0
    storage.remove("backup/latest")
    storage.remove_tree("backup")
    assert storage.list("") == []


def test_a_thousand_small_files_cost_a_handful_of_round_trips(server, connect):
    storage = connect(server)
    names = [f"d/{number % 10}/{number}" for number in range(1000)]
    put(storage, names, b"x" * 8192)
    written = storage.round_trips
    readers = [storage.reader(name) for name in names]
    assert all(reader.read_all() == b"x" * 8192 for reader in readers)
    read = storage.round_trips
    assert sum(len(names) for names in storage.list_many([f"d/{n}" for n in range(10)])) == 1000
    listed = storage.round_trips
    storage.remove_tree("d")
    assert written <= 40
    assert read - written <= 40
    assert listed - read <= 3
    assert storage.round_trips - listed <= 20


def test_what_openssh_says_of_each_cause(server, connect, tmp_path):
    storage = connect(server)
    storage.write("x", b"data")
    with pytest.raises(errors.StorageMissingError):
        storage.read("missing")
    with pytest.raises(errors.StorageMissingError):
        storage.list("x")
    with pytest.raises(errors.EngineError, match=r"it is not a directory|no such file"):
        storage.make_path("x/y")
    with pytest.raises(errors.FileReadError, match="ends at 4 bytes, 10 were expected"):
        storage.reader("x", size=10).read_all()
    with pytest.raises(errors.StorageError, match="unable to remove 'd'"):
        storage.make_path("d")
        storage.remove("d")


def test_a_full_disk(server, connect):
    if not os.path.exists("/dev/full") or os.geteuid() != 0:
        pytest.skip("needs to mount a small file system")
    storage = connect(server)
    small = pathlib.Path(storage.location.split(":", 1)[1]) / "small"
    storage.make_path("small")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("may not mount here")
    try:
        on_it = connect(server, path=str(small))
        on_it.write("fits", b"x" * 1_000_000)
        with pytest.raises(errors.StorageFullError, match=r"no space left .* bytes free\)"):
            on_it.write("too large", b"x" * 3_000_000)
        assert [entry.name for entry in on_it.list("")] == ["fits"]
        on_it.write("fits", b"y" * 500_000)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
def test_the_external_server(special, connect):
    storage = connect(special(subsystem=SFTP_SERVER))
    put(storage, ["a/x", "a/y"], b"1")
    assert storage.read("a/y") == b"1"


@pytest.mark.skipif(not os.path.exists(SFTP_SERVER), reason="no external sftp-server")
@pytest.mark.parametrize("refused", ["fsync", "posix-rename", "statvfs", "limits", "lstat"])
def test_requests_that_the_administrator_switched_off(special, connect, refused):
    storage = connect(special(subsystem=f"{SFTP_SERVER} -P {refused}"))
    storage.write("a/x", b"1")
    storage.write("a/x", b"2" * 100_000)
    assert storage.read("a/x") == b"2" * 100_000
    assert (storage.free_size() is None) == (refused == "statvfs")


@pytest.mark.parametrize("umask", ["077", "022"])
def test_a_umask_of_the_server(special, connect, tmp_path, umask):
    storage = connect(special(subsystem=f"internal-sftp -u {umask}"))
    storage.write("a/x", b"1")
    assert storage.read("a/x") == b"1"
    assert os.stat(tmp_path / "repo/a/x").st_mode & 0o777 == 0o640 & ~int(umask, 8)


def test_a_chroot(special, connect, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("sshd as a user has no chroot")
    jail = tmp_path_factory.mktemp("jail")
    for directory in (jail, *jail.parents):
        if os.stat(directory).st_mode & 0o022 and directory != pathlib.Path("/tmp"):
            pytest.skip(f"{directory} is not fit for a chroot")
    jail = pathlib.Path("/run/sshd-test-jail")
    jail.mkdir(mode=0o755, exist_ok=True)
    (jail / "backup_space").mkdir(exist_ok=True)
    try:
        running = special(f"ChrootDirectory {jail}", "ForceCommand internal-sftp")
        storage = connect(running, path="/backup_space")
        storage.write("archive/x", b"1")
        assert (jail / "backup_space/archive/x").read_bytes() == b"1"
        storage.remove_tree("archive")
    finally:
        subprocess.run(["rm", "-rf", str(jail)], check=True)


def test_no_subsystem(special, connect):
    with pytest.raises(errors.ProtocolError, match="has no SFTP subsystem"):
        connect(special(subsystem=None))


def test_login_noise(special, connect, tmp_path):
    script = tmp_path / "noisy"
    script.write_text("#!/bin/sh\necho\necho Welcome to sftp-srv\nexec cat\n")
    script.chmod(0o755)
    running = special(subsystem=str(script))
    with pytest.raises(errors.ProtocolError, match="'Welcome to sftp-srv' where the SFTP"):
        connect(running)


def test_a_subsystem_that_does_not_start(special, connect):
    with pytest.raises(errors.ProtocolError, match="ended the session before the SFTP protocol"):
        connect(special(subsystem="/bin/false"))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_every_type_of_key(server, connect, tmp_path, kind, passphrase):
    file = tmp_path / "id"
    sshd.keygen(file, kind, *(["-b", "2048"] if kind == "rsa" else []), passphrase=passphrase)
    server.authorize(f"{file}.pub")
    secret = Secret(passphrase) if passphrase else None
    connect(server, private_key_file=str(file), private_key_passphrase=secret).write("x", b"")


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


@pytest.mark.parametrize("when", ["reading", "writing", "idle"])
def test_a_session_that_is_killed(special, connect, when):
    running = special()
    storage = connect(running, io_timeout=5)
    storage.write("x", b"old")
    storage.write("large", b"x" * 60_000_000)
    sessions = children(running)
    assert sessions

    def kill():
        for pid in sessions:
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(errors.TransportLostError, match=r"connection to 127.0.0.1 lost"):
        if when == "idle":
            kill()
            time.sleep(0.2)
            storage.list("")
        elif when == "reading":
            reader = storage.reader("large")
            reader.take()
            kill()
            reader.read_all()
        else:
            threading.Timer(0.1, kill).start()
            writer = storage.writer("x", publish=Publish.RENAME)
            for _dummy in range(100_000):
                writer.write(b"y" * 1_000_000)
    with pytest.raises(errors.TransportLostError):
        storage.read("x")
    assert connect(running).read("x") == b"old"


def test_a_server_that_is_frozen(special, connect):
    running = special()
    storage = connect(running, io_timeout=1)
    storage.write("x", b"old")
    processes = children(running)
    grandchildren = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", ",".join(map(str, processes))],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    frozen = [*processes, *map(int, grandchildren)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        before = time.monotonic()
        with pytest.raises(errors.TransportLostError):
            storage.write("x", b"y" * 100_000_000)
        assert time.monotonic() - before < 10
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGKILL)


def test_rekeying_all_the_time(special, connect):
    storage = connect(special("RekeyLimit 1M"))
    data = os.urandom(20_000_000)
    storage.write("x", data)
    assert storage.read("x") == data


def test_a_server_that_checks_whether_we_are_alive(special, connect):
    storage = connect(special("ClientAliveInterval 1", "ClientAliveCountMax 1"))
    storage.write("x", b"1")
    time.sleep(4)
    assert storage.read("x") == b"1"


def test_a_single_session_per_connection_is_enough(special, connect):
    storage = connect(special("MaxSessions 1"))
    put(storage, ["a", "b"], b"1")
    assert len(storage.list("")) == 2


def test_few_files_at_once(special, connect):
    """A server whose processes may open few files."""
    running = special()
    subprocess.run(["prlimit", f"--pid={running.process.pid}", "--nofile=40"], check=True)
    storage = connect(running)
    names = [f"d/{number}" for number in range(200)]
    put(storage, names, b"x")
    readers = [storage.reader(name) for name in names]
    assert b"".join(reader.read_all() for reader in readers) == b"x" * 200


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


def send_large(storage, data, after_half=lambda: None):
    writer = storage.writer("large", publish=Publish.RENAME)
    for offset in range(0, len(data), 1_000_000):
        if offset == len(data) // 2_000_000 * 1_000_000:
            after_half()
        writer.write(data[offset : offset + 1_000_000])
    writer.finish().wait()


def test_a_large_file_over_distance_goes_through_several_connections(special, connect, tmp_path):
    running = special()
    data = os.urandom(90_000_000)
    with delayed(running.host, running.port, 20) as port:
        options = {"port": port, "key_check_type": "none"}
        alone = connect(running, **options)
        started = time.monotonic()
        send_large(alone, data)
        one = time.monotonic() - started
        storage = connect(running, striping=True, **options)
        seen = []
        started = time.monotonic()
        send_large(storage, data, lambda: seen.append(len(children(running))))
        several = time.monotonic() - started
        assert seen == [5], "three more connections were expected"
        assert (tmp_path / "repo/large").read_bytes() == data
        # Twice as fast where there is nothing else to do; this is about not being slower.
        assert several < one * 2, (several, one)
        assert os.listdir(tmp_path / "repo") == ["large"]


def test_a_lane_that_is_killed_in_the_middle(special, connect, tmp_path):
    running = special()
    data = os.urandom(200_000_000)
    with delayed(running.host, running.port, 20) as port:
        options = {"port": port, "key_check_type": "none", "striping": True}
        storage = connect(running, **options)

        def kill():
            deadline = time.monotonic() + 20
            while len(storage.server.lanes.current()) < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
            threading.Timer(0.5, os.kill, (children(running)[-1], signal.SIGKILL)).start()

        with pytest.raises(errors.TransportLostError, match="lost"):
            send_large(storage, data, kill)
        assert not (tmp_path / "repo/large").exists()
        send_large(connect(running, **options), data)
    assert (tmp_path / "repo/large").read_bytes() == data


def test_nearby_a_large_file_goes_through_one_connection(special, connect):
    server = special()
    # Whoever asked whether it is up may not have left yet.
    deadline = time.monotonic() + 20
    while children(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    storage = connect(server, striping=True)
    during = []
    send_large(storage, os.urandom(60_000_000), lambda: during.append(len(children(server))))
    assert during == [1]
