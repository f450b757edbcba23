# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a manifest that no file can have, whoever wrote them."""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import JsonFormatError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import (
    infofile,
    manifest_entries,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    Block,
    ManifestFile,
)

SHA1 = "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"
LINE = {"checksum": SHA1, "size": 8192, "timestamp": 1795347096}


def parse(**changes: t.Any) -> ManifestFile:
    values = {**LINE, **{key.replace("_", "-"): value for key, value in changes.items()}}
    return manifest_entries.FileParser().parse("pg_data/base/1/112", values)


@pytest.mark.parametrize(
    "changes",
    [
        *({key: value} for key in ("size", "repo_size", "bni", "bno")
          for value in (-1, "x", None, True, 1.5, [], 1 << 62, 10**30)),
        *({"timestamp": value} for value in ("x", None, 1.5, 10**30, -(10**30))),
        *({key: value} for key in ("checksum", "rck")
          for value in (5, [], "", "../../x", SHA1[1:], SHA1 + "0", '"' * 40)),
        *({"reference": value} for value in (5, ["a"], "", "../../etc", "20261122-110720F/")),
        *({"bi": value} for value in (0, -1, "x", None, True, 1 << 20, 10**30)),
        *({"bi": 1, "bic": value} for value in (0, -1, "x", 17, 1 << 30)),
        *({"bi": 1, "bim": value} for value in (-1, "x", 8193, 10**30)),
        # A map that its blocks do not fill.
        {"bi": 1, "bim": 8000},
        *({"mode": value} for value in ("", "-1", "0o17", "1_7", " 644", "77777777777777", "8", 7)),
        *({"user": value} for value in (5, True, [])),
        *({"checksum_page": value} for value in (5, "x", [])),
        *({"checksum_page_error": value} for value in (5, ["a"], [[1]], [[1, "a"]], [-1], [True])),
        *({"szo": value} for value in ("x", -1, 10**30)),
    ],
)  # fmt: skip
def test_what_no_file_has(changes: dict[str, t.Any]) -> None:
    with pytest.raises(JsonFormatError, match="pg_data/base/1/112'"):
        parse(**changes)


def test_what_files_may_have() -> None:
    parsed = parse(
        size=704512,
        bi=4,
        bic=16,
        bim=168,
        bni=3,
        bno=2293764,
        mode="4755",
        repo_size=79430,
        timestamp=-5,
    )
    assert parsed.block == Block(32768, 16, 168)
    assert (parsed.mode, parsed.timestamp, parsed.bundle_offset) == (0o4755, -5, 2293764)
    assert parse(size=0, checksum=None).checksum == manifest_entries.EMPTY_SHA1


def test_blocks_without_a_map_are_of_a_file_that_is_stored_whole() -> None:
    """As 2.55 writes it when ``repo-block`` is switched off for a backup that builds on others."""
    assert parse(bi=1, repo_size=8200).block is None
    assert parse(bi=1, bic=7, bim=0).block is None


@pytest.mark.parametrize("oid", ["²", "x", "", "0", "05", "-1", "1" * 5000])
def test_a_tablespace_has_an_oid(oid: str) -> None:
    value = {"path": "/x", "type": "link", "tablespace-id": oid, "tablespace-name": "ts"}
    with pytest.raises(JsonFormatError, match="invalid tablespace-id"):
        manifest_entries.target("pg_tblspc/5", value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        *("bi", "bic", "bim", "bni", "bno", "repo-size", "size", "szo", "timestamp"),
        *("checksum", "checksum-page", "checksum-page-error", "rck", "reference"),
        *("group", "mode", "user"),
    ]
)


@given(st.dictionaries(KEYS, JSON, max_size=4) | JSON)
def test_any_json_is_an_entry_or_refused(changes: t.Any) -> None:
    """Nothing but the error that lets the twin be asked comes out, and what does can be used."""
    values = {**LINE, **changes} if isinstance(changes, dict) else changes
    with contextlib.suppress(JsonFormatError):
        parsed = manifest_entries.FileParser().parse("pg_data/base/1/112", values)
        assert min(parsed.size, parsed.repo_size, parsed.bundle_id, parsed.bundle_offset) >= 0
        assert infofile.dump([parsed.checksum, parsed.repo_checksum, parsed.page_errors])
        if parsed.block is not None:
            assert parsed.block.map_size <= parsed.repo_size


@pytest.mark.parametrize("timestamp", [(1 << 62) - 1, 1 - (1 << 62)])
def test_the_outmost_times_can_be_given_to_a_file(tmp_path: Path, timestamp: int) -> None:
    path = tmp_path / "file"
    path.touch()
    mtime = parse(timestamp=timestamp).timestamp
    os.utime(path, (mtime, mtime))
