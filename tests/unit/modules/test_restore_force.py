# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task's force means where the data directory holds nothing."""

from __future__ import annotations

import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import directory
from ansible_collections.pgsftp.backup.plugins.modules import restore

HOST = "pg1-srv"


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    ("force", "host", "agreed"),
    [(True, HOST, True), (True, "pg2-srv", False), (True, None, False), (False, HOST, False)],
)
def test_what_lies_elsewhere_is_replaced_only_when_that_is_confirmed(
    tmp_path: Path, exists: bool, force: bool, host: str | None, agreed: bool
) -> None:
    """Tablespaces that a disaster has spared; nothing else needs it there."""
    data = tmp_path / "main"
    if exists:
        data.mkdir()
    options: t.Any = types.SimpleNamespace(pg=types.SimpleNamespace(path=str(data)), type="default")
    consent = directory.Consent(force, host, HOST)
    choice = directory.choose(options, consent, delta=False, check_mode=False)
    assert choice == directory.Choice(
        directory.Directory.EMPTY, done=False, delta=False, aside={}, force=agreed
    )


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(("agreed", "given"), [(True, True), (False, None)])
def test_the_engine_is_told(
    monkeypatch: pytest.MonkeyPatch, check_mode: bool, agreed: bool, given: bool | None
) -> None:
    """Without consent the options of the task are left as they are."""
    told: list[t.Any] = []

    def options(command: str, **overrides: t.Any) -> t.Any:
        told.append(overrides.get("force"))
        return types.SimpleNamespace(pg=types.SimpleNamespace(path="/data"))

    names = (*restore.SAME, "recovery_options", "confirm_host", "_host")
    task: t.Any = types.SimpleNamespace(
        params={**dict.fromkeys(names), "state": "restored", "force": True, "delta": False},
        check_mode=check_mode,
        attaches=False,
        ask=None,
        options=options,
        perform=None,
    )
    choice = directory.Choice(directory.Directory.EMPTY, False, False, {}, force=agreed)
    monkeypatch.setattr(directory, "choose", lambda *_a, **_k: choice)
    for name in ("plan", "restore"):
        monkeypatch.setattr(directory, name, lambda *_a, **_k: {})
    assert restore.work(task)["changed"]
    assert told == [None, given]
