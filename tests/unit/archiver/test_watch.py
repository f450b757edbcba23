# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of metrics, in a directory that others may write to."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.settings import Settings
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.watch import Watch
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)

NAME = "pgsftp_archiver_demo.prom"


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "metrics"
    made.mkdir(mode=0o777)
    return made


@pytest.fixture
def look(directory, tmp_path):
    """Have the metrics written."""
    own = Options(command="archiver", stanza="demo", archiver_metrics_path=str(directory))
    options = Options(command="archive-push", stanza="demo", pgs=(PgOptions(str(tmp_path)),))
    watch = Watch(Settings(own, options, options, Settings.of_files(own)), [], 0.0)

    def once():
        watch.look(0.0)
        return directory / NAME

    return once


def test_everybody_may_read_the_metrics_whatever_the_mask_is(look):
    mask = os.umask(0o077)
    try:
        file = look()
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o644
    assert "pgsftp_archiver_" in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == [NAME]


@pytest.mark.parametrize("name", [NAME, f"{NAME}.tmp"])
@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_link_that_somebody_has_planted_is_replaced_and_not_followed(
    look, directory, tmp_path, name, kind
):
    precious = tmp_path / "precious"
    precious.write_text("of the archiver's user")
    precious.chmod(0o600)
    if kind == "symbolic":
        (directory / name).symlink_to(precious)
    else:
        os.link(precious, directory / name)
    file = look()
    assert not file.is_symlink()
    assert "pgsftp_archiver_" in file.read_text()
    assert precious.read_text() == "of the archiver's user"
    assert precious.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_replaced_is_told(look, directory, caplog):
    (directory / f"{NAME}.tmp").mkdir()
    with caplog.at_level("WARNING"):
        assert not look().exists()
    assert f"unable to write '{directory / NAME}'" in caplog.text
