# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The path that PostgreSQL gives to archive_command and restore_command as %p.

It is relative to the data directory, in which PostgreSQL runs both (BackendMain changes to it). A
command that runs elsewhere, or for another server than that of pg1-path, would read from the one
what it was told about the other, or write into it.
"""

from __future__ import annotations

import os

from ..config.options import Options
from ..errors import OptionInvalidValueError, OptionRequiredError


def resolve(path: str, options: Options) -> str:
    """The absolute path.

    Raises OptionRequiredError for a relative one without pg1-path, and OptionInvalidValueError
    when the working directory is another one than that.
    """
    if os.path.isabs(path):
        return path
    if not options.pgs:
        raise OptionRequiredError(
            f"option 'pg1-path' must be specified when relative wal paths are used ('{path}')",
            hint="is %f passed instead of %p?",
        )
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:
        here = "(removed)"
    if here != os.path.realpath(options.pg.path):
        raise OptionInvalidValueError(
            f"PostgreSQL working directory '{here}' is not the same as option pg1-path "
            f"'{options.pg.path}'",
            hint="is the PostgreSQL data_directory configured the same as the pg1-path option? For"
            " a server elsewhere its command line needs --pg1-path.",
        )
    return os.path.join(options.pg.path, path)
