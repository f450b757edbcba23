# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the engine and the text that it writes into a repository."""

from __future__ import annotations

VERSION = "0.1.0"

# Stock pgBackRest resumes an aborted backup only when this text equals its own version, so ours
# must never look like one of its releases (repository reference, section 11).
REPOSITORY_VERSION = "pgsftp-" + VERSION

REPOSITORY_FORMAT = 5
