# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel shows of processes, as far as a restore looks at it."""

from __future__ import annotations


class Processes:
    """A directory to take for /proc."""

    def __init__(self, root):
        self.root = root
        self.root.mkdir()

    def add(self, number, *, name=None, cwd=None):
        """A process; what is None cannot be seen."""
        path = self.root / str(number)
        path.mkdir()
        if name is not None:
            (path / "comm").write_text(f"{name}\n")
        if cwd is not None:
            (path / "cwd").symlink_to(cwd)
