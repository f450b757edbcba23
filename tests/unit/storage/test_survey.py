# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a survey finds on servers with and without each ability, and that it leaves nothing."""

from __future__ import annotations

import os
import struct
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.survey import NEEDED
from ansible_collections.pgsftp.backup.tests.support.sftp_server import ALL_EXTENSIONS

SCRATCH = ".pgsftp-check-1"

# What users are told was tried.
PRIMITIVES = {
    "make directory",
    "create",
    "exclusive create",
    "write",
    "fsync",
    "rename",
    "rename over",
    "list",
    "read",
    "range read",
    "remove",
    "statvfs",
    "limits",
    "symlink",
}


def surveyed(storage, root):
    found = storage.survey(SCRATCH)
    assert os.listdir(root) == [], "the scratch directory is left"
    return found


def not_working(found):
    return {trial.name for trial in found.trials if not trial.works}


def test_everything_works_and_costs_few_round_trips(sftp, root):
    storage = sftp()
    before = storage.round_trips
    found = surveyed(storage, root)
    assert not_working(found) == set()
    assert {trial.name for trial in found.trials} == PRIMITIVES
    assert set(NEEDED) < PRIMITIVES
    assert storage.round_trips - before <= 10
    assert found.round_trip >= 0
    assert found.upload > 0 and found.download > 0 and found.free > 0
    assert found.handles == 1019
    assert found.request == 261120
    assert "posix-rename@openssh.com" in found.extensions


def test_all_of_it_is_tried_in_the_scratch_directory(sftp, root):
    """And nothing but that is touched: what is there may be of value."""
    storage = sftp()
    touched, path = set(), storage.test_server._path

    def noted(fields):
        found = path(fields)
        touched.add(os.fsdecode(found))
        return found

    storage.test_server._path = noted
    surveyed(storage, root)
    scratch = str(root / SCRATCH)
    others = {name for name in touched if name != scratch and not name.startswith(f"{scratch}/")}
    # Looked at for free space, and for what killed runs have left.
    assert others <= {str(root)}, others
    assert len(touched - others) >= 3
    assert not {"setstat", "fsetstat"} & set(storage.test_server.requests)


def test_the_throughput_is_that_of_four_mebibytes(sftp, root):
    storage = sftp()
    sizes = {"write": 0, "read": 0}
    feed = storage.test_server._answer

    def weighed(packet):
        answer = feed(packet)
        if packet[0] == 6:  # WRITE: number, handle, offset, data
            (handle,) = struct.unpack_from(">I", packet, 5)
            sizes["write"] += struct.unpack_from(">I", packet, 9 + handle + 8)[0]
        elif packet[0] == 5 and answer[0] == 103:  # READ, and DATA: number, data
            sizes["read"] += struct.unpack_from(">I", answer, 5)[0]
        return answer

    storage.test_server._answer = weighed
    surveyed(storage, root)
    for size in sizes.values():
        # The other trials need a few bytes besides.
        assert 4 << 20 <= size <= (4 << 20) + 100_000, sizes


@pytest.mark.parametrize("missing", ["fsync", "statvfs", "limits"])
def test_an_extension_that_is_missing(sftp, root, missing):
    name = f"{missing}@openssh.com"
    extensions = {key: value for key, value in ALL_EXTENSIONS.items() if key != name}
    storage = sftp(extensions=extensions, refuse={name: 8})
    found = surveyed(storage, root)
    assert not_working(found) == {missing}
    assert "status 8" in found.trial(missing).detail
    assert (found.free is None) == (missing == "statvfs")


@pytest.mark.parametrize("code", [4, 11])
def test_a_name_that_is_taken_is_refused(sftp, root, code):
    found = surveyed(sftp(extensions={}, rename_taken=code), root)
    over = found.trial("rename over")
    assert over.works is False
    assert f"status {code}" in over.detail
    assert found.trial("read").works


def test_a_plain_rename_that_replaces(sftp, root):
    found = surveyed(sftp(extensions={}, rename_taken=None), root)
    over = found.trial("rename over")
    assert over.works
    assert over.detail == "without posix-rename@openssh.com"


