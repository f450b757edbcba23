# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an address to an SFTP channel: connect, check the host key, authenticate, ask for SFTP.

paramiko does the SSH transport. It is set up for bulk data: AES-GCM where it has that, a receive
window that distance does not exhaust, no delayed small packets, a bound on unacknowledged data, and
keepalives, so that no session is ever idle.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
import typing as t

from ... import dependency, log
from ...config.options import SftpOptions
from ...errors import EngineError, HostBusyError, HostConnectError, ProtocolError, ServiceError
from . import eager, protocol
from .channel import Channel, Stream
from .hostkey import HostKeyCheck, Verdict
from .known_hosts import HostKey
from .login import Credentials, Login
from .throttle import RateLimit

if t.TYPE_CHECKING:
    import paramiko

_StreamT = t.TypeVar("_StreamT")

# OpenSSH's sftp has 2 MiB, which at 95 ms is 22 MB/s.
WINDOW = 64 * 1024 * 1024

# SSH packets that the server may send, in bytes. Every one costs a turn of the interpreter: with
# twice the usual 32 KiB a download takes a tenth less processor time; with more it takes no less.
PACKET = 65536

# Seconds between two keepalives: firewalls that cut what is silent for ten are the strictest known.
KEEPALIVE = 4

# Connecting and logging in take no longer, whatever io-timeout says.
CONNECT_TIMEOUT = 30.0

# Seconds that a new exchange of keys may take besides io-timeout, and bytes that may be on their
# way, to all connections of a command, before the server's answer to it: with a rate limit what the
# kernels have buffered takes longer than the answer.
EXCHANGE = 30.0
BUFFERED = 64 * 1024 * 1024

# Fastest first: one pass over the data encrypts and authenticates.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")

_LOGGER = "pgsftp-ssh"

_SLOW_HINT = "is it an SSH server that listens at this port, and has it time to answer?"


def connect(
    options: SftpOptions,
    credentials: Credentials,
    check: HostKeyCheck,
    io_timeout: float,
    limit: RateLimit | None = None,
) -> Channel:
    """Log in and ask for SFTP; giving up the channel ends the connection.

    ``io_timeout`` (seconds) bounds every later wait for the server; the connection's bytes count
    against ``limit``. Raises HostConnectError when
    the server is not reached, ServiceError when it is not the right one or does not let us in,
    ProtocolError when it has no SFTP.
    """
    timeout = min(io_timeout, CONNECT_TIMEOUT)
    check = check.begin()
    name = address(options)
    while True:
        ahead = None
        transport = _start(options, check, io_timeout, timeout, limit)
        try:
            found = transport.get_remote_server_key()
            if check.verify(HostKey(found.get_name(), found.asbytes())) is Verdict.TRY_OTHER:
                end(transport)
                continue
            if eager.Ahead.suits(transport, name):
                ahead = eager.Ahead(transport, name, "sftp", protocol.init())
            Login(transport, options, credentials, timeout, ahead).run()
            channel = _sftp(transport, options, io_timeout, timeout, ahead)
            if channel is not None:
                return channel
            end(transport)
        except HostBusyError:
            end(transport)
            if ahead is None or not ahead.is_asked:
                raise
            ahead.failed()
        except BaseException:
            end(transport)
            raise


def address(options: SftpOptions) -> str:
    """How messages call the server."""
    return f"{options.host}:{options.port}"


def end(transport: paramiko.Transport) -> None:
    """Close a transport, and see its thread end: it sleeps in ``recv``, from which a shut socket
    wakes it. Never raises.
    """
    with contextlib.suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        transport.close()
    with contextlib.suppress(RuntimeError):  # not started
        transport.join(1)
    with contextlib.suppress(OSError):
        transport.sock.close()


def _start(
    options: SftpOptions,
    check: HostKeyCheck,
    io_timeout: float,
    timeout: float,
    limit: RateLimit | None,
) -> paramiko.Transport:
    """Connect and exchange keys."""
    library = dependency.paramiko()
    _mend(library)
    sock = _connect(options, io_timeout, timeout)
    if limit is not None:
        sock = limit.on(sock)
    try:
        transport: paramiko.Transport = library.Transport(
            sock, default_window_size=WINDOW, default_max_packet_size=PACKET
        )
    except BaseException:
        sock.close()
        raise
    _quiet(transport)
    transport.daemon = True
    transport.banner_timeout = timeout
    transport.handshake_timeout = timeout
    transport.auth_timeout = timeout
    transport.clear_to_send_timeout = exchange_timeout(io_timeout, limit)
    security = transport.get_security_options()
    security.ciphers = gcm_first(security.ciphers)
    algorithms = check.algorithms(security.key_types)
    if not algorithms:
        end(transport)
        raise check.exhausted()
    security.key_types = algorithms
    started = time.monotonic()
    try:
        transport.start_client(timeout=timeout)
    except Exception as cause:  # paramiko's, EOFError, OSError
        end(transport)
        if _no_common_host_key(cause) and check.offer_any_type():
            return _start(options, check, io_timeout, timeout, limit)
        raise _not_started(options, check, cause, time.monotonic() - started, timeout) from cause
    if not transport.is_active() or not transport.initial_kex_done:
        end(transport)
        what = "no key exchange" if transport.remote_version else "no SSH server answers"
        raise HostConnectError(
            f"unable to connect to '{address(options)}': {what} within {timeout:.0f} s",
            hint=_SLOW_HINT,
        )
    transport.set_keepalive(KEEPALIVE)
    return transport


