# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WAL of repositories that stock pgBackRest wrote, whole and with a segment taken out."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import wal_line
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.tests.support.fixtures import NAMES, full_name


def read(path, cipher_pass, tmp_path):
    config = tmp_path / "pgbackrest.conf"
    lines = ["[global]", f"repo1-path={path}", f"lock-path={tmp_path}/lock"]
    if cipher_pass is not None:
        lines += ["repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={cipher_pass}"]
    config.write_text("\n".join([*lines, "[demo]", f"pg1-path={tmp_path}/data", ""]))
    return wal_line.run(load.load("info", [f"--config={config}", "--stanza=demo"], {}))


@pytest.mark.parametrize("name", NAMES)
def test_it_agrees_with_what_the_real_tool_says(fixture_repositories, tmp_path, name):
    repository = fixture_repositories[name]
    (info,) = repository.expected["info"]
    (line,) = read(repository.path, repository.cipher_pass, tmp_path)
    (archive,) = info["archive"]
    assert line.archive_id == archive["id"]
    assert (line.spans[0].first, line.spans[-1].last) == (archive["min"], archive["max"])
    assert not line.gaps
    assert {row.label: row.last for row in line.windows} == {
        row["label"]: archive["max"] for row in info["backup"]
    }
    assert line.as_dict()["spans"][0]["segments"] == line.spans[0].segments > 1


def test_a_lost_segment_is_a_gap_and_ends_the_windows_before_it(fixture_repositories, tmp_path):
    repository = fixture_repositories[full_name("d")]
    copy = repository.copy_to(tmp_path / "repository")
    lost = "000000010000000000000025"
    (path,) = copy.path.glob(f"archive/demo/15-1/*/{lost}-*")
    path.unlink()
    (line,) = read(copy.path, None, tmp_path)
    ((first, last, count, reason, start, stop),) = line.gaps
    assert (first, last, count, reason) == (lost, lost, 1, None)
    assert start <= stop
    ends = [row.last[-2:] for row in sorted(line.windows)]
    assert ends == ["24", "24", "24", "28"]


def test_a_repository_that_is_not_there_is_passed_over(tmp_path, caplog):
    assert read(tmp_path / "nowhere", None, tmp_path) == []