@pytest.mark.parametrize(
    "request_name, trial",
    [
        ("mkdir", "make directory"),
        ("open", "create"),
        ("write", "write"),
        ("rename", "rename"),
        ("read", "read"),
        ("opendir", "list"),
        ("readdir", "list"),
        ("symlink", "symlink"),
    ],
)
def test_what_is_refused_is_told(sftp, request_name, trial):
    found = sftp(refuse={request_name: 3}).survey(SCRATCH)
    assert found.trial(trial).works is False
    assert len(found.trials) == 14


def test_what_cannot_be_removed(sftp):
    found = sftp(refuse={"remove": 3}).survey(SCRATCH)
    assert found.trial("remove").works is False


@pytest.mark.parametrize(
    "defects, trial, kind, reason",
    [
        ({"refuse": {"mkdir": 3}}, "make directory",
         errors.StorageAccessError, "permission denied"),
        ({"read_only": True}, "make directory", errors.StorageAccessError, "read-only file system"),
        ({"inodes": 0}, "create", errors.StorageFullError, "no inodes left on the server ("),
        ({"room": 3_000_000}, "write", errors.StorageFullError, "no space left on the server ("),
        ({"refuse": {"open": 4}, "message": "Too many open files"}, "create",
         errors.StorageLimitError, "too many open files"),
        ({"refuse": {"rename": 4}}, "rename", errors.StorageError, "the server gives no reason"),
        ({"refuse": {"symlink": 8}}, "symlink", errors.StorageError, "operation not supported"),
    ],
)  # fmt: skip
def test_what_is_refused_is_of_the_class_of_its_cause(sftp, root, defects, trial, kind, reason):
    error = surveyed(sftp(**defects), root).trial(trial).error
    assert error.__class__ is kind
    assert error.message.startswith(f"{trial}: {reason}")


def test_a_repository_that_is_not_there_yet(sftp, root):
    storage = sftp()
    root.rmdir()
    found = storage.survey(SCRATCH)
    assert not_working(found) == set()
    assert found.free > 0
    assert not root.exists(), "the repository's directory is left"


def test_a_repository_that_cannot_be_made(sftp, root):
    storage = sftp(refuse_paths={str(root): 3})
    root.rmdir()
    found = storage.survey(SCRATCH)
    assert found.trial("make directory").error.__class__ is errors.StorageAccessError


def test_what_works_has_no_error_and_data_none_at_all(sftp, root):
    found = surveyed(sftp(refuse={"symlink": 8}), root)
    assert [trial.name for trial in found.trials if trial.error is not None] == ["symlink"]
    assert set(found.as_dict()["trials"][0]) == {"name", "works", "detail"}


def test_a_server_that_is_full_keeps_nothing(sftp, root):
    found = surveyed(sftp(room=1_000_000), root)
    assert found.trial("write").works is False
    assert found.trial("read").works is None
    assert found.upload is None


def test_short_answers_are_no_fault(sftp, root):
    found = surveyed(sftp(longest_read=1000), root)
    assert found.trial("read")[:3] == ("read", True, "answers are shorter than asked")
    assert found.trial("range read").works


def test_a_listing_without_attributes(sftp, root):
    found = surveyed(sftp(bare_listing=True), root)
    assert found.trial("list").works
    assert "without attributes" in found.trial("list").detail


def test_one_handle_is_enough(sftp, root):
    assert not_working(surveyed(sftp(handles=1), root)) == set()


def test_a_lost_session_is_no_finding(sftp):
    with pytest.raises(errors.TransportLostError):
        sftp(cut_after=20).survey(SCRATCH)


def test_what_killed_runs_left_goes_when_it_is_old(sftp, root):
    storage = sftp()
    for name, age in (("old", 2 * 86400), ("new", 60)):
        (root / f".pgsftp-check-{name}").mkdir()
        (root / f".pgsftp-check-{name}" / "one").write_bytes(b"x")
        os.utime(root / f".pgsftp-check-{name}", (time.time() - age,) * 2)
    storage.survey(SCRATCH)
    assert os.listdir(root) == [".pgsftp-check-new"]