def _connect(options: SftpOptions, io_timeout: float, timeout: float) -> socket.socket:
    try:
        sock = socket.create_connection((options.host, options.port), timeout=timeout)
    except OSError as cause:
        reason = "timed out" if isinstance(cause, socket.timeout) else cause.strerror or str(cause)
        raise HostConnectError(
            f"unable to connect to '{address(options)}': {reason.lower()}",
            hint="is the name right, the server up, and its port open for this host?",
        ) from cause
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # paramiko goes on sending for ever while nothing is acknowledged; the kernel may end that.
    with contextlib.suppress(AttributeError, OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(io_timeout * 1000))
    return sock


def _mend(library: t.Any) -> None:
    """Before version 3, paramiko formats every message that it sends, data and all, into the text
    of an exception that it then drops: four fifths of the time of an upload.
    """
    if int(library.__version__.split(".")[0]) < 3:
        library.Message.__repr__ = object.__repr__


def _quiet(transport: paramiko.Transport) -> None:
    """paramiko logs tracebacks of what becomes our own message."""
    logging.getLogger(_LOGGER).setLevel(logging.CRITICAL + 1)
    transport.set_log_channel(_LOGGER)


def exchange_timeout(io_timeout: float, limit: RateLimit | None) -> float:
    """For how many seconds nothing can be sent, since keys are exchanged anew (pure)."""
    return io_timeout + (EXCHANGE if limit is None else max(EXCHANGE, BUFFERED / limit.rate))


def gcm_first(supported: t.Sequence[str]) -> list[str]:
    """The ciphers that paramiko has, in our order (pure); its own puts AES-GCM last."""
    first = [name for name in CIPHERS if name in supported]
    return first + [name for name in supported if name not in first]


def _no_common_host_key(cause: BaseException) -> bool:
    return "no acceptable host key" in str(cause).lower()


def _not_started(
    options: SftpOptions,
    check: HostKeyCheck,
    cause: BaseException,
    seconds: float,
    timeout: float,
) -> EngineError:
    text = str(cause)
    where = f"unable to connect to '{address(options)}'"
    if type(cause).__name__ == "IncompatiblePeer" or "no acceptable" in text.lower():
        if _no_common_host_key(cause) and check.refused:
            return check.exhausted()
        return HostConnectError(
            f"{where}: {text.rstrip('.')}",
            hint="the server and this host have no algorithm in common: see its sshd_config.",
        )
    if "banner" in text.lower():
        hint = "a server that has too many sessions (MaxStartups, penalties) hangs up like this."
        if seconds >= timeout:
            return HostConnectError(
                f"{where}: no SSH server answers within {timeout:.0f} s", hint=_SLOW_HINT
            )
        return HostBusyError(f"{where}: the connection was closed before SSH began", hint=hint)
    reason = text or "connection closed by the server during key exchange"
    return HostBusyError(f"{where}: {reason.lower().rstrip('.')}")


def _sftp(
    transport: paramiko.Transport,
    options: SftpOptions,
    io_timeout: float,
    timeout: float,
    ahead: eager.Ahead | None = None,
) -> Channel | None:
    """None where the server has to be asked in turn."""
    if ahead is None or not ahead.is_asked:
        ahead = None
        stream = _stream(transport, options, timeout)
    else:
        found = _session(options, lambda: ahead.stream(timeout))
        if found is None:
            ahead.failed()
            return None
        stream = found
    stream.settimeout(io_timeout)
    name = address(options)
    log.debug("connected to %s with %s", name, getattr(transport, "remote_cipher", "?"))
    channel = Channel(
        t.cast(Stream, stream), options.host, lambda: end(transport), lambda: _why(transport)
    )
    channel.software = (transport.remote_version or "").partition("-")[2].partition("-")[2]
    channel.timeout = io_timeout
    channel.cipher = getattr(transport, "remote_cipher", "") or ""
    channel.refusal = lambda: _refusal(stream, options)
    channel.sibling = lambda: _stream(transport, options, timeout)
    channel.ahead = ahead
    return channel


def _stream(
    transport: paramiko.Transport, options: SftpOptions, timeout: float
) -> paramiko.Channel:
    """A channel for SFTP, on which nothing was said yet; whether the server has that, it tells when
    the protocol begins.
    """
    name = address(options)
    stream = _session(options, lambda: transport.open_session(timeout=timeout))
    try:
        eager.request_subsystem(stream, "sftp")
    except Exception as cause:  # SSHException, EOFError, OSError
        raise HostBusyError(f"connection to {name} lost: {_reason(cause)}") from cause
    return stream


def _session(options: SftpOptions, opening: t.Callable[[], _StreamT]) -> _StreamT:
    """What ``opening`` gives, with errors that say what went wrong."""
    library = dependency.paramiko()
    name = address(options)
    try:
        return opening()
    except library.ChannelException as cause:
        raise ServiceError(
            f"{name} refuses a session: {cause.text.lower()}",
            hint="is MaxSessions of the server too low?",
        ) from cause
    except Exception as cause:  # SSHException, EOFError, OSError
        raise HostBusyError(f"connection to {name} lost: {_reason(cause)}") from cause


def _refusal(stream: paramiko.Channel, options: SftpOptions) -> EngineError | None:
    """Why the protocol did not begin, if it is that the server does not have it."""
    if not eager.is_refused(stream):
        return None
    return ProtocolError(
        f"{address(options)} has no SFTP subsystem for user '{options.user}'",
        hint="does sshd_config of the server have a line 'Subsystem sftp internal-sftp'?",
    )


def _reason(cause: BaseException) -> str:
    return str(cause).lower().rstrip(".") or "closed by the server"


def _why(transport: paramiko.Transport) -> str:
    """What ended the transport; empty while it lives, whatever became of its channels."""
    cause = transport.saved_exception
    if cause is None:
        return "" if transport.is_active() else "closed by the server"
    if isinstance(cause, EOFError):
        return "closed by the server"
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return reason.lower().rstrip(".")
