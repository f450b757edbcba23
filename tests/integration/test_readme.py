# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the README do what it says: on the hosts of the lab, and on the control machine."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import readme
from ansible_collections.pgsftp.backup.tests.support.lab import deployed_lab  # noqa: F401  # pylint: disable=unused-import

LINES = readme.shell_lines()

# What a line must say, by its command.
SAYS = {
    "info": "status: ok",
    "check": "successfully archived",
    "backup": "new backup label",
    "verify": "verify command end: completed successfully",
    "expire": "expire command end: completed successfully",
    "help": "--type",
    "restore": "restore size",
}


@pytest.mark.lab
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("pgsftp ")])
def test_the_host_command(deployed_lab, line):  # noqa: F811
    command = next(word for word in line.split()[1:] if not word.startswith("--"))
    scratch = "/var/lib/postgresql/readme"
    if command == "restore":
        # Not over the cluster that other tests need.
        line = f"rm -rf {scratch}; {line} --pg1-path={scratch} --type=none"
    done = deployed_lab.run("pg1-srv", line, user="postgres")
    assert SAYS[command] in done.stdout, done.stdout
    if command == "restore":
        deployed_lab.run("pg1-srv", f"test -f {scratch}/PG_VERSION && rm -rf {scratch}")


def run(*words, **options):
    done = subprocess.run(
        ["sh", "-c", '. scripts/env && exec "$@"', "sh", *words],
        cwd=readme.TOP,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_collection_is_built_and_installed(tmp_path):
    build, install = (
        line.split() for line in LINES if line.startswith("ansible-galaxy") and "-r" not in line
    )
    run(*build, "--output-path", str(tmp_path))
    archive = tmp_path / install[-1]
    assert archive.is_file()
    # Those that it builds on are checked elsewhere: this must work without a network.
    run(*install[:-1], str(archive), "--no-deps", "-p", str(tmp_path / "collections"))
    installed = tmp_path / "collections/ansible_collections/pgsftp/backup"
    for part in ("plugins/module_utils/engine/cli.py", "roles/pgsftp", "playbooks/site.yml"):
        assert (installed / part).exists(), part
    assert not (installed / "tests/fixtures").exists()


def test_the_walk_through_takes_an_inventory_like_the_example(tmp_path):
    (copy,) = (line.split() for line in LINES if line.startswith("cp "))
    (playbook,) = (line.split() for line in LINES if line.startswith("ansible-playbook"))
    mine = tmp_path / "mine"
    shutil.copytree(readme.TOP / copy[-2], mine)
    words = [str(mine) if word == copy[-1] else word for word in playbook]
    run(*(word for word in words if word != "--ask-vault-pass"), "--syntax-check")
