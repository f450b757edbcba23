# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a repository lies, behind one set of verbs: a local directory, or a server over SFTP.

Knows bytes and names, and nothing of what they mean. Everything that may go wrong becomes one of
five causes (``errors.py``), which no other cause is ever reported as.
"""

from __future__ import annotations
