"""Five causes, and never one for another."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import failure
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.protocol import (
    Status,
)

CASES = [
    (2, "No such file", None, errors.StorageMissingError, "no such file or directory"),
    (10, "", None, errors.StorageMissingError, "no such file or directory"),
    (3, "Permission denied", None, errors.StorageAccessError, "permission denied"),
    (12, "", None, errors.StorageAccessError, "failure"),
    (4, "Failure", None, errors.StorageError, "the server gives no reason (SFTP status 4)"),
    (4, "", None, errors.StorageError, "the server gives no reason (SFTP status 4)"),
    (4, "Failure", 10**9, errors.StorageError, "the server gives no reason (SFTP status 4)"),
    (4, "Failure", 4096, errors.StorageFullError, "no space left on the server (4096 bytes free)"),
    (4, "No space left on device", None, errors.StorageFullError, "no space left on device"),
    (4, "Disk quota exceeded", 10**9, errors.StorageFullError, "disk quota exceeded (1000000000"),
    (14, "", 0, errors.StorageFullError, "no space left on the server (0 bytes free)"),
    (15, "", None, errors.StorageFullError, "quota exceeded"),
    (4, "Too many open files", None, errors.StorageLimitError, "too many open files"),
    (4, "Is a directory", 0, errors.StorageError, "is a directory"),
    (8, "", None, errors.StorageError, "operation not supported by the server"),
    (7, "", None, errors.TransportLostError, "failure"),
    (99, "Odd.", None, errors.StorageError, "odd"),
]


@pytest.mark.parametrize(("code", "message", "free", "kind", "reason"), CASES)
def test_causes(code, message, free, kind, reason):
    error = failure.error("unable to open 'x' on sftp-srv:/r", Status(code, message), free)
    assert error.__class__ is kind
    assert error.message.startswith(f"unable to open 'x' on sftp-srv:/r: {reason}")


def test_only_a_failure_without_a_reason_may_be_a_full_disk():
    assert failure.may_be_full(Status(4, "Failure"))
    assert failure.may_be_full(Status(4, "No space left on device"))
    assert not failure.may_be_full(Status(4, "Is a directory"))
    assert not failure.may_be_full(Status(3, "Permission denied"))
