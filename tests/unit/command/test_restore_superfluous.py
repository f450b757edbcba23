# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What --delta and --force remove from a directory."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    superfluous,
)
from ansible_collections.pgsftp.backup.tests.support.vanishing import vanish

KNOWN = superfluous.Known(
    files={"/s/a", "/s/d/b", "/s/f"},
    directories={"/s", "/s/d", "/s/l"},
    links={"/s/l": "x", "/s/f": "y"},
)


@pytest.fixture
def removed(tmp_path):
    """Paths below the directory, in the order in which they are to go."""
    root = str(tmp_path)
    return lambda: [path[len(root) + 1 :] for path in superfluous.superfluous(root, "/s", KNOWN)]


def test_what_the_backup_has_stays(tmp_path, removed):
    (tmp_path / "d").mkdir()
    for name in ("a", "d/b"):
        (tmp_path / name).touch()
    for name, text in KNOWN.links.items():
        (tmp_path / name[3:]).symlink_to(text)
    assert removed() == []


def test_all_else_goes_and_content_before_its_directory(tmp_path, removed):
    for name in ("d/e", "new/deep"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("c", "d/e/x", "new/deep/y"):
        (tmp_path / name).touch()
    assert removed() == ["c", "d/e/x", "d/e", "new/deep/y", "new/deep", "new"]


def test_what_is_of_another_kind_goes(tmp_path, removed):
    (tmp_path / "a").mkdir()
    (tmp_path / "d").symlink_to("elsewhere")
    (tmp_path / "f").touch()
    (tmp_path / "l").mkdir()
    (tmp_path / "l/z").touch()
    assert removed() == ["a", "d", "f", "l/z", "l"]


def test_what_a_link_leads_to_stays(tmp_path, removed):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "precious").touch()
    (tmp_path / "new/deep").mkdir(parents=True)
    for link in ("link", "new/link", "new/deep/link"):
        (tmp_path / link).symlink_to(outside)
    assert removed() == ["link", "new/deep/link", "new/deep", "new/link", "new"]


def test_a_link_that_leads_elsewhere_goes(tmp_path, removed):
    (tmp_path / "l").symlink_to("y")
    assert removed() == ["l"]


def test_what_a_server_removes_meanwhile_is_no_error(tmp_path, removed, monkeypatch):
    for name in ("d/e", "new"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "d/x").touch()
    (tmp_path / "l").symlink_to("x")
    vanish(monkeypatch, tmp_path)
    assert "d/x" not in removed()


def test_a_root_that_is_not_there_is_one(tmp_path, removed):
    tmp_path.rmdir()
    with pytest.raises(FileNotFoundError):
        removed()
