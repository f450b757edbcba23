# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""repo-ls and repo-get: lists and files as stock pgBackRest gives them."""

from __future__ import annotations

import contextlib
import gzip
import io
import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import cli, errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command import repo_files
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import RepoOptions


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("backup/demo",),
        ("backup/demo", "--output=json"),
        ("--recurse", "--output=json"),
        ("--recurse", "--sort=desc"),
        ("backup/demo", "--filter=info"),
        ("backup/demo/none", "--output=json"),
        ("backup/demo/none",),
        ("backup/demo/backup.info", "--output=json"),
        ("backup/demo/backup.info",),
        ("backup/demo/latest",),
    ],
)
def test_a_list_is_that_of_the_peer(place_of, arguments):
    place = place_of("a")
    result = repo_files.list_path(place.options("repo-ls", *arguments))
    assert result.text == place.peer("repo-ls", *arguments).decode()


@pytest.mark.parametrize("letter", ["b", "c"])
@pytest.mark.parametrize(
    "template",
    [
        "archive/demo/archive.info",
        "archive/demo/archive.info.copy",
        "backup/demo/backup.info",
        "backup/demo/{label}/backup.manifest",
        "backup/demo/{label}/backup.manifest.copy",
        "backup/demo/backup.history/{year}/{label}.manifest.gz",
        "{wal}",
        "{file}",
        "backup/demo/latest/backup.manifest",
        "backup/demo/latest/pg_data/{control}",
    ],
)
def test_a_file_is_given_as_the_peer_gives_it(place_of, letter, template):
    place = place_of(letter)
    root = place.repository.path
    label = place.labels[0]
    wal = min((root / "archive/demo/15-1").glob("*/*"))
    file = min(path for path in (root / "backup/demo" / label / "pg_data").rglob("*.*"))
    latest = root / "backup/demo/latest"
    control = next(
        iter(sorted(path.name for path in (latest / "pg_data").glob("backup_label*"))), ""
    )
    if "{control}" in template and not control:
        pytest.skip("bundled")
    path = template.format(
        label=label,
        year=label[:4],
        wal=wal.relative_to(root),
        file=file.relative_to(root),
        control=control,
    )
    result = repo_files.get(place.options("repo-get", path))
    assert b"".join(result.chunks) == place.peer("repo-get", path)


def test_a_file_as_it_is_stored(place_of):
    place = place_of("c")
    result = repo_files.get(place.options("repo-get", "--raw", "archive/demo/archive.info"))
    stored = (place.repository.path / "archive/demo/archive.info").read_bytes()
    assert b"".join(result.chunks) == stored


def test_a_file_that_is_not_there(place_of):
    place = place_of("a")
    with pytest.raises(errors.FileMissingError):
        repo_files.get(place.options("repo-get", "archive/demo/none"))
    ignored = place.options("repo-get", "--ignore-missing", "archive/demo/none")
    assert repo_files.get(ignored).exit_code == 1


def test_no_pass_without_a_place(place_of):
    place = place_of("c")
    for path in ("archive/demo", "other/file", "backup/demo/latest"):
        with pytest.raises(errors.OptionInvalidValueError, match="cipher passphrase"):
            repo_files.get(place.options("repo-get", path))
    with pytest.raises(errors.OptionInvalidValueError, match="doesn't match"):
        repo_files.get(place.options("repo-get", "archive/other/archive.info"))
    with pytest.raises(errors.ParamRequiredError):
        repo_files.get(place.options("repo-get"))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ""),
        ("/srv/repo", ""),
        ("/srv/repo/", ""),
        ("/srv/repo/archive//demo/", "archive/demo"),
        ("./archive", "archive"),
    ],
)
def test_paths_of_users(path, found):
    assert repo_files.relative(RepoOptions(path="/srv/repo"), path) == found


@pytest.mark.parametrize("path", ["/", "/srv", "/srv/repository", "..", "archive/../../x"])
def test_paths_outside_of_the_repository(path):
    with pytest.raises(errors.ParamInvalidError):
        repo_files.relative(RepoOptions(path="/srv/repo"), path)


def test_the_bytes_of_a_file_reach_standard_output(place_of):
    place = place_of("a")
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="utf-8")
    path = f"backup/demo/backup.history/{place.labels[0][:4]}/{place.labels[0]}.manifest.gz"
    words = [f"--config={place.config}", "--stanza=demo", "--allow-root", "repo-get", path]
    assert cli.main(words, {}, output=output, errors=io.StringIO()) == 0
    assert gzip.decompress(raw.getvalue()).startswith(b"[backrest]")


@pytest.mark.parametrize(
    ("command", "full", "code"),
    [
        ("repo-ls", False, 0),
        ("repo-get", False, 1),
        ("repo-ls", True, errors.FileWriteError.code),
        ("repo-get", True, errors.FileWriteError.code),
    ],
)
def test_a_reader_that_has_seen_enough(place_of, command, full, code):
    """As ``head`` is; what else keeps output from being written is an error."""
    place = place_of("a")
    words = [f"--config={place.config}", "--stanza=demo", "--allow-root"]
    words += [command, "backup/demo/backup.info"]
    if full:
        number = os.open("/dev/full", os.O_WRONLY)
    else:
        end, number = os.pipe()
        os.close(end)
    said = io.StringIO()
    output = os.fdopen(number, "w", encoding="utf-8")
    assert cli.main(words, {}, output=output, errors=said) == code
    assert not said.getvalue()
    with contextlib.suppress(OSError):
        output.close()
