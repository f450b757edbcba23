# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbolic links that a backup refuses."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.links import LinkCheck


@pytest.fixture
def check():
    return LinkCheck("/pg/data/")


@pytest.mark.parametrize("path", ["/pg/data", "/pg/data/base", "/pg/x/../data/y", "/pg/data/"])
def test_into_the_data_directory(check, path):
    with pytest.raises(errors.LinkDestinationError, match="is in PGDATA"):
        check.add("/pg/data/log", path, None)


def test_what_is_fine(check):
    check.add("/pg/data/log", "/log", None)
    check.add("/pg/data/a", "/pg/data2", None)
    check.add("/pg/data/postgresql.conf", "/etc/pg", "postgresql.conf")
    check.add("/pg/data/pg_hba.conf", "/etc/pg", "pg_hba.conf")
    check.add("/pg/data/b", "/etc/pgx", None)


@pytest.mark.parametrize(
    ("path", "file", "message"),
    [
        ("/log", None, "same directory as link '/pg/data/log'"),
        ("/log/", None, "same directory"),
        ("/log", "x", "same directory"),
        ("/log/sub", None, "is a subdirectory of link '/pg/data/log'"),
        ("/", None, "link '/pg/data/log' .* is a subdirectory of link '/pg/data/new'"),
        ("/etc/pg", "postgresql.conf", "is the same file as link '/pg/data/postgresql.conf'"),
        ("/etc/pg", None, "same directory as link '/pg/data/postgresql.conf'"),
    ],
)
def test_where_another_link_leads(check, path, file, message):
    check.add("/pg/data/log", "/log", None)
    check.add("/pg/data/postgresql.conf", "/etc/pg", "postgresql.conf")
    with pytest.raises(errors.LinkDestinationError, match=message):
        check.add("/pg/data/new", path, file)


def test_a_chain(check, tmp_path):
    end, link = tmp_path / "end", tmp_path / "link"
    end.mkdir()
    link.symlink_to(end)
    check.refuse_chain("/pg/data/x", str(end))
    check.refuse_chain("/pg/data/x", str(tmp_path / "missing"))
    with pytest.raises(errors.LinkDestinationError, match="cannot reference another link"):
        check.refuse_chain("/pg/data/x", str(link) + "/")
