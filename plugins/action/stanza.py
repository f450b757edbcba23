# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module ``stanza``."""

from __future__ import annotations

from ..plugin_utils.follow import CheckedAction


class ActionModule(CheckedAction):
    """Refuses secrets."""
