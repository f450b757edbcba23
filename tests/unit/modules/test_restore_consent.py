# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore may do with a data directory that holds something, and who has to agree to it."""

from __future__ import annotations

import types
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import directory
from ansible_collections.pgsftp.backup.plugins.module_utils.directory import Consent, Directory
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import (
    OptionInvalidError,
    PathNotEmptyError,
    PostgresRunningError,
)

HOST = "pg1-srv"
AGREED = Consent(True, HOST, HOST)
UNASKED = Consent(False, None, HOST)

Choose = t.Callable[..., directory.Choice]


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choose:
    """Choose for a directory that is found to be something."""
    (tmp_path / "main").mkdir()

    def run(
        found: Directory,
        consent: Consent,
        *,
        kind: str = "default",
        delta: bool = False,
        check_mode: bool = False,
    ) -> directory.Choice:
        monkeypatch.setattr(directory, "examine", lambda _options: found)
        pg = types.SimpleNamespace(path=f"{tmp_path}/main/")
        options: t.Any = types.SimpleNamespace(pg=pg, type=kind)
        return directory.choose(options, consent, delta=delta, check_mode=check_mode)

    return run


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("found", [Directory.OTHER, Directory.STANDBY])
def test_a_cluster_is_replaced_only_on_the_host_that_is_meant(
    choose: Choose, tmp_path: Path, found: Directory, delta: bool
) -> None:
    with pytest.raises(PathNotEmptyError, match="because it contains files"):
        choose(found, UNASKED, delta=delta)
    for host, given in ((None, "is not given"), ("pg2-srv", "is 'pg2-srv'")):
        with pytest.raises(OptionInvalidError, match=f"confirm_host {given}"):
            choose(found, Consent(True, host, HOST), delta=delta)
    choice = choose(found, AGREED, delta=delta)
    assert (choice.found, choice.done, choice.delta) == (found, False, delta)
    path = str(tmp_path / "main")
    assert list(choice.aside.values()) == ([] if delta else [path])
    assert all(name.startswith(f"{path}.aside-") for name in choice.aside)


def test_a_standby_is_what_was_wanted_unless_it_is_forced(choose: Choose) -> None:
    assert choose(Directory.STANDBY, UNASKED, kind="standby").done
    assert not choose(Directory.STANDBY, AGREED, kind="standby").done
    with pytest.raises(PathNotEmptyError):
        choose(Directory.OTHER, UNASKED, kind="standby")


def test_what_was_interrupted_is_ended_without_asking_again(choose: Choose) -> None:
    choice = choose(Directory.INTERRUPTED, UNASKED)
    assert (choice.done, choice.delta, choice.aside) == (False, True, {})


@pytest.mark.parametrize("found", [Directory.EMPTY, Directory.INTERRUPTED, Directory.OTHER])
def test_nothing_is_done_where_a_server_runs(
    choose: Choose, monkeypatch: pytest.MonkeyPatch, found: Directory
) -> None:
    """In check mode it is said only: the play that restores stops it before."""

    def running(_path: str) -> None:
        raise PostgresRunningError("PostgreSQL is running")

    monkeypatch.setattr(directory, "refuse_running", running)
    with pytest.raises(PostgresRunningError):
        choose(found, AGREED)
    assert not choose(found, AGREED, check_mode=True).done


def test_settings_to_preserve_are_not_renamed_away(choose: Choose) -> None:
    with pytest.raises(OptionInvalidError, match="type 'preserve' needs delta"):
        choose(Directory.OTHER, AGREED, kind="preserve")
    assert choose(Directory.OTHER, AGREED, kind="preserve", delta=True).delta


def test_a_link_is_not_kept_aside(choose: Choose, tmp_path: Path) -> None:
    """The directory that it leads to would be written over."""
    (tmp_path / "main").rename(tmp_path / "real")
    (tmp_path / "main").symlink_to("real")
    with pytest.raises(OptionInvalidError, match="is a link, which cannot be kept aside"):
        choose(Directory.OTHER, AGREED)
    assert choose(Directory.OTHER, AGREED, delta=True).delta
