# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories of somebody who means harm, or whose tools are broken: checksums and all are right.

Whatever stands in them, commands end, say what is wrong, and touch nothing that is not theirs: a
restore refuses what cannot be restored while the directory is as it was.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    run as restore,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import infofile

FILE = "pg_data/base/1/112"
SHA1 = "f56975ecb9d89a2211031550df91f4de2efe67b0"


class Place:
    """A repository that may be changed, and a directory in which a cluster lies already."""

    def __init__(self, repository, tmp_path: Path):
        self.repository = repository
        self.stanza = repository.path / "backup/demo"
        self.label = repository.labels[0]
        self.outside = tmp_path / "outside"
        self.data = tmp_path / "place/data"
        self.config = tmp_path / "pgbackrest.conf"
        self.config.write_text(
            f"[global]\nrepo1-path={repository.path}\nlock-path={tmp_path}/lock\n"
            f"spool-path={tmp_path}/spool\nlog-path={tmp_path}\n"
            f"[demo]\npg1-path={self.data}\n"
        )
        for directory in (self.outside, self.data / "base"):
            directory.mkdir(parents=True, mode=0o700)
        (self.outside / "precious").write_text("precious")
        (self.data / "PG_VERSION").write_text("15\n")
        (self.data / "base/old").write_text("old")

    def options(self, command, *arguments):
        given = [f"--config={self.config}", "--stanza=demo", *arguments]
        return load.load(command, given, {})

    def change(self, name, old, new):
        """Replace what matches once, and put the checksum right, in the file and in its copy."""
        for path in (self.stanza / name, self.stanza / f"{name}.copy"):
            text, count = re.subn(old, lambda _match: new, path.read_text(), count=1)
            assert count == 1
            path.write_text(sealed(text))

    def change_manifest(self, old, new):
        self.change(f"{self.label}/backup.manifest", old, new)

    def restore(self, *arguments):
        found = self.options("restore", "--type=none", f"--set={self.label}", *arguments)
        return restore.run(found)

    def untouched(self):
        below = {path.name: path.stat().st_mode for path in self.outside.rglob("*")}
        assert list(below) == ["precious"]
        assert self.outside.stat().st_mode & 0o777 == 0o700
        assert sorted(path.name for path in self.data.rglob("*")) == ["PG_VERSION", "base", "old"]

    def refuses_restore(self):
        """With --delta, which removes what the backup does not have."""
        with pytest.raises(errors.EngineError) as caught:
            self.restore("--delta")
        assert not isinstance(caught.value, errors.AssertError)
        self.untouched()
        return caught.value


def sealed(text):
    """The text with the checksum that it should have."""
    body = text[: text.rindex("\n[backrest]\nbackrest-checksum")]
    sections = []
    for line in body.split("\n"):
        if line.startswith("["):
            sections.append((line[1:-1], []))
        elif line:
            key, _value = infofile.split_line(line)
            sections[-1][1].append((key, line[len(key) + 1 :]))
    head = dict(sections[0][1])
    return "".join(infofile.render_lines(sections[1:], json.loads(head["backrest-version"])))


@pytest.fixture
def place(fixture_repositories, tmp_path):
    """The plain one of the real repositories, and what a restore of it may not touch."""
    return Place(fixture_repositories["a"].copy_to(tmp_path), tmp_path)


def test_the_repository_itself_is_fine(place):
    place.change_manifest("zzz|$", "")
    place.restore("--delta")
    assert not (place.data / "base/old").exists()
    assert verify.run(place.options("verify")).ok


def entry(**changes):
    values = {"checksum": SHA1, "size": 8192, "timestamp": 1795347096, **changes}
    return json.dumps(values, separators=(",", ":"), sort_keys=True)


