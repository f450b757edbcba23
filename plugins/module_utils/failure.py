# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible is told of an error."""

from __future__ import annotations

import traceback
import typing as t

from .engine.errors import AssertError, EngineError


def told(error: EngineError) -> dict[str, t.Any]:
    """What fail_json is given; of a mistake of ours, where it was made as well."""
    found: dict[str, t.Any] = {
        "failed": True,
        "msg": str(error),
        "code": error.code,
        "failure": {"type": type(error).__name__, "code": error.code, "hint": error.hint},
    }
    if isinstance(error, AssertError):
        found["exception"] = traceback.format_exc()
    return found
