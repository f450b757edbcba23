# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories that stock pgBackRest wrote: ``info`` and ``restore`` give what it gives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    run as restore,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.tests.support import peer
from ansible_collections.pgsftp.backup.tests.support.fixtures import NAMES

EMPTY = hashlib.sha1(b"").hexdigest()


def options(command, repository, tmp_path, *arguments):
    config = tmp_path / "pgbackrest.conf"
    lines = [
        "[global]",
        f"repo1-path={repository.path}",
        f"lock-path={tmp_path}/lock",
        f"spool-path={tmp_path}/spool",
        "process-max=2",
    ]
    if repository.cipher_pass is not None:
        lines += ["repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={repository.cipher_pass}"]
    lines += ["[demo]", f"pg1-path={tmp_path}/restore/data", ""]
    config.write_text("\n".join(lines))
    return load.load(command, [f"--config={config}", "--stanza=demo", *arguments], {})


@pytest.mark.parametrize("name", NAMES)
def test_info_is_equal_in_every_field(fixture_repositories, tmp_path, name):
    repository = fixture_repositories[name]
    result = info.run(options("info", repository, tmp_path, "--output=json"))
    assert json.loads(result.text) == repository.expected["info"]


@pytest.mark.parametrize("name", NAMES)
def test_info_is_equal_as_text(fixture_repositories, tmp_path, name, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    repository = fixture_repositories[name]
    result = info.run(options("info", repository, tmp_path))
    assert result.text.rstrip("\n") == repository.expected["info_text"].rstrip("\n")


@pytest.mark.parametrize("name", NAMES)
def test_restore_gives_what_the_real_tool_restores(fixture_repositories, tmp_path, name):
    repository = fixture_repositories[name]
    root = tmp_path / "restore"
    root.mkdir()
    entries = {row["path"]: row for row in repository.expected["entries"]}
    result = restore.run(
        options(
            "restore",
            repository,
            tmp_path,
            "--type=none",
            "--archive-mode=preserve",
            *_maps(entries, root),
        )
    )
    assert result.label == repository.newest
    found = {path: _describe(root, path) for path in _walk(root)}
    assert sorted(found) == sorted(entries)
    for path, expected in entries.items():
        expected = {key: value for key, value in expected.items() if key != "path"}
        if expected["type"] == "link":
            expected["target"] = expected["target"].replace("<RESTORE>", str(root))
        actual = {key: found[path].get(key) for key in expected}
        assert actual == expected, path


@pytest.mark.parametrize("name", NAMES)
def test_every_backup_comes_back_as_its_manifest_lists_it(fixture_repositories, tmp_path, name):
    """The peer's restores are known of the newest backups only; its manifests are known of all."""
    repository = fixture_repositories[name]
    root = tmp_path / "restore"
    entries = {row["path"]: row for row in repository.expected["entries"]}
    for label in repository.labels:
        files = peer.manifest_files(repository.manifest(label))
        root.mkdir()
        maps = [
            option
            for option in _maps(entries, root)
            if "--tablespace-map=" not in option or _has_tablespace(files, option)
        ]
        result = restore.run(
            options(
                "restore",
                repository,
                tmp_path,
                "--type=none",
                "--archive-mode=preserve",
                f"--set={label}",
                *maps,
            )
        )
        assert result.label == label
        # Where the tablespaces are is said by links: no restore of the peer's writes that file.
        files.pop("pg_data/tablespace_map", None)
        places = {_place(path): row for path, row in files.items()}
        assert set(_files(root / "data")) == set(places)
        for path, row in places.items():
            place = root / "data" / path
            digest = hashlib.sha1(place.read_bytes()).hexdigest()
            assert place.stat().st_size == row["size"], path
            if path == "global/pg_control":
                # Of no use to a server without backup_label.
                assert digest != row["checksum"]
            elif path != "postgresql.auto.conf":
                assert digest == row.get("checksum", EMPTY), path
                assert int(place.stat().st_mtime) == row["timestamp"], path
        shutil.rmtree(root)


def _place(path):
    """Where a file of the manifest lies below the data directory."""
    return path[len("pg_data/") :] if path.startswith("pg_data/") else path


def _has_tablespace(files, option):
    oid = option.partition("=")[2].partition("=")[0]
    return any(path.startswith(f"pg_tblspc/{oid}/") for path in files)


def _files(directory):
    """Every file below, and below what is linked to."""
    for place, _dummy, files in os.walk(directory, followlinks=True):
        for name in files:
            yield os.path.relpath(os.path.join(place, name), directory)


def _maps(entries, root):
    """The options of the peer's restore: everything below one directory."""
    for path, row in entries.items():
        if row["type"] == "link":
            target = row["target"].replace("<RESTORE>", str(root))
            if path.startswith("data/pg_tblspc/"):
                yield f"--tablespace-map={path.rsplit('/', 1)[1]}={target}"
            else:
                yield f"--link-map={path[len('data/') :]}={target}"


def _walk(root):
    for directory, paths, files in os.walk(root):
        for name in paths + files:
            yield os.path.relpath(os.path.join(directory, name), root)


def _describe(root, path):
    place = root / path
    status = place.lstat()
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if stat.S_ISLNK(status.st_mode):
        return {"type": "link", "target": os.readlink(place)}
    if stat.S_ISDIR(status.st_mode):
        return {"type": "dir", "mode": mode}
    return {
        "type": "file",
        "size": status.st_size,
        "mode": mode,
        "mtime": int(status.st_mtime),
        "sha256": hashlib.sha256(place.read_bytes()).hexdigest(),
    }
