# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory above the data directory, and the three things that a restore does in it.

It often belongs to root, as Debian has it, and the work is done by the owner of the cluster. What
that one may not do is asked of the process of root that waits for its answer. Root touches nothing
there but the data directory's own name and the names under which restores keep one aside.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import typing as t

SUFFIX = ".aside-"
STAMP = r"[0-9]{8}-[0-9]{6}"

Json = dict[str, t.Any]
Ask = t.Callable[[Json], Json]


class Above(t.NamedTuple):
    """What can be done with a data directory as a whole; everything raises OSError."""

    path: str
    """The data directory."""
    ask: Ask | None = None
    """Has it done by root; None where nobody is there to ask."""

    def may(self, aside: str) -> None:
        """Do none of the following three, but raise what speaks against them beforehand."""
        self._do("may", aside)

    def keep(self, aside: str) -> None:
        """Rename the data directory, and have an empty one in its place."""
        self._do("keep", aside)

    def back(self, aside: str) -> None:
        """Give the data directory's name, which is empty or gone, back to what is aside."""
        self._do("back", aside)

    def remove(self, aside: str) -> None:
        """Remove an empty directory that was kept aside."""
        self._do("remove", aside)

    def _do(self, verb: str, aside: str) -> None:
        try:
            perform(self.path, verb, aside)
        except PermissionError:
            if self.ask is None:
                raise
            failed = self.ask({"verb": verb, "aside": aside}).get("errno")
            if failed:
                raise OSError(failed, os.strerror(failed)) from None


def stamp_of(path: str, aside: str) -> str:
    """The end of a name under which a restore has kept ``path`` aside; empty for any other name."""
    ours = re.fullmatch(re.escape(path) + f"({re.escape(SUFFIX)}{STAMP})", aside)
    return ours[1] if ours else ""


def perform(path: str, verb: str, aside: str) -> None:
    """Do one of the verbs; PermissionError for any other one, and for names of something else."""
    if verb not in _VERBS or not stamp_of(path, aside):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    _VERBS[verb](path, aside)


def serve(path: str, request: Json) -> Json:
    """Root's answer to a request."""
    try:
        perform(path, str(request.get("verb")), str(request.get("aside")))
    except OSError as cause:
        return {"errno": cause.errno}
    return {}


def _may(path: str, _aside: str) -> None:
    writable(path)


def writable(path: str) -> None:
    """PermissionError unless the directory that holds ``path`` can be changed."""
    if not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _keep(path: str, aside: str) -> None:
    os.rename(path, aside)
    try:
        os.mkdir(path, 0o700)
    except OSError:
        os.rename(aside, path)
        raise
    status = os.lstat(aside)
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


def _back(path: str, aside: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)
    os.rename(aside, path)


def _remove(_path: str, aside: str) -> None:
    os.rmdir(aside)


_VERBS: dict[str, t.Callable[[str, str], None]] = {
    "may": _may,
    "keep": _keep,
    "back": _back,
    "remove": _remove,
}
