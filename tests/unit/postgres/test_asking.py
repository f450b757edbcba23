# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failure of archive-get tells the server that asked."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.asking import (
    Asker,
    asker,
    failure_code,
)


@pytest.mark.parametrize(
    ("names", "who", "code"),
    [
        ((), Asker.OTHER, 49),
        (("recovery.signal",), Asker.RECOVERY, 200),
        (("standby.signal",), Asker.STANDBY, 49),
        (("standby.signal", "recovery.signal"), Asker.STANDBY, 49),
    ],
)
def test_who_asks_and_what_a_failure_means_there(tmp_path, names, who, code):
    for name in names:
        (tmp_path / name).write_text("")
    assert asker(str(tmp_path)) is who
    assert failure_code(str(tmp_path), 49) == code
