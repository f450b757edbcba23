# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to bytes on their way: compression, encryption, digests, page checksums.

Knows neither repositories nor storages. Everything streams: one pass, bounded memory.
"""

from __future__ import annotations
