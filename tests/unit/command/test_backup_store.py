# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a backup stores its files, and what of that its predecessor has fixed."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.begin import (
    Chosen,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.store import (
    directories,
    store_of,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    BackupFacts,
    Manifest,
    ManifestDb,
    ManifestOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    Framing,
)

FULL = "20260101-000000F"
INCR = f"{FULL}_20260102-000000I"
BEGIN = 1767312000
OPTIONS = Options("backup", stanza="demo", compress_type="zst")
PRIOR = Manifest(
    BackupFacts(FULL, "full", 1, 1, 2, (FULL,), bundle=True, bundle_raw=True),
    ManifestDb(1, 7, "15", 202209061, 1300),
    ManifestOptions(compress_type="gz", compress_level=6, checksum_page=True),
    targets=[],
    files=[],
    paths=[],
    cipher_pass="key of the full",
)


def made(chosen, repo=None, **changes):
    options = dataclasses.replace(OPTIONS, **changes)
    return store_of(options, repo or RepoOptions(), chosen, checksum_page=True)


class _Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture
def lines():
    handler = _Lines()
    logger = logging.getLogger("pgsftp")
    logger.addHandler(handler)
    yield handler.texts
    logger.removeHandler(handler)


def full(resumed=None):
    return Chosen("full", FULL, None, resumed, BEGIN)


def incr():
    return Chosen("incr", INCR, PRIOR, None, BEGIN)


def test_a_full_backup_follows_the_options():
    store = made(full(), RepoOptions(bundle=True, block=True))
    assert (store.encoding.compress_type, store.encoding.compress_level) == ("zst", 3)
    assert store.encoding.cipher_pass is None
    assert store.bundle_framing is Framing.RAW
    assert store.blocks is not None
    assert store.references == (FULL,)
    assert store.started == BEGIN


def test_each_full_backup_has_a_key_of_its_own():
    repo = RepoOptions(cipher_type="aes-256-cbc", cipher_pass="secret")
    first, second = (made(full(), repo).encoding.cipher_pass for _dummy in range(2))
    assert first
    assert first != second
    assert made(full(PRIOR), repo).encoding.cipher_pass == PRIOR.cipher_pass


def test_what_builds_on_another_is_stored_as_that_one_is(lines):
    store = made(incr(), compress_type="gz")
    assert store.encoding == PRIOR.encoding
    assert store.bundle_framing is Framing.RAW
    assert store.references == (FULL, INCR)
    assert lines == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"compress_type": "zst"}, "compress-type option to 'zst'"),
        ({"compress_type": "gz", "compress_level": 9}, "compress-level option to '9'"),
        ({"compress_type": "gz", "checksum_page": False}, "checksum-page option to 'n'"),
    ],
)
def test_an_option_that_cannot_be_followed_is_named(lines, changes, named):
    made(incr(), **changes)
    (line,) = lines
    assert f"cannot alter {named}, reset to value in {FULL}" in line


def test_directories_that_files_will_be_put_into():
    assert directories(made(full()), "full") == [f"backup/demo/{FULL}/pg_data/global"]
    store = made(full(), RepoOptions(bundle=True))
    assert f"backup/demo/{FULL}/bundle" in directories(store, "full")
    # One that changed little may have no bundle at all.
    store = made(incr(), RepoOptions(bundle=True))
    assert directories(store, "incr") == [f"backup/demo/{INCR}/pg_data/global"]
