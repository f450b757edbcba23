# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed options: a secret stays one, the helpers find the right repository and cluster."""

from __future__ import annotations

import copy
import pickle

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    PgOptions,
    RepoOptions,
    Secret,
)


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")
    repo = RepoOptions(cipher_pass=secret)
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        repr(repo),
        "{}".format(secret),  # noqa: UP032
    ):
        assert "hunter2" not in text
        assert "<redacted>" in text
    assert secret.reveal() == "hunter2"


def test_a_secret_survives_a_trip_to_a_worker_and_compares():
    secret = Secret("hunter2")
    assert pickle.loads(pickle.dumps(secret)) == secret == copy.deepcopy(secret)
    assert hash(secret) == hash(Secret("hunter2"))
    assert secret != Secret("other")
    assert secret != "hunter2"


def test_repo_is_the_selected_or_the_lowest():
    one, two = RepoOptions(key=1), RepoOptions(key=2)
    assert Options("info", repos=(one, two)).repo() is one
    assert Options("info", repos=(one, two), selected_repo=2).repo() is two
    assert Options("info", repos=(one, two), selected_repo=2).repo(1) is one
    with pytest.raises(errors.OptionInvalidValueError, match="key '3' is not valid"):
        Options("info", repos=(one, two)).repo(3)
    with pytest.raises(errors.OptionRequiredError):
        Options("info").repo()


def test_what_a_command_cannot_do_without():
    with pytest.raises(errors.OptionRequiredError, match="requires option: pg1-path"):
        Options("backup", stanza="demo").pg  # noqa: B018
    with pytest.raises(errors.OptionRequiredError, match="requires option: stanza"):
        Options("backup").require_stanza()
    options = Options("backup", stanza="demo", pgs=(PgOptions(path="/pg"),))
    assert options.pg.path == "/pg"
    assert options.require_stanza() == "demo"
