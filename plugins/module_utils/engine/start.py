# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the host command begins: what the archiver does takes a short way, all else a long one."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run the command of this process's arguments; gives the exit code.

    The interpreter may have been started without ``site``, which the short way has no use for.
    """
    words = sys.argv[1:]
    code = _ask(words)
    if code is None:
        code = _run(words)
    _flush()
    # Taking the interpreter apart would take a tenth of the command's time.
    os._exit(code)


def _run(words: list[str]) -> int:
    # Nothing that modules make of themselves is garbage: looking for it takes as long again as
    # taking them apart.
    gc.disable()
    if sys.flags.no_site:
        import site

        site.main()
    from . import cli

    return cli.main(words)


def _flush() -> None:
    """Write what is left, so that the exit code stays what it is.

    Where the disk of the server's log is full, the interpreter would fail to do so at its very end
    and exit with 120, which PostgreSQL takes for "not in the archive".
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            # The bytes stay in the buffer, and the interpreter tries again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _ask(words: list[str]) -> int | None:
    """The archiver's answer; None when the command must be run here."""
    if "archive-push" in words:
        from .archiver import client

        return client.push(words, os.environ)
    if "archive-get" in words:
        from .archiver import client

        return client.get(words, os.environ)
    if "info" in words:
        from .archiver import delegate

        return delegate.info(words, os.environ)
    return None
