# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Five causes, and never one for another."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import failure
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.protocol import (
    Space,
    Status,
)

PLENTY = Space(10**9, 1000, False)
READ_ONLY = Space(10**9, 1000, True)
FULL = Space(4096, 1000, False)
NO_INODES = Space(10**9, 0, False)
NO_REASON = "the server gives no reason (SFTP status 4)"

# fmt: off
CASES = [
    (2, "No such file", None, errors.StorageMissingError, "no such file or directory"),
    (10, "", None, errors.StorageMissingError, "no such file or directory"),
    (3, "Permission denied", None, errors.StorageAccessError, "permission denied"),
    (12, "", None, errors.StorageAccessError, "read-only file system"),
    (4, "Failure", None, errors.StorageError, NO_REASON),
    (4, "", None, errors.StorageError, NO_REASON),
    (4, "Failure", PLENTY, errors.StorageError, f"{NO_REASON}; 1000000000 bytes are free"),
    (4, "Failure", FULL, errors.StorageFullError, "no space left on the server (4096 bytes free)"),
    (4, "Failure", READ_ONLY, errors.StorageAccessError, "read-only file system"),
    (4, "", NO_INODES, errors.StorageFullError, "no inodes left on the server (1000000000 bytes"),
    (4, "Failure", Space(10**9, None, False), errors.StorageError, NO_REASON),
    (4, "Read-only file system", None, errors.StorageAccessError, "read-only file system"),
    (4, "No space left on device", None, errors.StorageFullError, "no space left on device"),
    (4, "Disk quota exceeded", PLENTY, errors.StorageFullError, "disk quota exceeded (1000000000"),
    (14, "", Space(0, 5, False), errors.StorageFullError, "no space left on the server (0 bytes"),
    (15, "", None, errors.StorageFullError, "quota exceeded"),
    (4, "Too many open files", None, errors.StorageLimitError, "too many open files"),
    (4, "Is a directory", FULL, errors.StorageError, "is a directory"),
    (4, "Is a directory", READ_ONLY, errors.StorageError, "is a directory"),
    (8, "", None, errors.StorageError, "operation not supported by the server"),
    (7, "", None, errors.TransportLostError, "failure"),
    (99, "Odd.", None, errors.StorageError, "odd"),
]
# fmt: on


@pytest.mark.parametrize(("code", "message", "space", "kind", "reason"), CASES)
def test_causes(code, message, space, kind, reason):
    error = failure.error("unable to open 'x' on sftp-srv:/r", Status(code, message), space)
    assert error.__class__ is kind
    assert error.message.startswith(f"unable to open 'x' on sftp-srv:/r: {reason}")


def test_what_is_known_of_a_quota_that_the_server_does_not_name():
    error = failure.error("unable to write 'x'", Status(4, "Failure"), PLENTY)
    assert "a quota that is used up looks like this" in error.hint


def test_who_removes_needs_no_room():
    error = failure.error("unable to remove 'x'", Status(4, "Failure"), FULL, takes_room=False)
    assert error.__class__ is errors.StorageError
    assert error.message == f"unable to remove 'x': {NO_REASON}"
    error = failure.error("unable to remove 'x'", Status(4, ""), READ_ONLY, takes_room=False)
    assert error.__class__ is errors.StorageAccessError


def test_the_state_of_the_file_system_is_asked_for_where_it_may_tell_more():
    assert failure.is_vague(Status(4, "Failure"))
    assert failure.is_vague(Status(4, "No space left on device"))
    assert failure.is_vague(Status(14, ""))
    assert not failure.is_vague(Status(4, "Is a directory"))
    assert not failure.is_vague(Status(3, "Permission denied"))
