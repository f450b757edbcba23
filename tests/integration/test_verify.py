# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify on repositories that stock pgBackRest wrote: clean, and damaged in every way."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    run as restore,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.tests.support.fixtures import NAMES, expected
from ansible_collections.pgsftp.backup.tests.support.verifying import configuration, labels, run

# What the real tool cannot read in Debian 12: block-incremental backups (2.46 brought them).
WITH_BLOCKS = ("d-zst-bundle-block", "g-gz-aes-bundle-block")


def restore_options(repository, tmp_path, label, kind="none"):
    return load.load(
        "restore",
        [
            f"--config={configuration(repository, tmp_path)}",
            "--stanza=demo",
            f"--type={kind}",
            f"--set={label}",
            f"--tablespace-map-all={tmp_path}/restore/tablespaces",
        ],
        {},
    )


def refused(repository, tmp_path, label, kind="none"):
    """A restore of the backup fails, and leaves nothing that a server would start in."""
    (tmp_path / "restore").mkdir()
    with pytest.raises(errors.EngineError) as cause:
        restore.run(restore_options(repository, tmp_path, label, kind))
    assert not (tmp_path / "restore" / "data" / "global" / "pg_control").exists()
    return cause.value


@pytest.mark.parametrize("name", NAMES)
def test_every_repository_is_clean(fixture_repositories, tmp_path, name):
    repository = fixture_repositories[name]
    result = run(repository, tmp_path, "--output=json", "--process-max=2")
    content = json.loads(result.text)
    assert content["status"] == "ok"
    assert not content["errors"] + content["files"]
    assert [row["label"] for row in content["backups"]] == labels(repository)
    for row in content["backups"] + content["archives"]:
        assert row["checked"] == row["valid"] > 0


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITH_BLOCKS])
def test_the_text_is_that_of_the_real_tool(fixture_repositories, tmp_path, name):
    repository = fixture_repositories[name]
    text = run(repository, tmp_path, "--output=text", "--verbose").text
    config = configuration(repository, tmp_path)
    real = subprocess.run(
        [
            "pgbackrest",
            f"--config={config}",
            "--stanza=demo",
            "--output=text",
            "--verbose",
            "verify",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert text == real.stdout


def test_one_backup_and_the_wal_that_it_needs(fixture_repositories, tmp_path):
    repository = fixture_repositories["a"]
    result = run(repository, tmp_path, f"--set={labels(repository)[0]}")
    assert [row.label for row in result.backups] == labels(repository)[:1]
    assert [row.checked for row in result.archives] == [1]
    assert result.ok


@pytest.mark.parametrize("wanted", ["nonsense", "20200101-000000F"])
def test_a_backup_that_is_not_there_is_an_error(fixture_repositories, tmp_path, wanted):
    result = run(fixture_repositories["a"], tmp_path, f"--set={wanted}", "--output=text")
    assert not result.ok
    assert wanted in result.text


# Damage.


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def gone(path):
    path.unlink()


def in_backup(directory):
    """A stored file that every restore needs: the largest one."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return max(
        (path for path in files if not path.name.startswith("backup.manifest")),
        key=lambda path: path.stat().st_size,
    )


@pytest.mark.parametrize("damage", [flip, cut, gone])
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_named_and_not_restored(fixture_repositories, tmp_path, name, damage):
    repository = fixture_repositories[name].copy_to(tmp_path)
    first = labels(repository)[0]
    path = in_backup(repository.path / "backup" / "demo" / first)
    damage(path)
    result = run(repository, tmp_path, "--output=text")
    assert not result.ok
    assert {row.path for row in result.findings} == {str(path.relative_to(repository.path))}
    assert f"backup: {first}, status: invalid" in result.text
    refused(repository, tmp_path, first)


LATER = [
    (name, number)
    for name in NAMES
    for number in range(1, len(expected(name)["info"][0]["backup"]))
]


@pytest.mark.parametrize(
    ("name", "number", "damage"),
    [
        pytest.param(
            name,
            number,
            damage,
            marks=[] if (name[0], damage) in (("b", flip), ("g", cut)) else [pytest.mark.slow],
        )
        for name, number in LATER
        for damage in (flip, cut, gone)
    ],
)
def test_damage_of_a_later_backup_leaves_the_earlier_ones_whole(
    fixture_repositories, tmp_path, name, number, damage
):
    repository = fixture_repositories[name].copy_to(tmp_path)
    earlier, label = labels(repository)[:number], labels(repository)[number]
    path = in_backup(repository.path / "backup" / "demo" / label)
    damage(path)
    result = run(repository, tmp_path)
    assert {row.path for row in result.findings} == {str(path.relative_to(repository.path))}
    status = {row.label: row.status.value for row in result.backups}
    assert status[label] == "invalid"
    assert {status[other] for other in earlier} == {"valid"}
    refused(repository, tmp_path, label)
    shutil.rmtree(tmp_path / "restore")
    (tmp_path / "restore").mkdir()
    restored = restore.run(restore_options(repository, tmp_path, earlier[-1]))
    assert restored.label == earlier[-1]


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("name", ["a", "c", "e", "f"])
def test_damaged_wal_is_named(fixture_repositories, tmp_path, name, damage):
    repository = fixture_repositories[name].copy_to(tmp_path)
    path = max((repository.path / "archive" / "demo" / "15-1").glob("*/*-*"))
    damage(path)
    result = run(repository, tmp_path)
    assert [row.path for row in result.findings] == [str(path.relative_to(repository.path))]


def test_missing_wal_is_a_gap_and_keeps_a_backup_from_being_valid(fixture_repositories, tmp_path):
    repository = fixture_repositories["a"].copy_to(tmp_path)
    (path,) = (repository.path / "archive").rglob("00000001000000000000000A-*")
    path.unlink()
    result = run(repository, tmp_path, "--output=text")
    assert "    WAL gap: 00000001000000000000000A\n" in result.text
    assert "    WAL needed but missing: 00000001000000000000000A\n" in result.text
    assert [row.status.value for row in result.backups] == ["invalid", "valid"]


def test_wal_with_two_contents(fixture_repositories, tmp_path):
    repository = fixture_repositories["a"].copy_to(tmp_path)
    (path,) = (repository.path / "archive").rglob("00000001000000000000000A-*")
    path.with_name("00000001000000000000000A-" + "0" * 40).write_bytes(path.read_bytes())
    result = run(repository, tmp_path, "--output=text")
    assert not result.ok
    assert "    duplicate WAL: 00000001000000000000000A\n" in result.text


INFO_FILES = ("archive/demo/archive.info", "backup/demo/backup.info", "{label}/backup.manifest")


def info_file(repository, template):
    place = template.format(label=f"backup/demo/{labels(repository)[0]}")
    return repository.path / place


@pytest.mark.parametrize("damage", [flip, cut, gone])
@pytest.mark.parametrize("suffix", ["", ".copy"])
@pytest.mark.parametrize("template", INFO_FILES)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name[0] not in "ac")) for name in NAMES],
)
def test_one_spoilt_twin_is_named_and_the_other_one_serves(
    fixture_repositories, tmp_path, name, template, suffix, damage
):
    repository = fixture_repositories[name].copy_to(tmp_path)
    path = info_file(repository, template + suffix)
    damage(path)
    result = run(repository, tmp_path)
    assert not result.ok
    (error,) = result.errors
    assert f"'{path.relative_to(repository.path)}'" in error
    assert [row.status.value for row in result.backups] == ["valid"] * len(result.backups)


@pytest.mark.parametrize("template", INFO_FILES)
@pytest.mark.parametrize(
    ("name", "damage"), [*((name, flip) for name in NAMES), (NAMES[2], cut), (NAMES[2], gone)]
)
def test_both_twins_spoilt(fixture_repositories, tmp_path, name, template, damage):
    repository = fixture_repositories[name].copy_to(tmp_path)
    for suffix in ("", ".copy"):
        damage(info_file(repository, template + suffix))
    result = run(repository, tmp_path, "--output=text")
    assert not result.ok
    named = [f"'{info_file(repository, template + suffix)}'" for suffix in ("", ".copy")]
    assert len(result.errors) >= 2
    for path in named:
        place = path.replace(f"{repository.path}/", "")
        assert any(place in error for error in result.errors)
    # What needs no recovery needs no archive.
    kind = "default" if template == INFO_FILES[0] else "none"
    refused(repository, tmp_path, labels(repository)[0], kind)


@pytest.mark.parametrize("name", ["d", "g"])
def test_damage_in_a_block_is_damage_of_every_backup_that_needs_it(
    fixture_repositories, tmp_path, name
):
    """A later backup holds only the blocks that changed: the others lie in the earlier one.

    Whoever asks for that backup alone wants to know whether it can be restored.
    """
    repository = fixture_repositories[name].copy_to(tmp_path)
    first = labels(repository)[0]
    path = max(
        (repository.path / "backup" / "demo" / first).rglob("*.pgbi"),
        key=lambda path: path.stat().st_size,
        default=None,
    )
    if path is None:
        path = in_backup(repository.path / "backup" / "demo" / first)
    assert run(repository, tmp_path, f"--set={labels(repository)[-1]}").ok
    flip(path)
    result = run(repository, tmp_path)
    assert {row.status.value for row in result.backups} == {"invalid"}
    for label in labels(repository):
        (alone,) = run(repository, tmp_path, f"--set={label}").backups
        assert (alone.label, alone.status.value) == (label, "invalid")


def test_wal_that_is_missing_altogether_is_named_by_the_size_of_its_segments(sites, new_cluster):
    cluster = new_cluster("--wal-segsize=1")
    site = sites(cluster)
    site.run("stanza-create")
    site.archive()
    cluster.psql("select pg_switch_wal() from generate_series(1, 3)")
    site.run("backup", "--type=full")
    (backup,) = json.loads(site.run("info", "--output=json").stdout)[0]["backup"]
    for path in (site.repo / "archive/demo").glob("*-*"):
        shutil.rmtree(path)
    config = ["--config", str(site.config), "--stanza=demo"]
    result = verify.run(load.load("verify", config, {}))
    (found,) = result.backups
    first, last = found.missing_wal[0].first, found.missing_wal[-1].last
    assert (first, last) == tuple(backup["archive"].values())


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("name", ["a", "c"])
def test_a_damaged_manifest_of_the_history_is_named(fixture_repositories, tmp_path, name, damage):
    repository = fixture_repositories[name].copy_to(tmp_path)
    paths = sorted((repository.path / "backup/demo/backup.history").glob("*/*.manifest.gz"))
    assert len(paths) > 1
    damage(paths[0])
    result = run(repository, tmp_path, "--output=text")
    assert not result.ok
    assert [row.path for row in result.findings] == [str(paths[0].relative_to(repository.path))]
    # The backup itself is as good as it was.
    assert {row.status.value for row in result.backups} == {"valid"}


def test_what_is_no_archive_of_this_stanza(fixture_repositories, tmp_path):
    repository = fixture_repositories["a"].copy_to(tmp_path)
    (repository.path / "archive" / "demo" / "15-2").mkdir()
    result = run(repository, tmp_path)
    assert result.errors == ("archiveIds '15-2' are not in the archive.info history list",)


def test_a_backup_that_is_being_made_is_passed_over(fixture_repositories, tmp_path):
    repository = fixture_repositories["a"].copy_to(tmp_path)
    (repository.path / "backup" / "demo" / "20991231-235959F").mkdir()
    result = run(repository, tmp_path)
    assert result.ok
    assert result.backups[-1].status.value == "in-progress"
