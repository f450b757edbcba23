# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from a survey, and when it ends a check."""

from __future__ import annotations

import dataclasses
import json
import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import preflight
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.survey import (
    NEEDED,
    Survey,
    Trial,
)

NAMES = (*NEEDED, "exclusive create", "fsync", "rename over", "symlink", "statvfs", "limits")
SURVEY = Survey(
    "OpenSSH_9.2p1",
    "aes128-gcm@openssh.com",
    ("fsync@openssh.com",),
    tuple(Trial(name, True) for name in NAMES),
    0.0004,
    80e6,
    120e6,
    50 * 1024**3,
    1019,
    261120,
)


def without(*names):
    return SURVEY._replace(
        trials=tuple(
            Trial(row.name, False, "refused with status 4 Failure") if row.name in names else row
            for row in SURVEY.trials
        )
    )


def backups(*sizes):
    rows = {
        str(number): types.SimpleNamespace(prior=None, repo_size=size)
        for number, size in enumerate(sizes)
    }
    return types.SimpleNamespace(backups=rows)


@dataclasses.dataclass
class FakeStorage:
    found: Survey | None
    location: str = "sftp-srv:/backup_space"

    def survey(self, scratch):
        assert scratch.startswith(".pgsftp-check-")
        return self.found


def test_a_good_server_nearby_gives_nothing_to_say():
    assert preflight.consequences(SURVEY, backups()) == ()


def test_distance_says_what_one_session_can_do():
    (text,) = preflight.consequences(SURVEY._replace(round_trip=0.1), backups())
    assert "at 100 ms" in text and "20MB/s" in text and "process-max" in text


@pytest.mark.parametrize(
    "name, word",
    [
        ("rename over", "removed before"),
        ("fsync", "durable"),
        ("statvfs", "free space"),
        ("symlink", "links"),
        ("exclusive create", "nothing here depends"),
    ],
)
def test_what_follows_from_an_ability_that_is_missing(name, word):
    (text,) = preflight.consequences(without(name), backups())
    assert word in text


def test_space_is_compared_with_the_last_full_backup():
    (text,) = preflight.consequences(SURVEY, backups(1, 20 * 1024**3))
    assert "space for 2 more" in text
    (text,) = preflight.consequences(SURVEY, backups(60 * 1024**3))
    assert "may not fit" in text


def test_space_is_not_compared_where_there_is_no_backup():
    assert preflight.consequences(SURVEY, None) == ()


@pytest.mark.parametrize(
    "kind", [errors.StorageAccessError, errors.StorageFullError, errors.StorageLimitError]
)
def test_the_class_of_a_refusal_and_its_hint_are_kept(kind):
    refused = Trial("write", False, "", kind("write: no (7 bytes free)", hint="why it is so."))
    survey = SURVEY._replace(trials=(refused, *SURVEY.trials[1:]))
    with pytest.raises(kind) as raised:
        preflight.run(FakeStorage(survey), 1, None)
    assert raised.value.message == (
        "sftp-srv:/backup_space cannot serve as a repository: write: no (7 bytes free)"
    )
    assert raised.value.hint == "why it is so."


@pytest.mark.parametrize("name", NEEDED)
def test_a_server_that_cannot_serve_fails_the_check(name):
    with pytest.raises(errors.StorageError, match=f"cannot serve as a repository: {name}: refused"):
        preflight.run(FakeStorage(without(name)), 1, backups())


def test_what_can_be_done_without_does_not_fail():
    optional = set(NAMES) - set(NEEDED)
    found = preflight.run(FakeStorage(without(*optional)), 1, backups())
    assert len(found.consequences) == 5


def test_no_server_no_preflight():
    assert preflight.run(FakeStorage(None), 1, backups()) is None


def test_the_table():
    text = preflight.render(1, preflight.run(FakeStorage(without("fsync")), 1, backups()))
    lines = text.splitlines()
    assert lines[0] == "repo1: sftp-srv:/backup_space (OpenSSH_9.2p1, aes128-gcm@openssh.com)"
    assert "    create            yes" in lines
    assert "    fsync             no          refused with status 4 Failure" in lines
    assert "    round trip        0.4 ms" in lines
    assert any(line.startswith("    free space        50GB") for line in lines)
    assert lines[-1].startswith("    * the server decides")


def test_the_data_is_json():
    found = preflight.run(FakeStorage(SURVEY), 1, backups())
    data = json.loads(json.dumps(found.as_dict()))
    assert data["trials"][0] == {"name": NEEDED[0], "works": True, "detail": ""}
    assert data["extensions"] == ["fsync@openssh.com"]
    assert data["consequences"] == []
