# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""annotate and manifest: what is noted of one backup, and what it holds."""

from __future__ import annotations

import json

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import annotate, manifest

# annotate


def test_annotations_are_added_changed_and_removed(place_of):
    place = place_of("b")
    before = dict(
        annotate.run(
            place.options("annotate", "--annotation=x=1", f"--set={place.labels[0]}")
        ).annotation
    )
    assert before["x"] == "1"
    assert len(before) == 3
    result = annotate.run(
        place.options(
            "annotate", "--annotation=x=", "--annotation=y=a = b", f"--set={place.labels[0]}"
        )
    )
    assert result.changed
    assert "x" not in result.annotation
    assert result.annotation["y"] == "a = b"
    (row,) = [
        row
        for row in json.loads(place.peer("info", "--output=json"))[0]["backup"]
        if row["label"] == place.labels[0]
    ]
    assert row["annotation"] == dict(result.annotation)


def test_what_does_not_change_is_not_written(place_of):
    place = place_of("a")
    path = place.repository.path / "backup" / "demo" / "backup.info"
    before = path.stat().st_ino
    result = annotate.run(
        place.options("annotate", "--annotation=none=", f"--set={place.labels[0]}")
    )
    assert not result.changed
    assert path.stat().st_ino == before


def test_a_backup_to_annotate_that_is_not_there(place_of):
    place = place_of("a")
    with pytest.raises(errors.BackupSetInvalidError, match="no backup set to annotate found"):
        annotate.run(place.options("annotate", "--annotation=a=b", "--set=20200101-000000F"))
    with pytest.raises(errors.OptionInvalidValueError, match="not a valid backup label"):
        annotate.run(place.options("annotate", "--annotation=a=b", "--set=newest"))


# manifest


def test_a_backup_and_the_way_to_one_file(place_of):
    place = place_of("d")
    result = manifest.run(place.options("manifest"))
    assert result.content["label"] == place.labels[-1]
    assert len(result.content["fileList"]) > 900
    name = "pg_data/base/5/16385"
    result = manifest.run(place.options("manifest", f"--filter={name}"))
    (row,) = result.content["fileList"]
    assert row["block"]["map"]["delta"] == [
        {
            "reference": 0,
            "read": {"total": 1, "size": 1315139},
            "superBlock": {"total": 11, "size": 11534336},
            "block": {"total": 638},
        },
        {
            "reference": 3,
            "read": {"total": 1, "size": 9447},
            "superBlock": {"total": 1, "size": 81920},
            "block": {"total": 5},
        },
    ]
    # As 2.55 writes it; 2.60 rounds sizes in another way.
    assert result.text.endswith(
        "file list:\n"
        "  - pg_data/base/5/16385\n"
        "      size: 10MB, repo 13KB\n"
        "      checksum: 9e2e168625e85b45f0e88360c620e66ac8f02b79\n"
        "      block: size 16KB, map size 3.8KB, checksum size 6B\n"
        "      block delta:\n"
        "        reference: 20261122-113214F/pg_data/base/5/16385.pgbi, read: 1/1.3MB, "
        "superBlock: 11/11MB, block: 638/10MB\n"
        "        reference: 20261122-113214F_20261122-113221I/pg_data/base/5/16385.pgbi, "
        "read: 1/9.2KB, superBlock: 1/80KB, block: 5/80KB\n"
        "        total read: 2/1.3MB, superBlock: 12/11.1MB, block: 643/10MB\n"
    )


def test_what_one_backup_holds(place_of):
    place = place_of("a")
    result = manifest.run(place.options("manifest", "--reference=latest", "--output=json"))
    files = json.loads(result.text)["fileList"]
    assert files
    assert all("reference" not in row for row in files)


def test_backups_and_files_that_are_not_there(place_of):
    place = place_of("a")
    with pytest.raises(errors.BackupSetInvalidError):
        manifest.run(place.options("manifest", "--set=20200101-000000F"))
    with pytest.raises(errors.OptionInvalidValueError, match="no file 'pg_data/none'"):
        manifest.run(place.options("manifest", "--filter=pg_data/none"))
