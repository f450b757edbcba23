# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries are loaded while somebody else is waited for."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import dependency
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import ServiceError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import eager


@pytest.fixture
def library():
    """A library that was loaded or was not; ``library()`` loads it."""

    class Library:
        loaded = 0

        def __call__(self):
            self.loaded += 1

    yield Library()
    dependency._soon.clear()


def test_what_is_needed_soon_is_loaded_when_there_is_time(library):
    dependency.need_soon(library, library)
    assert not library.loaded
    dependency.load_needed()
    assert library.loaded == 2
    dependency.load_needed()
    assert library.loaded == 2


def test_whoever_needs_it_is_told_what_is_wrong_with_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    dependency.need_soon(library, dependency.numpy, lambda: 1 / 0)
    dependency.load_needed()
    assert library.loaded
    with pytest.raises(ServiceError, match="python library 'numpy' cannot be imported"):
        dependency.numpy()


def test_the_time_is_when_the_key_is_on_its_way(library, monkeypatch):
    steps = []

    class Handler:
        def __init__(self, transport):
            pass

        def auth_publickey(self, user, key, event):
            steps.append(f"key, loaded: {library.loaded}")

        def wait_for_response(self, event):
            steps.append(f"answer, loaded: {library.loaded}")

    class Key:
        def get_name(self):
            return "ssh-ed25519"

    class Transport:
        auth_handler = None

    monkeypatch.setattr(eager, "_handler_class", lambda paramiko: Handler)
    dependency.need_soon(library)
    eager.auth_publickey(Transport(), "me", Key(), lambda: steps.append("channel"))
    assert steps == ["key, loaded: 0", "channel", "answer, loaded: 1"]
