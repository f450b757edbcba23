# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README tells people to type exists; the lab's tests run those lines for real."""

from __future__ import annotations

import re
import subprocess

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load
from ansible_collections.pgsftp.backup.tests.support import readme


def lines(word):
    return [line for line in readme.shell_lines() if line.split()[0] == word]


def test_every_line_is_of_a_kind_that_is_tested():
    known = {"make", "pgsftp", "ansible-galaxy", "ansible-playbook", "cp"}
    assert {line.split()[0] for line in readme.shell_lines()} == known


@pytest.mark.parametrize("line", lines("make"))
def test_make_has_the_target(line):
    target = line.split()[1]
    dry = subprocess.run(
        ["make", "--dry-run", target], cwd=readme.TOP, capture_output=True, text=True, check=True
    )
    assert dry.stdout.strip()


@pytest.mark.parametrize("line", lines("pgsftp"))
def test_the_host_command_takes_the_options(line, tmp_path):
    config = tmp_path / "pgbackrest.conf"
    config.write_text("[global]\nrepo1-path=/r\nrepo1-retention-full=2\n[demo]\npg1-path=/p\n")
    words = [word for word in line.split()[1:] if word.startswith("--")]
    (command, *rest) = (word for word in line.split()[1:] if not word.startswith("--"))
    if command == "help":
        assert rest
        return
    options = load.load(command, [f"--config={config}", *words], {})
    assert options.stanza == "demo"


@pytest.mark.parametrize("line", [*lines("ansible-playbook"), *lines("ansible-galaxy")])
def test_files_that_are_named_are_there(line):
    version = re.search(r"(?m)^version: (\S+)$", (readme.TOP / "galaxy.yml").read_text())[1]
    for word in line.split():
        if word.endswith(".yml"):
            assert (readme.TOP / word).is_file(), word
        if word.endswith(".tar.gz"):
            assert word == f"pgsftp-backup-{version}.tar.gz"


def test_the_example_inventory_is_there():
    (line,) = lines("cp")
    assert (readme.TOP / line.split()[-2] / "hosts.yml").is_file()
