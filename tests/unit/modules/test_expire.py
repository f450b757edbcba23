# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""expire as a task: what check mode foresees is what happens, and the diff shows all of it."""

from __future__ import annotations

import dataclasses
import os
import pwd

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import backup_info
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.posix import PosixStorage
from ansible_collections.pgsftp.backup.plugins.modules import expire
from ansible_collections.pgsftp.backup.tests.support.expiring import two_sets

KEEP_ONE = {"repo1-retention-full": 1}


@pytest.fixture
def place(fixture_repositories, tmp_path):
    return two_sets(fixture_repositories, tmp_path)


@pytest.fixture
def task(place, fake_module, answer_of):
    """Run the module on the repository, or with another configuration."""

    def run(options, *, check=False, config=place.config, **parameters):
        fake_module.check_mode = check
        fake_module.params = {
            "stanza": "demo",
            "config": str(config),
            "options": options,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            **parameters,
        }
        answer = answer_of(expire.main)
        assert not answer.failed, answer.result
        return answer.result

    return run


def test_what_is_foreseen_happens_once(place, task):
    before = place.tree()
    foreseen = task(KEEP_ONE, check=True)
    assert place.tree() == before
    done = task(KEEP_ONE)
    assert place.listed() == place.new
    assert (foreseen["changed"], done["changed"]) == (True, True)
    assert done["diff"] == foreseen["diff"]
    assert done["diff"]["before"]["repo1"]["backups"] == place.old + place.new
    assert done["diff"]["after"]["repo1"]["backups"] == place.new
    assert done["diff"]["after"]["repo1"]["removed_wal"] == [
        "15-1: 000000010000000000000008 to 00000001000000000000000A"
    ]
    for check in (True, False):
        again = task(KEEP_ONE, check=check)
        assert not again["changed"]
        assert again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.parametrize("wish", ["oldest", "set"])
def test_what_is_named_goes(place, task, wish):
    wished = {"oldest": True} if wish == "oldest" else {"set": place.new[1]}
    left = place.new if wish == "oldest" else [*place.old, place.new[0]]
    for check in (True, False):
        told = task({}, check=check, **wished)
        assert told["diff"]["after"]["repo1"]["backups"] == left
    assert place.listed() == left


def test_a_list_that_is_put_right_is_in_the_diff(place, task):
    """Nothing is removed, and yet something changes."""
    storage = PosixStorage(str(place.path))
    catalogue = backup_info.load(storage, "demo", None)
    lost = place.new[1]
    gone = f"{place.new[0]}_20261231-000000I"
    listed = catalogue.without_backups([lost]).with_backup(
        dataclasses.replace(catalogue.backups[lost], label=gone)
    )
    backup_info.save(storage, "demo", listed, None)
    for check in (True, False):
        told = task({}, check=check)
        assert told["changed"]
        assert told["diff"]["before"] != told["diff"]["after"]
        assert told["diff"]["after"]["repo1"]["relisted"] == [lost, gone]
    assert not task({})["changed"]


def test_where_nothing_is_nothing_goes(place, task, tmp_path):
    nothing = {"changed": False, "repos": [], "diff": {"before": {}, "after": {}}}
    told = task({}, check=True, config=tmp_path / "nowhere.conf")
    assert {key: told[key] for key in nothing} == nothing
    place.path.rename(tmp_path / "away")
    told = task(KEEP_ONE, check=True)
    assert {key: told[key] for key in nothing} == nothing
