# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories that go between the moment they are listed and the one they are looked at,
as those of a server that runs.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest


class _Listed(list["os.DirEntry[str]"]):
    """What scandir gives, listed already."""

    def __enter__(self) -> _Listed:
        return self

    def __exit__(self, *_cause: object) -> None:
        pass


def vanish(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """All that is in the directory goes as soon as it is listed."""
    real = os.scandir

    def scandir(path: t.Any = ".") -> t.Any:
        if str(path) != str(directory):
            return real(path)
        with real(path) as entries:
            found = _Listed(entries)
        monkeypatch.setattr(os, "scandir", real)
        for entry in found:
            # The kind is known from the listing, as on most file systems.
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        return found

    monkeypatch.setattr(os, "scandir", scandir)
