# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore takes for its target, before it looks at anything."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import run
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options


def aim(kind, **given):
    return run.aim_of(Options("restore", type=kind, **given), kind)


def test_it_is_written_without_the_blanks_around_it():
    assert aim("time", target=" 2026-11-22 12:00:00+00\n").text == "2026-11-22 12:00:00+00"


@pytest.mark.parametrize("target", ["x\ny", "x\r", "x\0", "\x1b[1m"])
def test_what_would_keep_the_server_from_starting(target):
    with pytest.raises(errors.OptionInvalidValueError, match="'target' option"):
        aim("name", target=target)


@pytest.mark.parametrize("timeline", ["2\n", " 2", "latest\n", "2\n3", "0x", "-1", ""])
def test_a_timeline_is_a_number_or_a_word(timeline):
    with pytest.raises(errors.OptionInvalidValueError, match="'target-timeline' option"):
        aim("default", target_timeline=timeline)
