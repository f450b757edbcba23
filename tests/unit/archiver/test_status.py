# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archiver says of itself, in its three forms."""

from __future__ import annotations

import json
import re

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import status

GOOD = status.RepositoryStatus(1, True, 2, 0, 0, 0.0, None, 1.5e6, 7, 12345678901234, None, 1.7e9)
BAD = status.RepositoryStatus(
    2, False, 0, 3, 50331648, 61.4, "000000010000000000000001", 0.0, 0, 0,
    status.LastError("unable to connect\nHINT: is it up?", 49, 1.7e9),
)  # fmt: skip
STATUS = status.Status("demo", 42, 1.6e9, (GOOD, BAD))


def test_it_survives_json():
    assert status.from_dict(json.loads(json.dumps(status.as_dict(STATUS)))) == STATUS


def test_the_text_names_what_is_behind_and_why():
    text = status.text(STATUS)
    assert "    repo1: ok, 2 sessions\n        behind: nothing\n" in text
    assert "sent: 7 files, 12345678901234 bytes, 1.5 MB/s in the last minute" in text
    assert re.search(r"last stored: 2023-11-1\d \d\d:\d\d:20\n", text)
    assert text.count("last stored") == 1
    assert "    repo2: not reachable, 0 sessions\n" in text
    assert "behind: 3 files, 50331648 bytes, 61 s (oldest 000000010000000000000001)" in text
    assert "[049]\n            unable to connect\n            HINT: is it up?\n" in text


HELP = re.compile(r"# HELP (?P<name>[a-z_]+) [A-Z][^\n\\]*\.")
TYPE = re.compile(r"# TYPE (?P<name>[a-z_]+) (?P<kind>counter|gauge)")
SAMPLE = re.compile(r"(?P<name>[a-z_]+)\{(?P<labels>[^{}]*)\} (?P<value>[0-9]+(\.[0-9]+)?)")
LABEL = re.compile(r'(?P<name>[a-z_]+)="(?P<value>(?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')


def parsed(text):
    """The samples by name and labels; fails for what the text format or its conventions forbid."""
    assert text.endswith("\n")
    found, lines = {}, text[:-1].split("\n")
    families = []
    while lines:
        name = HELP.fullmatch(lines.pop(0))["name"]
        assert name not in families, f"{name} is there twice"
        families.append(name)
        kind = TYPE.fullmatch(lines.pop(0))
        assert kind["name"] == name
        assert name.startswith("pgsftp_archiver_")
        assert (kind["kind"] == "counter") == name.endswith("_total"), name
        before = len(found)
        while lines and not lines[0].startswith("#"):
            sample = SAMPLE.fullmatch(lines.pop(0))
            assert sample["name"] == name
            labels = {row["name"]: row["value"] for row in LABEL.finditer(sample["labels"])}
            assert LABEL.sub("", sample["labels"]) == ""
            key = (name.partition("pgsftp_archiver_")[2], labels["stanza"], labels.get("repo"))
            assert key not in found
            found[key] = sample["value"]
        assert len(found) > before, f"{name} has no sample"
    return found


def test_metrics_are_what_the_status_says_with_every_digit():
    found = parsed(status.metrics(STATUS, 1.8e9 + 0.25))
    assert found["up", "demo", "1"] == "1"
    assert found["up", "demo", "2"] == "0"
    assert found["lag_seconds", "demo", "2"] == "61.400"
    assert found["bytes_total", "demo", "1"] == "12345678901234"
    assert found["last_error_timestamp_seconds", "demo", "2"] == "1700000000"
    assert found["last_error_timestamp_seconds", "demo", "1"] == "0"
    assert found["last_success_timestamp_seconds", "demo", "1"] == "1700000000"
    assert found["last_success_timestamp_seconds", "demo", "2"] == "0"
    assert found["start_time_seconds", "demo", None] == "1600000000"
    assert found["last_update_timestamp_seconds", "demo", None] == "1800000000.250"


def test_a_stanza_s_name_is_quoted():
    text = status.metrics(STATUS._replace(stanza='a"b\\c\n'), 0.0)
    assert ("up", 'a\\"b\\\\c\\n', "1") in parsed(text)


def test_what_was_fetched_is_told_where_something_was():
    fed = STATUS._replace(fetched=status.FetchStatus(12, 201326592, 7, 2))
    assert status.from_dict(json.loads(json.dumps(status.as_dict(fed)))) == fed
    line = "fetched for recovery: 12 files, 201326592 bytes, 7 files ahead"
    assert line in status.text(fed)
    assert "fetched" not in status.text(STATUS)
    assert 'pgsftp_archiver_fetched_files_total{stanza="demo"} 12' in status.metrics(fed, 0.0)
