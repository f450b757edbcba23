# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private copies of the repositories of tests/fixtures, with a configuration for both tools.

A conftest imports the fixture::

    from ansible_collections.pgsftp.backup.tests.support.place import place_of
"""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Options

from .fixtures import FixtureRepositories, FixtureRepository
from .peer import COMMAND


class Place:
    """A repository and its configuration."""

    def __init__(self, repository: FixtureRepository, root: Path) -> None:
        self.repository = repository
        self.root = root
        self.labels = repository.labels
        lines = [
            "[global]",
            f"repo1-path={repository.path}",
            f"lock-path={root}/lock",
            f"log-path={root}",
            "log-level-file=off",
        ]
        if repository.cipher_pass is not None:
            lines += [
                "repo1-cipher-type=aes-256-cbc",
                f"repo1-cipher-pass={repository.cipher_pass}",
            ]
        lines += ["[demo]", f"pg1-path={root}/data", ""]
        self.config = root / "pgbackrest.conf"
        self.config.write_text("\n".join(lines))

    def options(self, command: str, *arguments: str, stanza: str | None = "demo") -> Options:
        """Those of a command of the engine."""
        given = [] if stanza is None else [f"--stanza={stanza}"]
        return load.load(command, [f"--config={self.config}", *given, *arguments], {})

    def peer(self, *arguments: str) -> bytes:
        """What stock pgBackRest says."""
        done = subprocess.run(
            [COMMAND, f"--config={self.config}", "--stanza=demo", *arguments],
            check=True,
            capture_output=True,
        )
        return done.stdout


@pytest.fixture
def place_of(fixture_repositories: FixtureRepositories, tmp_path: Path) -> t.Callable[[str], Place]:
    """Make a private copy of the repository with that letter."""
    return lambda letter: Place(fixture_repositories[letter].copy_to(tmp_path), tmp_path)
