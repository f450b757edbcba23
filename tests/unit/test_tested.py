# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No module of the engine without tests: each is imported by one, or it is said which covers it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import engine

TESTS = Path(__file__).resolve().parents[1]
ENGINE = Path(engine.__file__).resolve().parent
PACKAGE = engine.__name__

# Modules that no test imports, since what they do shows through another one or in the host command.
ELSEWHERE = {
    "archiver.crew": "integration/test_archiver.py",
    "archiver.desk": "integration/test_archiver_get.py",
    "archiver.fetcher": "integration/test_archiver_get.py",
    "archiver.fetchers": "integration/test_archiver_get.py",
    "archiver.forked": "integration/test_archiver.py",
    "archiver.getting": "integration/test_archiver_get.py",
    "archiver.lending": "integration/test_archiver_lending.py",
    "archiver.pushing": "integration/test_archiver.py",
    "archiver.watch": "integration/test_archiver.py",
    "archiver.worker": "integration/test_archiver.py",
    "command.archive_get": "integration/test_restore_outage.py",
    "command.backup.begin": "integration/test_backup_options.py",
    "command.backup.blocks": "integration/test_block_incremental.py",
    "command.backup.copying": "integration/test_backup_options.py",
    "command.backup.finish": "integration/test_backup_options.py",
    "command.backup.result": "integration/test_modules.py",
    "command.backup.run": "integration/test_backup_options.py",
    "command.backup.steps": "integration/test_backup_options.py",
    "command.backup.wal_copy": "integration/test_backup_options.py",
    "command.check": "integration/test_preflight.py",
    "command.cipher": "integration/test_foreign_repositories.py",
    "command.expire_wal": "integration/test_expire.py",
    "command.latest": "integration/test_expire.py",
    "command.verify.archives": "integration/test_verify.py",
    "command.verify.backups": "integration/test_verify.py",
    "command.verify.history": "integration/test_verify.py",
    "command.verify.session": "integration/test_verify.py",
    "command.verify.twins": "integration/test_verify.py",
    "command.stored_control": "integration/test_verify.py",
    "config.arguments": "unit/config/test_command_line.py",
    "config.maps": "unit/config/test_options.py",
    "repository.fields": "unit/repository/test_info_files.py",
    "repository.info_twins": "unit/repository/test_info_files.py",
    "repository.manifest_reader": "unit/repository/test_manifest.py",
    "repository.manifest_writer": "unit/repository/test_manifest.py",
    "runner": "unit/test_cli.py",
    "start": "integration/test_archiver.py",
    "storage.posix_files": "unit/storage/test_posix.py",
    "storage.sftp.eager": "unit/storage/sftp/test_session.py",
    "storage.sftp.handles": "unit/storage/sftp/test_defects.py",
    "storage.sftp.look": "unit/storage/sftp/test_defects.py",
    "storage.sftp.paths": "integration/test_sftp_openssh.py",
    "storage.sftp.reader": "integration/test_sftp_openssh.py",
    "storage.sftp.rename": "unit/storage/sftp/test_rename.py",
    "storage.sftp.survey": "unit/storage/test_survey.py",
    "storage.sftp.tree": "integration/test_sftp_openssh.py",
    "transform.lz4_frame": "unit/transform/test_compression.py",
    "version": "unit/test_cli.py",
}


def modules() -> list[str]:
    """Every module that has code, such as ``command.backup.run``."""
    return sorted(
        ".".join(path.relative_to(ENGINE).with_suffix("").parts)
        for path in ENGINE.rglob("*.py")
        if path.name != "__init__.py"
    )


@functools.cache
def imported() -> set[str]:
    """What the tests import of the engine."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                inner = node.module[len(PACKAGE) :].lstrip(".")
                found.add(inner)
                found |= {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
    return found


@pytest.mark.parametrize("module", modules())
def test_a_module_has_tests(module):
    if module in ELSEWHERE:
        assert "def test_" in (TESTS / ELSEWHERE[module]).read_text("utf-8")
    else:
        assert module in imported(), f"no test imports {module}: write one, or say what covers it"


def test_the_list_names_modules_that_exist():
    assert set(ELSEWHERE) <= set(modules())
