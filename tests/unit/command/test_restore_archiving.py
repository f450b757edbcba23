# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is restored archives, by where it is restored to and who says so."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import run
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import contents

LABEL = "20260101-000000F"


def backup_of(path):
    return contents.Manifest(
        backup=contents.BackupFacts(LABEL, "full", 1, 2, 3, (LABEL,)),
        db=contents.ManifestDb(1, 2, "15", 3, 4),
        options=contents.ManifestOptions(compress_type="none"),
        targets=[contents.Target("pg_data", "path", path)],
        files=[],
        paths=[],
        links=[],
    )


def mode_after(tmp_path, original, *arguments, configured=("pg1-path=/pg/main",), variables=None):
    conf = tmp_path / "pgbackrest.conf"
    conf.write_text("\n".join(["[demo]", *configured]) + "\n")
    options = load(
        "restore",
        [f"--config={conf}", "--stanza=demo", "--repo1-path=/repo", *arguments],
        variables or {},
    )
    return run.archiving(options, backup_of(original)).archive_mode


@pytest.mark.parametrize("original", ["/pg/main", "/pg/main/"])
def test_the_cluster_itself_archives(tmp_path, original):
    assert mode_after(tmp_path, original) == "preserve"
    assert mode_after(tmp_path, original, "--pg1-path=/pg/main") == "preserve"


@pytest.mark.parametrize(
    "given",
    [
        {"configured": ("pg1-path=/pg/copy",)},
        {"configured": (), "variables": {"PGBACKREST_PG1_PATH": "/pg/copy"}},
        {"variables": {"PGBACKREST_PG1_PATH": "/pg/copy"}},
    ],
    ids=["configuration", "environment", "environment-first"],
)
def test_another_directory_is_a_copy_whoever_names_it(tmp_path, given):
    assert mode_after(tmp_path, "/pg/main", **given) == "off"
    assert mode_after(tmp_path, "/pg/main", "--archive-mode=preserve", **given) == "preserve"
    assert mode_after(tmp_path, "/pg/main", "--type=standby", **given) == "preserve"


def test_another_directory_on_the_command_line_is_a_copy(tmp_path):
    assert mode_after(tmp_path, "/pg/main", "--pg1-path=/pg/copy") == "off"


def test_the_directory_of_another_host_of_the_cluster_is_no_copy(tmp_path):
    """It was backed up while that host was the primary."""
    both = ("pg1-path=/pg/one", "pg2-path=/pg/two", "pg2-host=pg2-srv")
    assert mode_after(tmp_path, "/pg/two", configured=both) == "preserve"
    assert mode_after(tmp_path, "/pg/three", configured=both) == "off"
    assert mode_after(tmp_path, "/pg/two", "--pg1-path=/pg/copy", configured=both) == "off"


def test_a_mode_that_is_taken_back_is_not_set(tmp_path):
    copy = ("pg1-path=/pg/copy", "archive-mode=preserve")
    assert mode_after(tmp_path, "/pg/main", configured=copy) == "preserve"
    assert mode_after(tmp_path, "/pg/main", "--reset-archive-mode", configured=copy) == "off"
