# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something that happens while a command of the test works."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

PATIENCE = 120.0


def until(condition: t.Callable[[], bool], pause: float = 0.02) -> None:
    """Return when it holds, looked at every ``pause`` seconds; a failure after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


@contextlib.contextmanager
def beside(work: t.Callable[[], object]) -> t.Iterator[None]:
    """Do it in a thread beside the block, which ends when both have; its failure is the test's."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as cause:
            failed.append(cause)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failed, failed
