# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a repository: path names, info files, manifests, bundles, the WAL archive, locks.

Knows no socket and no PostgreSQL server. The format is pgBackRest's, format 5, as the repository
reference describes it.
"""

from __future__ import annotations
