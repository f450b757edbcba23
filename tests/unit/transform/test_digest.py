# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest that is taken beside other work is the same one."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform import digest
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.digest import Sha1


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Streams count as large sooner."""
    monkeypatch.setattr(digest, "BESIDE", 1000)
    monkeypatch.setattr(digest, "LOT", 300)


@given(st.lists(st.tuples(st.sampled_from("bvh"), st.binary(max_size=700)), max_size=30))
def test_it_is_that_of_the_library(steps):
    """Bytes and views in any order, and the digest asked for in between."""
    found, expected = Sha1(), hashlib.sha1()
    for kind, data in steps:
        expected.update(data)
        if kind == "v":
            buffer = bytearray(data)
            found.update(memoryview(buffer))
            # Whoever gave a view uses it for the next bytes.
            buffer[:] = bytes(len(buffer))
        else:
            found.update(data)
        if kind == "h":
            assert found.hexdigest() == expected.hexdigest()
    assert found.hexdigest() == expected.hexdigest()


def test_a_small_stream_needs_no_thread(monkeypatch):
    monkeypatch.setattr(digest, "_thread", lambda pid: pytest.fail("a thread"))
    found = Sha1()
    found.update(b"x" * 999)
    assert found.hexdigest() == hashlib.sha1(b"x" * 999).hexdigest()


def test_only_so_much_waits_to_be_taken(monkeypatch):
    """Else a slow processor would let a whole file pile up in memory."""
    gate, taken = threading.Event(), []

    def slow(_digest, lot):
        gate.wait(10)
        taken.append(lot)

    monkeypatch.setattr(digest, "_take", slow)
    found = Sha1()
    found.update(b"x" * 999)

    def fill():
        for _number in range(50):
            found.update(b"y" * 400)

    filling = threading.Thread(target=fill)
    filling.start()
    filling.join(0.3)
    assert filling.is_alive()
    assert len(found._given) <= digest.LOTS
    gate.set()
    filling.join(10)
    assert not filling.is_alive()
    assert found._given
    found.hexdigest()
    assert [len(lot) for lot in taken if lot] == [1] * 50


def test_a_process_that_was_forked_has_a_thread_of_its_own():
    def once():
        made = Sha1()
        for _number in range(20):
            made.update(b"z" * 400)
        return made.hexdigest()

    expected = once()
    child = os.fork()
    if not child:
        os._exit(0 if once() == expected == hashlib.sha1(b"z" * 8000).hexdigest() else 1)
    _pid, status = os.waitpid(child, 0)
    assert status == 0
