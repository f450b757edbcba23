# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command ends: by itself, by an error, by a signal."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors, runner
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.commands import COMMANDS
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options

OPTIONS = Options("info", neutral_umask=False)


def perform(work):
    return runner.perform(COMMANDS["info"], OPTIONS, work)


def test_the_result():
    assert perform(lambda options: options.command) == "info"


def test_a_mistake_of_ours_says_where_it_is():
    def work(_options):
        raise KeyError("x")

    with pytest.raises(errors.AssertError, match=r"unexpected KeyError in test_runner.py:\d+"):
        perform(work)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("passed_over", [errors.EngineError, Exception])
def test_a_signal_is_no_error_that_work_gets_over(number, passed_over):
    """It may come where an error of one repository, or of a clean-up, does not matter."""
    cleaned = []

    def work(_options):
        try:
            with contextlib.suppress(passed_over):
                os.kill(os.getpid(), number)
                time.sleep(10)
        finally:
            cleaned.append(signal.getsignal(number))
        return "done all the same"

    before = signal.getsignal(number)
    with pytest.raises(errors.TermError, match=f"terminated on signal .{number.name}."):
        perform(work)
    # What is cleaned up then is not interrupted.
    assert cleaned == [signal.SIG_IGN]
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert perform(lambda _options: os.kill(os.getpid(), signal.SIGHUP)) is None
    finally:
        signal.signal(signal.SIGHUP, before)
