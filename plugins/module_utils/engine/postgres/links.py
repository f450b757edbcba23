# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which symbolic links of a data directory can be backed up and restored.

No link may lead to another link, into the data directory, or to where another link leads: restored
data would lie in one place twice (repository reference, section 9).
"""

from __future__ import annotations

import os
import typing as t

from ..errors import LinkDestinationError


class _Seen(t.NamedTuple):
    link: str
    path: str
    file: str | None


class LinkCheck:
    """Remembers where links lead, and refuses the next one that would be in the way."""

    def __init__(self, root: str) -> None:
        self._root = os.path.normpath(root)
        self._seen: list[_Seen] = []

    def refuse_chain(self, link: str, destination: str) -> None:
        """Raise LinkDestinationError when a link's destination is itself a link."""
        path = os.path.normpath(destination)
        if os.path.islink(path):
            raise LinkDestinationError(f"link '{link}' cannot reference another link '{path}'")

    def add(self, link: str, path: str, file: str | None) -> None:
        """Check one link: it leads to the directory ``path``, or to ``file`` in that directory.

        Raises LinkDestinationError.
        """
        new = _Seen(link, os.path.normpath(path), file)
        if _inside(new.path, self._root):
            raise LinkDestinationError(f"link '{link}' destination '{new.path}' is in PGDATA")
        for old in self._seen:
            self._compare(new, old)
        self._seen.append(new)

    @staticmethod
    def _compare(new: _Seen, old: _Seen) -> None:
        if new.file is not None and old.file is not None:
            if (new.path, new.file) == (old.path, old.file):
                raise LinkDestinationError(
                    f"link '{new.link}' ({new.path}/{new.file}) destination is the same file as"
                    f" link '{old.link}' ({old.path}/{old.file})"
                )
        elif new.path == old.path:
            raise LinkDestinationError(
                f"link '{new.link}' ({new.path}) destination is the same directory as link"
                f" '{old.link}' ({old.path})"
            )
        elif new.file is None and old.file is None:
            for inner, outer in ((new, old), (old, new)):
                if _inside(inner.path, outer.path):
                    raise LinkDestinationError(
                        f"link '{inner.link}' ({inner.path}) destination is a subdirectory of link"
                        f" '{outer.link}' ({outer.path})"
                    )


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
