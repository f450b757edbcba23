# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen to the data directory that is there, and to its files."""

from __future__ import annotations

import types

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import reuse
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.copy import Keep
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.reuse import (
    Reuse,
    reuse_of,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (None, Reuse(False, True, empty=True)),
        ([], Reuse(False, True, empty=True)),
        (["letters"], Reuse(False, False)),
        (["PG_VERSION"], Reuse(True, True)),
        (["backup.manifest"], Reuse(True, True)),
    ],
)
def test_what_delta_and_force_may_do(tmp_path, found, left):
    data = tmp_path / "data"
    if found is not None:
        data.mkdir()
    for name in found or ():
        (data / name).touch()
    options = Options("restore", stanza="demo", delta=True, force=True)
    assert reuse_of(options, str(data)) == left


@pytest.mark.parametrize(
    ("delta", "force", "found", "kept"),
    [
        (False, False, 6, Keep.NONE),
        (False, True, 6, Keep.NONE),
        (True, False, 6, Keep.SAME_CHECKSUM),
        (True, True, 6, Keep.SAME_SIZE_AND_TIME),
        # It has files of the same names and sizes, and some of the same second.
        (True, True, 7, Keep.SAME_CHECKSUM),
        # As when a restore over it has been interrupted.
        (True, True, None, Keep.SAME_CHECKSUM),
    ],
)
def test_which_files_are_kept(monkeypatch, delta, force, found, kept):
    """Size and time are enough only for the files of the cluster itself."""

    def load(_path):
        if found is None:
            raise errors.FileMissingError("there is none")
        return types.SimpleNamespace(system_id=found)

    monkeypatch.setattr(reuse.control, "load", load)
    backup = types.SimpleNamespace(db=types.SimpleNamespace(system_id=6))
    assert Reuse(delta, force).keep("/data", backup) is kept
    assert Reuse(delta, force).anew is (kept is Keep.NONE)


def test_a_link_that_leads_nowhere(tmp_path):
    """The file system is not mounted, perhaps."""
    (tmp_path / "data").symlink_to(tmp_path / "mount/data")
    with pytest.raises(errors.PathMissingError, match=r"a link to '.*/mount/data'") as caught:
        reuse.refuse_early(str(tmp_path / "data"), Reuse(False, False), "default")
    assert "mounted" in caught.value.hint
    (tmp_path / "mount/data").mkdir(parents=True)
    reuse.refuse_early(str(tmp_path / "data"), Reuse(False, False), "default")


def test_a_data_directory_without_one_above_it(tmp_path):
    with pytest.raises(errors.PathMissingError, match="/none' does not exist"):
        reuse.refuse_early(str(tmp_path / "none/data"), Reuse(False, False), "default")
