# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that go away in the middle: that is said, and nothing else."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("how", ["cut_after", "silent_after"])
def test_a_lost_session_is_that_and_nothing_else(sftp, root, after, how):
    """Whatever the moment: TransportLostError, never "not found", and never half a file."""
    try:
        storage = sftp(**{how: after})
        storage.write("d/old", b"old")
        storage.write("d/old", b"new")
        storage.read("d/old")
        storage.info("d/old")
    except errors.EngineError as error:
        assert error.__class__ is errors.TransportLostError
        assert error.code == errors.HostConnectError.code
        assert "connection to sftp-srv lost" in error.message
    else:
        pytest.fail("the session was not lost")
    if (root / "d/old").exists():
        assert (root / "d/old").read_bytes() in (b"old", b"new")


def test_everything_under_way_fails_with_the_session(sftp):
    storage = sftp(cut_after=30)
    writers = [storage.writer(f"f{number}", publish=Publish.RENAME) for number in range(20)]
    completions = []
    with pytest.raises(errors.TransportLostError):
        for writer in writers:
            writer.write(b"x" * 100_000)
            completions.append(writer.finish())
        storage.wait(completions)
    for completion in completions:
        assert completion.ready()
        with pytest.raises(errors.TransportLostError):
            completion.wait()
    for action in (
        lambda: storage.read("f1"),
        lambda: storage.list(""),
        lambda: storage.info("f1"),
        lambda: storage.writer("y", publish=Publish.RENAME),
    ):
        with pytest.raises(errors.TransportLostError):
            action()
    for writer in writers:
        writer.abort()
    storage.close()


def test_silence_is_a_lost_session(sftp):
    storage = sftp(silent_after=3)
    with pytest.raises(errors.TransportLostError, match="no answer in time"):
        storage.write("x", b"data")


def test_an_answer_to_nothing(sftp):
    storage = sftp()
    storage.line._due.append(bytes.fromhex("000000096500ffffff00000000"))
    with pytest.raises(errors.ProtocolError, match=r"that is not open \(sftp-srv\)"):
        storage.list("")
    with pytest.raises(errors.ProtocolError):
        storage.list("")


def test_a_closed_storage_says_so(sftp):
    storage = sftp()
    storage.close()
    with pytest.raises(errors.TransportLostError, match="is closed"):
        storage.read("x")


def test_what_has_arrived_is_given_although_the_session_is_lost(sftp):
    storage = sftp()
    storage.write("x", b"x" * 600_000)
    reader = storage.reader("x", size=600_000)
    first = reader.take()
    storage.test_server.ended = True
    with pytest.raises(errors.TransportLostError):
        storage.list("")
    assert first + reader.read_all() == b"x" * 600_000
