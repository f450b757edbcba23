# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets have no place in a task: its arguments are shown, logged and kept.

The controller refuses them before they get into a host's journal, and a module does once more.
"""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.validation import check_type_dict

from .engine.config import names
from .engine.errors import OptionInvalidError

# A word of a connection string, or a part of an address.
_PASSWORD = re.compile(r"\b(ssl)?password\s*=|://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)


def refuse(options: object, recovery: object = None) -> None:
    """Raise OptionInvalidError when the task's options, or settings of a recovery, have one.

    ``options`` may be what Ansible makes a dictionary of. So is a name that no option has: what a
    misspelt one was meant to hold nobody knows.
    """
    given = _dictionary(options)
    for name in map(str, given):
        meant = names.find(name.lower().replace("_", "-"))
        if meant is not None and meant.option.secret:
            raise OptionInvalidError(
                f"option '{name}' is not allowed in a task",
                hint="a task's arguments are logged; the configuration file need not be seen.",
            )
        if names.find(name) is None:
            hint = f"did you mean '{meant}'?" if meant else names.suggest(name)
            raise OptionInvalidError(f"invalid option '{name}' in the task", hint=hint)
    if any(_PASSWORD.search(str(text)) for text in (given.get("recovery-option"), recovery)):
        raise OptionInvalidError(
            "a password is not allowed in the settings of the recovery",
            hint="a task's arguments are logged; put it into .pgpass or a passfile.",
        )


def _dictionary(options: object) -> t.Mapping[str, object]:
    """As the module will see them; what is wrong with them is said without showing them."""
    try:
        return {} if options is None else dict(check_type_dict(options))
    except (TypeError, ValueError):
        raise OptionInvalidError(
            "the parameter options is no dictionary", hint="write each option as 'name: value'."
        ) from None