BAD_FILES = [
    (FILE, {"size": -5}), (FILE, {"size": 10**30}), (FILE, {"timestamp": 10**30}),
    (FILE, {"reference": ["a"]}), (FILE, {"reference": "../../../etc"}), (FILE, {"repo-size": "x"}),
    (FILE, {"bi": 1, "bim": "x"}), (FILE, {"bi": 1, "bic": 0}), (FILE, {"mode": "77777777777777"}),
    (FILE, {"bni": 1, "bno": -9000}), (FILE, {"checksum": None}),
    *((name, {}) for name in ("/etc/x", "pg_data/../../outside/evil", "pg_tblspc/abc/x", "pg_data",
                              "pg_tblspc/7/PG_15_1/x", "foo", "pg_data/base/", "pg_data/base",
                              "pg_data/nowhere/x", "")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes"), BAD_FILES, ids=str)
def test_files_that_cannot_be(place, name, changes):
    place.change_manifest(f"{FILE}=.*", f"{name}={entry(**changes)}")
    assert place.refuses_restore().code in (29, 99)
    assert not verify.run(place.options("verify")).ok
    # The details of a backup are asked for; the command itself does not fail.
    assert "demo" in info.run(place.options("info", f"--set={place.label}")).text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"pg_data/base/1=\{\}", 'pg_data/../../outside={"mode":"0777"}'),
        (r"pg_data/base/1=\{\}", "pg_data/PG_VERSION={}"),
        (r"pg_data/base/1=\{\}", "pg_tblspc/abc/x={}"),
        (r"\npg_data=\{\}", ""),
        (r"\npg_data=\{\"path.*", ""),
        (r"pg_data/global/pg_control=", "pg_data/global/pg_no_control="),
        (r"db-version=\"15\"", 'db-version="x"'),
        (r"backup-reference=\".*\"", 'backup-reference=""'),
        (r"option-compress-type=\"none\"", 'option-compress-type="foo"'),
        (r"backup-timestamp-stop=.*", "backup-timestamp-stop=" + "9" * 30),
    ],
)
def test_other_entries_that_cannot_be(place, old, new):
    place.change_manifest(old, new)
    place.refuses_restore()
    assert not verify.run(place.options("verify")).ok
    info.run(place.options("info", f"--set={place.label}"))


@pytest.mark.parametrize("below", ["precious", "PG_15", "PG_15_202209061/../x"])
def test_a_tablespace_is_not_made_of_somebodys_directory(place, below):
    path = place.outside
    place.change_manifest(
        r"\n\[db\]",
        f'pg_tblspc/99={{"path":"{path}","tablespace-id":"99","tablespace-name":"ts",'
        '"type":"link"}\n\n[db]',
    )
    place.change_manifest(
        r"\n\[target:path:default\]",
        f"pg_tblspc={{}}\npg_tblspc/99={{}}\npg_tblspc/99/{below}={{}}\n\n[target:path:default]",
    )
    place.change_manifest(
        r"\n\[target:link:default\]",
        f'pg_data/pg_tblspc/99={{"destination":"{path}"}}\n\n[target:link:default]',
    )
    assert "manifest has the name" in place.refuses_restore().message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"backup-timestamp-start":', '"backup-timestamp-start":' + "9" * 20),
        ('"backup-timestamp-stop":', '"backup-timestamp-stop":-99999'),
        ('"backup-archive-start":".*?"', '"backup-archive-start":"zz"'),
        ('"backup-archive-stop":".*?"', '"backup-archive-stop":"zz"'),
        ('"backup-lsn-stop":".*?"', '"backup-lsn-stop":"x"'),
        ('"backup-info-size":', '"backup-info-size":-'),
        ('"db-id":1', '"db-id":77'),
        (r"\n2026[0-9]{4}-[0-9]{6}F=", "\n../../../x="),
        ('"db-version":"15"', '"db-version":"²"'),
        ("\n1=", "\n²="),
    ],
)
def test_backups_that_cannot_be(place, old, new):
    place.change("backup.info", old, new)
    (found,) = info.run(place.options("info")).stanzas
    assert found["status"]["code"] == 99
    assert info.run(place.options("info", "--output=json")).text
    place.refuses_restore()
    assert not verify.run(place.options("verify")).ok
