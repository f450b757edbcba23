# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a directory holds that the backup does not have: what --delta and --force remove."""

from __future__ import annotations

import os
import typing as t


class Known(t.NamedTuple):
    """What stays, by paths as the server has them: below a link by the path of the link."""

    files: t.Collection[str]
    directories: t.Collection[str]
    links: t.Mapping[str, str]
    """What each link says."""


def superfluous(root: str, shown: str, known: Known) -> t.Iterator[str]:
    """The paths below ``root`` to remove, what is in a directory before the directory.

    ``shown`` is the path by which the server comes to it. A server that runs removes files and
    directories meanwhile, which is no error.
    """
    with os.scandir(root) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    yield from _of(found, root, shown, known)


def _of(
    found: t.Iterable[os.DirEntry[str]], root: str, shown: str, known: Known
) -> t.Iterator[str]:
    for entry in found:
        path, name = f"{root}/{entry.name}", f"{shown}/{entry.name}"
        if entry.is_symlink():
            if known.links.get(name) != _text(path):
                yield path
        elif entry.is_dir(follow_symlinks=False):
            if name in known.directories and name not in known.links:
                yield from _of(_entries(path), path, name, known)
            else:
                yield from _tree(path)
        elif (
            name not in known.files
            or name in known.links
            or not entry.is_file(follow_symlinks=False)
        ):
            yield path


def _tree(path: str) -> t.Iterator[str]:
    for entry in _entries(path):
        if entry.is_dir(follow_symlinks=False):
            yield from _tree(entry.path)
        else:
            yield entry.path
    yield path


def _entries(path: str) -> list[os.DirEntry[str]]:
    """What is in a directory; nothing if it is gone."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _text(link: str) -> str | None:
    """What a link says; None if it is gone."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return None
