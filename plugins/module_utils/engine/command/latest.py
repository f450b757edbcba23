# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The symlink ``latest`` beside the backups: for people, no command reads it."""

from __future__ import annotations

import typing as t

from ..config.options import RepoOptions
from ..repository import layout
from ..storage.base import Storage


def point_latest(storage: Storage, repo: RepoOptions, stanza: str, label: str) -> None:
    """Let the link lead to this backup, where the storage has links and the options want it."""
    if storage.features.symlink and repo.symlink:
        path = layout.latest_path(stanza)
        storage.remove(path)
        storage.link(label, path)


def restore_latest(
    storage: Storage, repo: RepoOptions, stanza: str, backups: t.Collection[str]
) -> None:
    """Let the link lead to the newest backup when it leads to none."""
    if storage.features.symlink and repo.symlink:
        link = storage.info(layout.latest_path(stanza))
        if link is None or link.destination not in backups:
            point_latest(storage, repo, stanza, max(backups))
