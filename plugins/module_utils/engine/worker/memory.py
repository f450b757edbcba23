# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the C library does with memory that a worker has freed.

By itself glibc gives the top of its heap back whenever that is larger than twice the largest block
so far (mallopt(3), M_TRIM_THRESHOLD). A worker takes and frees buffers of some hundred KiB all the
time, and so the kernel would clear the same pages over and over: a twentieth of the processor time
of a backup, an eighth of that of a download.
"""

from __future__ import annotations

import ctypes

# Of malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3

# Bytes that are kept: more than all buffers that a worker has at a time.
KEPT = 64 * 1024 * 1024

# Larger blocks are given back at once, in bytes.
LARGE = 8 * 1024 * 1024


def keep_freed() -> None:
    """Have freed memory kept for the next buffers of this process; does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, LARGE)
