# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server is the one it should be (repository reference, section 21)."""

from __future__ import annotations

import copy
import enum
import hashlib
import hmac
import os
import typing as t

from ... import log
from ...config.options import SftpOptions
from ...errors import ServiceError
from .known_hosts import Entry, HostKey, KnownHosts, append_known_host

# What libssh2 prefers, and with it pgBackRest: a fingerprint that it shows is of the first of these
# that the server has.
PREFERENCE = (
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-ed25519",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
)

_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")

_PERSONAL_FILE = "~/.ssh/known_hosts"


class Verdict(enum.Enum):
    """What becomes of the connection."""

    TRUSTED = "trusted"
    # The pinned key may be one of another type: connect again and ask for that.
    TRY_OTHER = "try another key type"


class _Memory:
    """What one way to a session leaves to the next one."""

    def __init__(self) -> None:
        self.trusted: str | None = None  # the type of the key that was trusted last


class HostKeyCheck:
    """The check of one server's key by the configured rule; kept across reconnects, each of which
    has ``begin`` make its own.
    """

    def __init__(self, options: SftpOptions) -> None:
        self._options = options
        self._rule = options.key_check_type
        if self._rule == "strict" and options.fingerprint is not None:
            # As pgBackRest does: a fingerprint without a check type means that check.
            self._rule = "fingerprint"
        self._memory = _Memory()
        self._refused: list[HostKey] = []
        self._any_type = False
        # The other rules ask no file.
        files = self._files if self._rule in ("strict", "accept-new") else []
        self._known = KnownHosts(files, self._names)

    def begin(self) -> HostKeyCheck:
        """The same check for one way to a session, which other threads of the process go, too.

        What a server refused to show, or was refused for, may have been put right since.
        """
        fresh = copy.copy(self)
        fresh._refused, fresh._any_type = [], False
        self._known.read()
        return fresh

    @property
    def _names(self) -> list[str]:
        host, port = self._options.host, self._options.port
        return [host] if port == 22 else [f"[{host}]:{port}", host]

    @property
    def _files(self) -> list[str]:
        files = [os.path.expanduser(file) for file in self._options.known_hosts]
        personal = os.path.expanduser(_PERSONAL_FILE)
        if self._rule == "accept-new" and personal not in files:
            # What is accepted is written there, and must be found again.
            files.append(personal)
        return files

    @property
    def refused(self) -> bool:
        """Whether the server presented a key that is not the pinned one."""
        return bool(self._refused)

    def algorithms(self, supported: t.Sequence[str]) -> list[str]:
        """Which of the supported key algorithms to offer, best first.

        With keys on record, only their types: the server then presents one that can be compared.
        """
        ordered = [name for name in PREFERENCE if name in supported]
        comparable = _of_types(ordered, self._comparable())
        refused = _of_types(ordered, [key.type for key in self._refused])
        return [name for name in comparable or ordered if name not in refused]

    def _comparable(self) -> list[str]:
        if self._any_type:
            return []
        if self._memory.trusted is not None:
            return [self._memory.trusted]
        return [entry.key.type for entry in self._known.entries if not entry.revoked]

    def offer_any_type(self) -> bool:
        """The server has no key of the types that were offered: offer all of them from now on, so
        that ``verify`` sees the one that it has instead. False when they were offered already.
        """
        widened = not self._any_type and bool(self._comparable())
        self._any_type = True
        return widened

    def verify(self, key: HostKey) -> Verdict:
        """Judge the key that the server presented; raises ServiceError when it is refused."""
        if self._rule == "fingerprint":
            return self._verify_fingerprint(key)
        if self._rule != "none":
            self._verify_known(key)
        self._memory.trusted = key.type
        return Verdict.TRUSTED

    def exhausted(self) -> ServiceError:
        """The error for a server that has no key of a type that was not refused yet."""
        options = self._options
        shown = ", ".join(
            f"{key.type} {_hash(options.key_hash_type, key.blob)}" for key in self._refused
        )
        return ServiceError(
            f"host key of '{_display(options)}' does not match the configured fingerprint: "
            f"configured {options.key_hash_type} {options.fingerprint}, server has {shown}",
            hint="unless the key was replaced on purpose, someone may be listening; see "
            "repo-sftp-host-fingerprint.",
        )

    def _verify_fingerprint(self, key: HostKey) -> Verdict:
        wanted = (self._options.fingerprint or "").replace(":", "").lower()
        if not wanted:
            raise ServiceError(
                "the host key check by fingerprint needs repo-sftp-host-fingerprint",
                hint=f"the server presents {key.type} "
                f"{_hash(self._options.key_hash_type, key.blob)}.",
            )
        if hmac.compare_digest(_hash(self._options.key_hash_type, key.blob), wanted):
            self._memory.trusted = key.type
            return Verdict.TRUSTED
        # The one that was trusted is gone: what the server has besides may be what is pinned.
        self._memory.trusted = None
        insists = any(refused.type == key.type for refused in self._refused)
        self._refused.append(key)
        if insists:
            # It was not asked for this type again, and would be connected to for ever.
            raise self.exhausted()
        return Verdict.TRY_OTHER

    def _verify_known(self, key: HostKey) -> None:
        if all(entry.key.blob != key.blob for entry in self._known.entries):
            # Another process may have accepted one, or somebody corrected the files, since.
            self._known.read()
        if self._judge(key, self._known.entries):
            return
        if self._rule == "strict":
            raise self._unknown(key)
        self._accept(key)

    def _judge(self, key: HostKey, entries: t.Sequence[Entry]) -> bool:
        """Whether the key is among the entries, which say nothing else against it."""
        same = [entry for entry in entries if entry.key.blob == key.blob]
        for entry in same:
            if entry.revoked:
                raise ServiceError(
                    f"host key of '{_display(self._options)}' is revoked ({entry.source})",
                    hint="the server must get a new key before it can be trusted again.",
                )
        others = [entry for entry in entries if not entry.revoked]
        if others and not same:
            raise self._changed(key, others)
        return bool(same)

    def _changed(self, key: HostKey, others: list[Entry]) -> ServiceError:
        comparable = [entry for entry in others if entry.key.type == key.type] or others
        known = ", ".join(
            f"{entry.key.type} {entry.key.fingerprint} ({entry.source})" for entry in comparable
        )
        return ServiceError(
            f"host key of '{_display(self._options)}' has changed: known is {known}, the server "
            f"presents {key.type} {key.fingerprint}",
            hint="unless the key was replaced on purpose, someone may be listening. If it was, "
            "correct the known_hosts file.",
        )

    def _unknown(self, key: HostKey) -> ServiceError:
        files = ", ".join(self._known.files)
        return ServiceError(
            f"host key of '{_display(self._options)}' is unknown: {key.type} {key.fingerprint} is "
            f"not in {files}",
            hint="compare the fingerprint with the server's own, then add the key to known_hosts.",
        )

    def _accept(self, key: HostKey) -> None:
        file = os.path.expanduser(_PERSONAL_FILE)
        try:
            found = append_known_host(file, key, self._known.names)
        except OSError as cause:
            raise ServiceError(
                f"unable to add the host key of '{_display(self._options)}' to '{file}': "
                f"{(cause.strerror or str(cause)).lower()}",
                hint="may the user who runs this write to it?",
            ) from cause
        if self._judge(key, found):
            return
        log.warn(
            "host key of '%s' was unknown and is trusted from now on: %s %s added to '%s'",
            _display(self._options),
            key.type,
            key.fingerprint,
            file,
        )


def _of_types(algorithms: t.Sequence[str], types: t.Sequence[str]) -> list[str]:
    wanted = set(types)
    if "ssh-rsa" in wanted:
        wanted.update(_RSA_ALGORITHMS)
    return [name for name in algorithms if name in wanted]


def _hash(kind: str, blob: bytes) -> str:
    return hashlib.new(kind, blob, usedforsecurity=False).hexdigest()


def _display(options: SftpOptions) -> str:
    return options.host if options.port == 22 else f"[{options.host}]:{options.port}"
