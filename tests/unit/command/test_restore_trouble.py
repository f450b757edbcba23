# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operating system refuses is told as what it is, not as a mistake of the program."""

from __future__ import annotations

import errno
import os
import pwd

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    copy,
    trouble,
)

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize(
    ("doing", "expected"),
    [
        (trouble.looking, errors.PathOpenError),
        (trouble.making, errors.PathCreateError),
        (trouble.writing, errors.FileWriteError),
    ],
)
def test_what_is_refused_is_named(tmp_path, doing, expected):
    path = str(tmp_path / "a/b")
    with pytest.raises(expected, match=f"'{path}': Permission denied\nHINT: '{tmp_path}' belongs"):
        with doing(path):
            raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(errors.FileOpenError):
        with doing(path):
            raise errors.FileOpenError("of its own", hint="that stays")


def test_looking_names_what_is_below(tmp_path):
    with pytest.raises(errors.PathOpenError, match=f"'{tmp_path}/deep': "):
        with trouble.looking(str(tmp_path)):
            raise PermissionError(errno.EACCES, "Permission denied", f"{tmp_path}/deep")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "is there room, in bytes and in inodes, on the file system of '{}'"),
        (errno.EDQUOT, "is there room, in bytes and in inodes, on the file system of '{}'"),
        (errno.EROFS, "the file system of '{}' can only be read"),
        (errno.EACCES, f"'{{}}' belongs to {ME}, and {ME} runs this"),
        (errno.EIO, "is '{}' what it should be?"),
    ],
)
def test_the_hint_is_by_the_cause(tmp_path, number, hint):
    cause = OSError(number, os.strerror(number))
    found = trouble.advice(f"{tmp_path}/not/there", cause)
    assert found.startswith(hint.format(tmp_path))


def test_what_keeps_somebody_out(tmp_path, monkeypatch):
    """The first directory from above that may not be entered."""
    (tmp_path / "closed/deep").mkdir(parents=True)
    monkeypatch.setattr(trouble.os, "access", lambda path, _mode, **_rest: "closed" not in path)
    cause = PermissionError(errno.EACCES, "")
    assert f"'{tmp_path}/closed' belongs" in trouble.advice(f"{tmp_path}/closed/deep/x/y", cause)


def test_a_full_file_system_is_not_told_as_a_matter_of_rights(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copy.os, "open", full)
    with pytest.raises(errors.FileOpenError, match="No space left") as caught:
        copy.create(str(tmp_path / "file"))
    assert "is there room" in caught.value.hint
