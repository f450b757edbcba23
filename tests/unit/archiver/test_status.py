# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archiver says of itself, in its three forms."""

from __future__ import annotations

import json

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import status

GOOD = status.RepositoryStatus(1, True, 2, 0, 0, 0.0, None, 1.5e6, 7, 117440512, None)
BAD = status.RepositoryStatus(
    2, False, 0, 3, 50331648, 61.4, "000000010000000000000001", 0.0, 0, 0,
    status.LastError("unable to connect\nHINT: is it up?", 49, 1.7e9),
)  # fmt: skip
STATUS = status.Status("demo", 42, 1.6e9, (GOOD, BAD))


def test_it_survives_json():
    assert status.from_dict(json.loads(json.dumps(status.as_dict(STATUS)))) == STATUS


def test_the_text_names_what_is_behind_and_why():
    text = status.text(STATUS, 1.7e9)
    assert "    repo1: ok, 2 sessions\n        behind: nothing\n" in text
    assert "sent: 7 files, 117440512 bytes, 1.5 MB/s in the last minute" in text
    assert "    repo2: not reachable, 0 sessions\n" in text
    assert "behind: 3 files, 50331648 bytes, 61 s (oldest 000000010000000000000001)" in text
    assert "[049]\n            unable to connect\n            HINT: is it up?\n" in text


def test_metrics_have_help_type_and_labels():
    lines = status.metrics(STATUS).splitlines()
    assert lines[:4] == [
        "# HELP pgsftp_archiver_up Whether the repository is reachable.",
        "# TYPE pgsftp_archiver_up gauge",
        'pgsftp_archiver_up{stanza="demo",repo="1"} 1',
        'pgsftp_archiver_up{stanza="demo",repo="2"} 0',
    ]
    assert 'pgsftp_archiver_lag_seconds{stanza="demo",repo="2"} 61.4' in lines
    assert 'pgsftp_archiver_bytes_total{stanza="demo",repo="1"} 117440512' in lines
    assert 'pgsftp_archiver_last_error_timestamp_seconds{stanza="demo",repo="2"} 1700000000' in (
        lines
    )


def test_what_was_fetched_is_told_where_something_was():
    fed = STATUS._replace(fetched=status.FetchStatus(12, 201326592, 7, 2))
    assert status.from_dict(json.loads(json.dumps(status.as_dict(fed)))) == fed
    line = "fetched for recovery: 12 files, 201326592 bytes, 7 files ahead"
    assert line in status.text(fed, 1.7e9)
    assert "fetched" not in status.text(STATUS, 1.7e9)
    assert 'pgsftp_archiver_fetched_files_total{stanza="demo"} 12' in status.metrics(fed)
