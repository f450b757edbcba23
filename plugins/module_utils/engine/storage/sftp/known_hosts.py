# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What known_hosts files say of a server.

Their format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": an optional marker, names
(comma-separated patterns, or one hashed name), the type, the key. Names are looked up as
``[host]:port`` first where the port is not 22, then as ``host``, as OpenSSH does.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import fnmatch
import hashlib
import hmac
import os
import typing as t

from ... import log


class HostKey(t.NamedTuple):
    """A key that a server presents: its type and its blob, as in known_hosts."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode("ascii")
        return "SHA256:" + digest.rstrip("=")

    def line(self, name: str) -> str:
        """As a line of known_hosts."""
        return f"{name} {self.type} {base64.b64encode(self.blob).decode('ascii')}\n"


class Entry(t.NamedTuple):
    """A line of a known_hosts file that concerns a host."""

    key: HostKey
    revoked: bool
    source: str  # file:line
    rank: int = 0  # of the first of the host's names that it is for


def that_count(entries: t.Sequence[Entry]) -> list[Entry]:
    """Those of the first name that has a key, and what is revoked by any name (pure)."""
    first = min((entry.rank for entry in entries if not entry.revoked), default=0)
    return [entry for entry in entries if entry.revoked or entry.rank == first]


def parse_known_hosts(text: str, file: str, names: t.Sequence[str]) -> list[Entry]:
    """The entries of a known_hosts text for a host of any of these names (pure)."""
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        marker = ""
        if fields and fields[0].startswith("@"):
            marker = fields.pop(0)
        if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        rank = next((at for at, name in enumerate(names) if _matches(fields[0], name)), None)
        if rank is None:
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        if blob[4 : 4 + len(fields[1])] != fields[1].encode():
            continue  # version 1 of SSH, or damaged
        entries.append(Entry(HostKey(fields[1], blob), bool(marker), f"{file}:{number}", rank))
    return entries


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _matches_hash(patterns, name)
    found = False
    for pattern in patterns.split(","):
        negated = pattern.startswith("!")
        # Brackets are literal in known_hosts, and a class in fnmatch.
        shell = pattern.lstrip("!").lower().replace("[", "[[]")
        if fnmatch.fnmatchcase(name.lower(), shell):
            if negated:
                return False
            found = True
    return found


def _matches_hash(hashed: str, name: str) -> bool:
    try:
        _dummy, _dummy, salt, digest = hashed.split("|")
        # In lower case is how OpenSSH hashes it; other tools may do it as it is configured.
        return any(
            hmac.compare_digest(
                hmac.new(base64.b64decode(salt), form.encode(), hashlib.sha1).digest(),
                base64.b64decode(digest),
            )
            for form in (name, name.lower())
        )
    except ValueError:
        return False


class KnownHosts:
    """What some files say of a server of any of these names, as of the last ``read``."""

    def __init__(self, files: t.Sequence[str], names: t.Sequence[str]) -> None:
        self.files = files
        self.names = names
        self.entries: list[Entry] = []
        self._texts: dict[str, str] = {}
        self._unreadable: set[str] = set()
        self.read()

    def read(self) -> None:
        """Read the files (again); one that is missing says nothing."""
        entries: list[Entry] = []
        for file in self.files:
            entries += parse_known_hosts(self._text(file), file, self.names)
        self.entries = that_count(entries)

    def _text(self, file: str) -> str:
        try:
            with open(file, encoding="utf-8", errors="replace") as stream:
                self._texts[file] = stream.read()
            self._unreadable.discard(file)
        except FileNotFoundError:
            self._texts.pop(file, None)
        except OSError as cause:
            # What it said is believed: a key must not pass for new meanwhile.
            if file not in self._unreadable:
                reason = (cause.strerror or str(cause)).lower()
                log.warn("unable to read '%s': %s", file, reason)
            self._unreadable.add(file)
        return self._texts.get(file, "")


def append_known_host(file: str, key: HostKey, names: t.Sequence[str]) -> list[Entry]:
    """Add a server's key by the first of its names to a known_hosts file; makes it (0600) and its
    directory (0700). Raises OSError.

    Several workers may meet the same new host at once: where the file has a key of it by now, or
    has this one revoked, nothing is added, and what the file says is given.
    """
    os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as stream:
        # Ends when the file is closed, which is after everything is written.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        text = stream.read()
        found = that_count(parse_known_hosts(text, file, names))
        if any(entry.key.blob == key.blob or not entry.revoked for entry in found):
            return found
        line = key.line(names[0])
        stream.write(line if not text or text.endswith("\n") else "\n" + line)
    return []
