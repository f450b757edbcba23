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
def module(tmp_path, monkeypatch):
    """Make a module of that text; gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(text):
        made.append(f"needed_soon_{len(made)}")
        (tmp_path / f"{made[-1]}.py").write_text(text)
        return made[-1]

    yield write
    dependency._soon.clear()
    for name in made:
        sys.modules.pop(name, None)


def test_what_is_needed_soon_is_loaded_when_there_is_time(module):
    names = [module("value = 7"), module("value = 8")]
    dependency.need_soon(*names)
    assert not set(names) & sys.modules.keys()
    dependency.load_needed()
    assert set(names) < sys.modules.keys()
    assert not dependency._soon


def test_whoever_needs_it_is_told_what_is_wrong_with_it(module, monkeypatch):
    good = module("value = 7")
    dependency.need_soon(module("1 / 0"), "not_there_at_all", good)
    dependency.load_needed()
    assert good in sys.modules
    monkeypatch.setitem(sys.modules, "numpy", None)
    dependency.need_soon("numpy")
    dependency.load_needed()
    with pytest.raises(ServiceError, match="python library 'numpy' cannot be imported"):
        dependency.numpy()


def test_the_time_is_when_the_key_is_on_its_way(module, monkeypatch):
    name = module("value = 7")
    steps = []

    class Handler:
        def __init__(self, transport):
            pass

        def auth_publickey(self, user, key, event):
            steps.append(f"key, loaded: {name in sys.modules}")

        def wait_for_response(self, event):
            steps.append(f"answer, loaded: {name in sys.modules}")

    class Key:
        def get_name(self):
            return "ssh-ed25519"

    class Transport:
        auth_handler = None

    monkeypatch.setattr(eager, "_handler_class", lambda library: Handler)
    dependency.need_soon(name)
    eager.auth_publickey(Transport(), "me", Key(), lambda: steps.append("channel"))
    assert steps == ["key, loaded: False", "channel", "answer, loaded: True"]
