# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pythons of this machine, one of each version that the engine runs with."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import typing as t
from pathlib import Path

FLOOR = (3, 9)

Version = tuple[int, int]


def version_of(path: Path) -> Version | None:
    """Major and minor; None for what does not start or is no Python."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [path, "-ISc", code], capture_output=True, text=True, timeout=60, check=True
        )
        major, minor = map(int, done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return major, minor


def _candidates() -> t.Iterator[Path]:
    """This one first; then what distributions, pyenv and uv install, wherever ``PATH`` leads."""
    yield Path(sys.executable)
    places = os.environ.get("PATH", "").split(os.pathsep)
    for place in dict.fromkeys([*places, "/usr/bin", "/usr/local/bin"]):
        yield from sorted(Path(place or ".").glob("python3.[0-9]*[0-9]"))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    uv = Path("~/.local/share/uv/python").expanduser()
    for versions in (pyenv / "versions", uv):
        yield from sorted(versions.glob("*/bin/python3"))


@functools.lru_cache(maxsize=1)
def interpreters() -> t.Mapping[Version, Path]:
    """One Python of each version from ``FLOOR`` on; never none, since this one is among them."""
    found: dict[Version, Path] = {}
    for path in _candidates():
        version = version_of(path)
        if version is not None and version >= FLOOR:
            found.setdefault(version, path)
    return dict(sorted(found.items()))
