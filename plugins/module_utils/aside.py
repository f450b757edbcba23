# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories a restore renames, and which ones restores have renamed.

What they have renamed may be emptied. So a name counts only if a restore has given it, to the last
character: one that somebody has changed to save a directory is none of ours.
"""

from __future__ import annotations

import os

from .above import SUFFIX, stamp_of


def parts(path: str) -> list[str]:
    """The data directory and what its links lead to, as far as it belongs to this cluster."""
    found = [path]
    below = f"{path}/pg_tblspc"
    for name in sorted(os.listdir(below)) if os.path.isdir(below) else ():
        # Other clusters may have their own directories in the same place.
        root = os.path.realpath(f"{below}/{name}")
        version = _version(path)
        if os.path.isdir(root):
            found += [
                f"{root}/{entry}"
                for entry in sorted(os.listdir(root))
                if entry.startswith(f"PG_{version}_") and SUFFIX not in entry
            ]
    for name in sorted(os.listdir(path)):
        link = f"{path}/{name}"
        if os.path.islink(link) and os.path.isdir(link):
            found.append(os.path.realpath(link))
    return found


def _version(path: str) -> str:
    try:
        with open(f"{path}/PG_VERSION", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def kept(path: str) -> dict[str, str]:
    """Everything that restores to this directory have renamed: new path -> old path.

    A link does not count: no restore has made it. The data directory comes after its parts.
    """
    parent = os.path.dirname(path)
    found: dict[str, str] = {}
    for name in sorted(os.listdir(parent)):
        new = os.path.join(parent, name)
        stamp = stamp_of(path, new)
        if not stamp or not _is_directory(new):
            continue
        for place in _linked(new):
            found.update(_renamed(place, stamp))
        for place in _tablespaces(new):
            found.update(_renamed(place, stamp))
        found[new] = path
    return found


def newest(path: str) -> dict[str, str]:
    """What the newest of these restores has renamed."""
    found = kept(path)
    stamp = max((stamp_of(path, new) for new in found), default="")
    return {new: old for new, old in found.items() if new == old + stamp}


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _linked(directory: str) -> list[str]:
    """Where the links of a directory lead, whether anything is there or not."""
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else ()
    links = [f"{directory}/{name}" for name in names]
    return [os.path.realpath(link) for link in links if os.path.islink(link)]


def _tablespaces(directory: str) -> list[str]:
    """The directories of a cluster's version in its tablespaces, by the names that they had."""
    version = f"PG_{_version(directory)}_"
    return [
        f"{place}/{name.partition(SUFFIX)[0]}"
        for place in _linked(f"{directory}/pg_tblspc")
        for name in (sorted(os.listdir(place)) if os.path.isdir(place) else ())
        if name.startswith(version)
    ]


def _renamed(place: str, stamp: str) -> dict[str, str]:
    new = place + stamp
    return {new: place} if _is_directory(new) else {}
