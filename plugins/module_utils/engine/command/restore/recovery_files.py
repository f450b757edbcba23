# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files by which the restored server knows whether it recovers, and how far."""

from __future__ import annotations

import os
from datetime import datetime

from ... import log
from ...postgres import recovery
from .target import Target
from .trouble import looking


def write(target: Target, version: str, settings: recovery.Settings, kind: str) -> None:
    """Write them as a restore of type ``kind`` leaves them to a server of that version."""
    name = recovery.config_file(version)
    path = f"{target.pg_data}/{name}"
    if kind == "preserve":
        if not os.path.exists(path):
            log.warn("recovery type is preserve but recovery file does not exist at '%s'", path)
        return
    if kind == "none" and name == recovery.RECOVERY_CONF:
        # That there is one, whatever it says, makes the server recover. An old one has been removed
        # with all that the backup does not have.
        return
    now = datetime.now()
    if name == recovery.AUTO_CONF:
        text = recovery.edit_auto_conf(_read_text(path), settings, now)
    else:
        text = recovery.settings_text(settings, now)
    log.info("write updated %s", path)
    target.write_file(name, text)
    signal = recovery.signal_file(version, kind)
    if signal is not None:
        target.write_file(signal, "")


def _read_text(path: str) -> str | None:
    with looking(path):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return None
