# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a node, and what a path may be."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.node import (
    LocalNode,
    relative,
)


@pytest.fixture
def node(tmp_path):
    return LocalNode(PgOptions(path=str(tmp_path)), Options("backup"))


def test_a_file_from_beginning_to_end(node, tmp_path):
    (tmp_path / "x").write_bytes(b"0123456789")
    with node.open_file("x") as file:
        assert file.read(4) == b"0123"
        assert file.pread(8, 10) == b"89"
        assert file.read(4) == b"4567"
        assert file.read(4) == b"89"
        assert file.read(4) == b""
        file.seek(2)
        assert file.read(2) == b"23"
    file.close()  # twice is harmless


def test_what_is_not_there(node, tmp_path):
    with pytest.raises(FileNotFoundError):
        node.open_file("x")
    (tmp_path / "x").mkdir()
    with pytest.raises(errors.FileReadError), node.open_file("x") as file:
        file.read(1)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(errors.FileOpenError):
        node.open_file("loop")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/..", "x\0y"])
def test_a_path_stays_below_the_data_directory(path):
    with pytest.raises(errors.DbMismatchError, match="is not a path below the data directory"):
        relative(path)


def test_a_path_that_does():
    for path in ("x", "a/b", "a..b/..c", "pg_tblspc/16384/PG_15_1/5/1"):
        assert relative(path) == path


def test_without_a_server(node):
    with pytest.raises(errors.AssertError, match="pg1 is not connected"):
        node.db  # noqa: B018
    node.close()
