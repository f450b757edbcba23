# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Showing the server who we are: with a private key, the agent's keys, or a password.

Everything that is configured is tried in this order, as far as the server allows it; a server that
wants two of them (``AuthenticationMethods`` of OpenSSH) gets two.
"""

from __future__ import annotations

import os
import socket
import stat
import typing as t

from ... import dependency
from ...config.options import Secret, SftpOptions
from ...errors import HostBusyError, HostConnectError, ServiceError
from . import eager
from . import key as key_file

if t.TYPE_CHECKING:
    import paramiko

_PASSWORD_HINT = "check repo-sftp-password-file in the configuration."
_AGENT_HINT = "does an agent run, and does the environment of this command say where?"

# Of draft-miller-ssh-agent: to ask for the agent's keys, and how an answer with some begins.
_AGENT_QUESTION = b"\0\0\0\1\x0b"
_AGENT_ANSWER = 12

# Seconds for which an agent may think about what keys it has.
_AGENT_PATIENCE = 10.0


class Credentials(t.NamedTuple):
    """What was read from files, once."""

    key: paramiko.PKey | None
    password: Secret | None
    agent: bool


def prepare(options: SftpOptions) -> Credentials:
    """Read what is configured; raises ServiceError that says what is wrong with a file."""
    key = password = None
    if options.private_key_file is not None:
        key = key_file.load(options.private_key_file, options.private_key_passphrase)
    if options.password_file is not None:
        password = read_password(options.password_file)
    return Credentials(key, password, options.agent)


def check(options: SftpOptions) -> bool:
    """Raise what ``prepare`` or a login would raise, as far as that shows on this side and without
    a library; false where ``prepare`` may find more, since a key is to be deciphered.
    """
    plain = True
    if options.private_key_file is not None:
        form = key_file.check(options.private_key_file, options.private_key_passphrase)
        plain = not form.encrypted
    if options.password_file is not None:
        read_password(options.password_file)
    alone = options.private_key_file is None and options.password_file is None
    if options.agent and alone and not _agent_has_key():
        raise _no_key(options)
    return plain


def _agent_has_key() -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_AGENT_PATIENCE)
        try:
            line.connect(os.environ["SSH_AUTH_SOCK"])
            line.sendall(_AGENT_QUESTION)
            # Its length, what it is, and how many keys there are.
            with line.makefile("rb") as stream:
                answer = stream.read(9)
        except (KeyError, OSError):
            return False
    return len(answer) == 9 and answer[4] == _AGENT_ANSWER and any(answer[5:])


def _unable(options: SftpOptions) -> str:
    return f"unable to authenticate as '{options.user}' on {options.host}:{options.port}"


def _no_key(options: SftpOptions) -> ServiceError:
    return ServiceError(
        f"{_unable(options)}: the SSH agent has no key, or there is no agent", hint=_AGENT_HINT
    )


def read_password(path: str) -> Secret:
    """The first line of a file that nobody else may read (``~/`` is the home directory)."""
    file = os.path.expanduser(path)
    try:
        with open(file, encoding="utf-8") as stream:
            found = os.fstat(stream.fileno())
            text = stream.readline(4096)
    except (OSError, UnicodeDecodeError) as cause:
        reason = getattr(cause, "strerror", None) or "it is not text"
        raise ServiceError(
            f"unable to read password file '{file}': {reason.lower()}", hint=_PASSWORD_HINT
        ) from cause
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ServiceError(
            f"password file '{file}' is open to others: its mode is "
            f"{stat.S_IMODE(found.st_mode):04o}",
            hint=f"chmod 0600 '{file}', and choose a new password if others have read it.",
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise ServiceError(
            f"password file '{file}' belongs to another user (uid {found.st_uid})",
            hint="it must belong to the user who runs this.",
        )
    password = text.rstrip("\r\n")
    if not password:
        raise ServiceError(f"password file '{file}' holds no password", hint=_PASSWORD_HINT)
    return Secret(password)


class _Attempt(t.NamedTuple):
    method: str  # as the protocol calls it
    what: str  # for messages
    run: t.Callable[[], t.Sequence[str]]  # gives the methods that are asked for besides


class Login:
    """One login on one transport."""

    def __init__(
        self,
        transport: paramiko.Transport,
        options: SftpOptions,
        credentials: Credentials,
        timeout: float,
        ahead: eager.Ahead | None = None,
    ) -> None:
        self._ahead = ahead
        self._transport = transport
        self._options = options
        self._credentials = credentials
        self._timeout = timeout
        self._refused: list[str] = []
        self._text = _unable(options)

    def run(self) -> None:
        """Log in; raises ServiceError when the server does not want us, HostConnectError when the
        connection ends.
        """
        library = dependency.paramiko()
        agent = library.Agent() if self._credentials.agent else None
        try:
            self._try(list(self._attempts(agent.get_keys() if agent is not None else ())))
        finally:
            if agent is not None:
                agent.close()

    def _try(self, attempts: list[_Attempt]) -> None:
        allowed: t.Sequence[str] | None = None  # None: the server was not asked yet
        partly = False
        while True:
            possible = [row for row in attempts if allowed is None or row.method in allowed]
            if not possible:
                raise self._failure(allowed, partly)
            attempt = possible[0]
            granted, further = self._once(attempt)
            if granted and not further:
                return
            if granted or further is None:
                attempts.remove(attempt)
            if granted:
                partly = True
            if further is not None:
                allowed = further

    def _once(self, attempt: _Attempt) -> tuple[bool, t.Sequence[str] | None]:
        """Whether it was granted; the methods that the server now allows, if it said so."""
        library = dependency.paramiko()
        try:
            return True, attempt.run()
        except library.BadAuthenticationType as cause:
            return False, [name for name in cause.allowed_types if name != attempt.method]
        except library.AuthenticationException as cause:
            reason = str(cause).lower()
            text = f"{self._text} with {attempt.what}"
            if "timeout" in reason:
                raise HostConnectError(
                    f"{text}: no answer within {self._timeout:.0f} s",
                    hint="is the server overloaded, or does it wait for something itself?",
                ) from cause
            if "eof" in reason or not self._transport.is_active():
                raise self._hung_up(text, "connection closed by the server") from cause
            self._refused.append(attempt.what)
            return False, None
        except Exception as cause:  # SSHException, EOFError, OSError: the connection ended
            reason = str(cause).lower().rstrip(".") or "closed by the server"
            text = f"{self._text} with {attempt.what}"
            raise self._hung_up(text, f"connection lost ({reason})") from cause

    def _hung_up(self, text: str, reason: str) -> HostConnectError | ServiceError:
        if not self._refused:
            return HostBusyError(f"{text}: {reason}")
        return ServiceError(
            f"{text}: {reason} after {len(self._refused)} refusal(s)",
            hint="a server hangs up after too many keys (MaxAuthTries); configure the right one.",
        )

    def _attempts(self, agent_keys: t.Sequence[paramiko.PKey]) -> t.Iterator[_Attempt]:
        user, transport = self._options.user, self._transport
        key, password = self._credentials.key, self._credentials.password
        if key is not None:
            what = f"key '{self._options.private_key_file}'"
            # Where nothing else can be tried, a refusal is the end in any case.
            only = password is None and not agent_keys
            then = self._ahead.ask if only and self._ahead is not None else _nothing
            yield _Attempt("publickey", what, _with_key(transport, user, key, then))
        for found in agent_keys:
            what = f"the agent's {found.get_name()} key"
            yield _Attempt("publickey", what, _with_key(transport, user, found))
        if password is not None:
            what = f"the password in '{self._options.password_file}'"
            yield _Attempt(
                "password",
                what,
                lambda: transport.auth_password(user, password.reveal(), fallback=False),
            )
            answers = Answers(password)
            yield _Attempt(
                "keyboard-interactive", what, lambda: transport.auth_interactive(user, answers)
            )
        if self._credentials.agent and not agent_keys and key is None and password is None:
            raise _no_key(self._options)

    def _failure(self, allowed: t.Sequence[str] | None, partly: bool) -> ServiceError:
        wanted = ", ".join(allowed or ())
        if partly:
            return ServiceError(
                f"{self._text}: the server asks for more: {wanted}",
                hint="configure what it asks for, too: see repo-sftp-private-key-file and "
                "repo-sftp-password-file.",
            )
        if not self._refused:
            return ServiceError(
                f"{self._text} with {self._configured()}: the server does not allow "
                f"{self._sorts()}, only {wanted}",
                hint="configure what it allows, or have it allow public keys.",
            )
        tried = ", ".join(dict.fromkeys(self._refused))
        if "key" in tried and "password" not in tried:
            return ServiceError(
                f"{self._text} with {tried}: public key refused",
                hint=f"is the public key in authorized_keys of '{self._options.user}', and may "
                "this user log in from here?",
            )
        return ServiceError(f"{self._text} with {tried}: refused", hint=_PASSWORD_HINT)

    def _configured(self) -> str:
        options = self._options
        parts = [f"key '{options.private_key_file}'"] if options.private_key_file else []
        parts += ["the agent's keys"] if options.agent else []
        parts += [f"the password in '{options.password_file}'"] if options.password_file else []
        return " or ".join(parts)

    def _sorts(self) -> str:
        keys = self._credentials.key is not None or self._credentials.agent
        sorts = ["public keys"] if keys else []
        sorts += ["passwords"] if self._credentials.password is not None else []
        return " and ".join(sorts)


def _with_key(
    transport: paramiko.Transport,
    user: str,
    key: paramiko.PKey,
    then: t.Callable[[], None] = lambda: None,
) -> t.Callable[[], t.Sequence[str]]:
    return lambda: eager.auth_publickey(transport, user, key, then)


def _nothing() -> None:
    """What follows on most attempts."""


class Answers:
    """Answers the questions of keyboard-interactive: the password for the first one whose answer is
    not to be seen on a screen, nothing for any other.
    """

    def __init__(self, password: Secret) -> None:
        self._password: Secret | None = password

    def __call__(
        self, _title: str, _instructions: str, prompts: t.Sequence[tuple[str, bool]]
    ) -> list[str]:
        return [self._answer(shown) for _text, shown in prompts]

    def _answer(self, shown: bool) -> str:
        if shown or self._password is None:
            return ""
        # Once: a server that asks again asks for something else, or did not like it.
        password, self._password = self._password, None
        return password.reveal()
