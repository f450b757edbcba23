# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done in the directory above the data directory, by whom, and with nothing else there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import above


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "main"
    path.mkdir()
    (path / "mine").touch()
    return path


@pytest.fixture
def aside(data: Path) -> Path:
    return data.with_name("main.aside-20261122-193512")


def test_a_directory_is_kept_comes_back_and_goes(data: Path, aside: Path) -> None:
    here = above.Above(str(data))
    here.keep(str(aside))
    assert [path.name for path in aside.iterdir()] == ["mine"]
    assert list(data.iterdir()) == []
    assert data.stat().st_mode & 0o777 == 0o700
    here.back(str(aside))
    assert [path.name for path in data.iterdir()] == ["mine"]
    assert not aside.exists()
    aside.mkdir()
    here.remove(str(aside))
    assert not aside.exists()


def test_nothing_that_has_something_is_lost(data: Path, aside: Path) -> None:
    here = above.Above(str(data))
    here.keep(str(aside))
    (data / "new").touch()
    for verb in (here.back, here.remove):
        with pytest.raises(OSError):
            verb(str(aside))
    assert (data / "new").exists() and (aside / "mine").exists()


def test_what_the_owner_may_not_do_root_is_asked_for(
    data: Path, aside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: str, verb: str, aside: str) -> None:
        raise PermissionError(errno.EACCES, "no")

    asked = []

    def ask(request: above.Json) -> above.Json:
        asked.append(request)
        return {} if len(asked) == 1 else {"errno": errno.EBUSY}

    monkeypatch.setattr(above, "perform", forbidden)
    here = above.Above(str(data), ask)
    here.keep(str(aside))
    assert asked == [{"verb": "keep", "aside": str(aside)}]
    with pytest.raises(OSError) as caught:
        here.keep(str(aside))
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(PermissionError):
        above.Above(str(data)).keep(str(aside))


@pytest.mark.parametrize(
    "name",
    [
        "main",
        "other.aside-20261122-193512",
        "main.aside-20261122-193512/../x",
        "main.aside-x",
        "main.aside-20261122-193512.keep",
        "../main.aside-20261122-193512",
        "main.aside-20261122-193512\n",
    ],
)
def test_root_touches_no_other_name(data: Path, name: str) -> None:
    for verb in ("may", "keep", "back", "remove"):
        answer = above.serve(str(data), {"verb": verb, "aside": f"{data.parent}/{name}"})
        assert answer == {"errno": errno.EPERM}
    assert [path.name for path in data.parent.iterdir()] == ["main"]


def test_root_does_nothing_else(data: Path, aside: Path) -> None:
    assert above.serve(str(data), {"verb": "unlink", "aside": str(aside)}) == {"errno": errno.EPERM}
    assert above.serve(str(data), {}) == {"errno": errno.EPERM}
