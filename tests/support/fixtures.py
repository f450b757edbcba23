# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of tests/fixtures/repository, unpacked once per session.

A conftest imports the pytest fixture that it wants::

    from ansible_collections.pgsftp.backup.tests.support.fixtures import fixture_repositories

Nobody may write below an unpacked repository: ``FixtureRepository.copy_to`` gives a private one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
import zstandard

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "repository"

NAMES = tuple(sorted(path.name[: -len(".tar.zst")] for path in FIXTURES.glob("*.tar.zst")))

STANZA = "demo"


def full_name(letter: str) -> str:
    """``a`` -> ``a-none-nobundle-links``."""
    return next(name for name in NAMES if name.startswith(letter))


def expected(name: str) -> dict[str, t.Any]:
    """What the real tool says about a repository: the content of its expected.json."""
    content = json.loads((FIXTURES / f"{name}.expected.json").read_text("utf-8"))
    return t.cast("dict[str, t.Any]", content)


@dataclasses.dataclass(frozen=True)
class FixtureRepository:
    """One repository and what the real tool says about it."""

    name: str
    path: Path
    """The repository itself; read only."""

    @functools.cached_property
    def expected(self) -> dict[str, t.Any]:
        """The content of expected.json."""
        return expected(self.name)

    @property
    def cipher_pass(self) -> str | None:
        """The user's pass; None when the repository is not encrypted."""
        return t.cast("str | None", self.expected["cipher_pass"])

    @property
    def newest(self) -> str:
        """The label of the backup that the real tool restored."""
        return t.cast(str, self.expected["restore"]["label"])

    @property
    def labels(self) -> list[str]:
        """Of all backups, oldest first."""
        (stanza,) = self.expected["info"]
        return [row["label"] for row in stanza["backup"]]

    def manifest(self, label: str) -> str:
        """The text of a backup's manifest, decrypted without the engine."""
        stanza = self.path / "backup" / STANZA
        manifest = stanza / label / "backup.manifest"
        if self.cipher_pass is None:
            return manifest.read_text("utf-8")
        info = _decrypt(stanza / "backup.info", self.cipher_pass)
        sub_key = json.loads(info.split("\ncipher-pass=", 1)[1].partition("\n")[0])
        return _decrypt(manifest, sub_key)

    def copy_to(self, directory: Path) -> FixtureRepository:
        """The same repository in a place where a test may change it."""
        target = directory / "repo"
        shutil.copytree(self.path, target, symlinks=True)
        return FixtureRepository(self.name, target)


class FixtureRepositories:
    """Unpacks on first use; keys are names or their first letters."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._unpacked: dict[str, FixtureRepository] = {}

    def __getitem__(self, name: str) -> FixtureRepository:
        name = full_name(name)
        if name not in self._unpacked:
            target = self._root / name
            with open(FIXTURES / f"{name}.tar.zst", "rb") as packed:
                with zstandard.ZstdDecompressor().stream_reader(packed) as plain:
                    with tarfile.open(fileobj=plain, mode="r|") as archive:
                        _extract(archive, target)
            self._unpacked[name] = FixtureRepository(name, target / "repo")
        return self._unpacked[name]


def _decrypt(path: Path, cipher_pass: str) -> str:
    words = ["openssl", "enc", "-d", "-aes-256-cbc", "-md", "sha1", "-pass", f"pass:{cipher_pass}"]
    # It says on stderr what it thinks of the way that keys are derived.
    done = subprocess.run([*words, "-in", path], check=True, capture_output=True)
    return done.stdout.decode("utf-8")


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    # Older Pythons have no filters; newer ones warn without one.
    if hasattr(tarfile, "tar_filter"):
        archive.extractall(target, filter="tar")
    else:
        archive.extractall(target)


@pytest.fixture(scope="session")
def fixture_repositories(tmp_path_factory: pytest.TempPathFactory) -> FixtureRepositories:
    """All seven, by name or first letter."""
    return FixtureRepositories(tmp_path_factory.mktemp("repositories"))


@pytest.fixture(scope="session", params=NAMES)
def fixture_repository(
    request: pytest.FixtureRequest, fixture_repositories: FixtureRepositories
) -> FixtureRepository:
    """Each of the seven in turn."""
    return fixture_repositories[request.param]
