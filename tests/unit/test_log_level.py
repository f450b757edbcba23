# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that no handler wants cost nothing."""

from __future__ import annotations

import logging

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import log


class Handler(logging.Handler):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record.getMessage())


def test_a_line_that_nobody_wants_is_not_made(monkeypatch):
    monkeypatch.setattr(log._logger, "handlers", [logging.NullHandler()])
    made = []
    make = log._logger.makeRecord
    monkeypatch.setattr(
        log._logger, "makeRecord", lambda *row, **more: made.append(row[1]) or make(*row, **more)
    )
    terminal, file = log.attach(Handler(), "warn"), log.attach(Handler(), "info")
    try:
        log.detail("one of a million")
        log.info("once")
        log.detach(file)
        log.info("nobody wants it any more")
        log.warn("always")
    finally:
        log.detach(terminal)
    assert made == [logging.INFO, logging.WARNING]
    assert (terminal.records, file.records) == (["always"], ["once"])
