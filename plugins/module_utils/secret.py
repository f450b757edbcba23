# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets have no place in a task: its arguments are shown, logged and kept.

The controller refuses them before they get into a host's journal, and a module does once more.
"""

from __future__ import annotations

import re
import typing as t

from .engine.config import names
from .engine.errors import OptionInvalidError

# A word of a connection string, or a part of an address.
_PASSWORD = re.compile(r"\b(ssl)?password\s*=|://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)


def refuse(options: object, recovery: object = None) -> None:
    """Raise OptionInvalidError when the task's options, or settings of a recovery, have one."""
    given: t.Mapping[str, object] = options if isinstance(options, dict) else {}
    for name in given:
        known = names.find(str(name))
        if known is not None and known.option.secret:
            raise OptionInvalidError(
                f"option '{name}' is not allowed in a task",
                hint="a task's arguments are logged; the configuration file need not be seen.",
            )
    if any(_PASSWORD.search(str(text)) for text in (given.get("recovery-option"), recovery)):
        raise OptionInvalidError(
            "a password is not allowed in the settings of the recovery",
            hint="a task's arguments are logged; put it into .pgpass or a passfile.",
        )
