# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cluster of a stanza is at home: the host and the data directory that archive into it.

Nothing in a repository tells the cluster from a copy that was restored to the same path of another
host, with the same configuration. So whoever archives leaves a note on its host, below
``spool-path``, and a restore looks for it. The note holds the host's names, since the disk of a
host may be cloned with it, and is of one cluster: a host for tests may have had another one there,
which archived into a stanza of the same name elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets

from .. import log

_DIRECTORY = "home"
_MACHINE_ID = "/etc/machine-id"


def note(spool_path: str, stanza: str, pg_data: str, system_id: int) -> None:
    """Note that the cluster in this data directory of this host has archived into the stanza.

    To be called after each file, so that a note that is lost comes back: one that is there costs
    the reading of a hundred bytes. It is not worth a failure.
    """
    text = _text(pg_data, system_id)
    path = _path(spool_path, stanza, pg_data, system_id)
    if _read(path) == text:
        return
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o640), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as cause:
        log.debug("unable to note in '%s' that '%s' archives: %s", path, pg_data, cause.strerror)
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def is_noted(spool_path: str, stanza: str, pg_data: str, system_id: int) -> bool:
    """Whether the cluster has archived into the stanza from this data directory of this host."""
    found = _read(_path(spool_path, stanza, pg_data, system_id))
    return found == _text(pg_data, system_id)


def forget(spool_path: str, stanza: str, pg_data: str, system_id: int) -> None:
    """Take the note away: what is in the directory now does not archive."""
    with contextlib.suppress(OSError):
        os.unlink(_path(spool_path, stanza, pg_data, system_id))


def _path(spool_path: str, stanza: str, pg_data: str, system_id: int) -> str:
    place = os.fsencode(f"{system_id}:{_plain(pg_data)}")
    digest = hashlib.sha256(place).hexdigest()
    return os.path.join(spool_path, _DIRECTORY, f"{stanza}-{digest[:16]}.json")


def _text(pg_data: str, system_id: int) -> str:
    machine = _read(_MACHINE_ID) or ""
    values = {
        "path": _plain(pg_data),
        "system-id": system_id,
        "host": os.uname().nodename,
        # The id itself is not for everybody's eyes: machine-id(5).
        "machine": hashlib.sha256(f"pgsftp {machine.strip()}".encode()).hexdigest(),
    }
    return json.dumps(values) + "\n"


def _plain(pg_data: str) -> str:
    return pg_data.rstrip("/")


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return None
