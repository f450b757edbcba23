# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that runs as the owner of a directory does nothing there that the owner could not do."""

from __future__ import annotations

import os
import pwd
import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.tests.support.playbook import HOST, Playbook

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

OWNER = pwd.getpwnam("nobody")


@pytest.fixture(name="home")
def home_of_the_owner() -> t.Iterator[Path]:
    """A directory that the owner can reach, beside one that is root's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        home = Path(name, "home")
        home.mkdir()
        os.chown(home, OWNER.pw_uid, OWNER.pw_gid)
        Path(name, "victim").mkdir(mode=0o755)
        Path(name, "victim", "file").write_text("root's\n", encoding="utf-8")
        Path(name, "victim", "file").chmod(0o600)
        yield home


def _run(
    place: Path, *tasks: tuple[str, dict[str, t.Any]], user: str = OWNER.pw_name, **play: t.Any
) -> list[t.Any]:
    book = Playbook(place)
    # One that the owner can run, and connections that are not sent to it by themselves.
    (place / "inventory").write_text(
        f"{HOST} ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n",
        encoding="utf-8",
    )
    book.environment["ANSIBLE_PIPELINING"] = "0"
    rows = [
        {
            "pgsftp.backup.as_owner": {"user": user, "module": module, "args": args},
            "ignore_errors": True,
            **play,
        }
        for module, args in tasks
    ]
    out, results = book.finish(book.start(book.write(*rows), "--diff"))
    assert len(results) == len(tasks), out
    return results


def test_it_has_the_rights_and_the_home_of_the_owner(tmp_path: Path) -> None:
    words = ["/usr/bin/python3", "-c", "import os; print(os.getuid(), os.getgid(), os.getcwd())"]
    who, home, facts = _run(
        tmp_path,
        ("ansible.builtin.command", {"argv": words}),
        ("ansible.builtin.stat", {"path": "~"}),
        ("ansible.builtin.setup", {"gather_subset": ["!all"]}),
    )
    assert who["stdout"] == f"{OWNER.pw_uid} {OWNER.pw_gid} /"
    assert home["invocation"]["module_args"]["path"] == OWNER.pw_dir
    # Those it might invent.
    assert not facts["failed"]
    assert "ansible_facts" not in facts


def test_it_changes_what_is_the_owners(tmp_path: Path, home: Path) -> None:
    task = ("ansible.builtin.lineinfile", {"path": str(home / "new"), "line": "x", "create": True})
    first, second = _run(tmp_path, task, task)
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["diff"][0]["after"] == "x\n"
    assert (home / "new").stat().st_uid == OWNER.pw_uid


def test_in_check_mode_it_changes_nothing(tmp_path: Path, home: Path) -> None:
    task = ("ansible.builtin.file", {"path": str(home / "new"), "state": "directory"})
    (answer,) = _run(tmp_path, task, check_mode=True)
    assert answer["changed"] and "diff" in answer
    assert not (home / "new").exists()


def test_a_user_is_foreseen_but_not_made_up(tmp_path: Path) -> None:
    task = ("ansible.builtin.file", {"path": "/nowhere/new", "state": "directory"})
    (foreseen,) = _run(tmp_path, task, user="nobody-yet", check_mode=True)
    assert not foreseen["failed"] and foreseen["changed"]
    assert foreseen["msg"] == "user nobody-yet does not exist yet"


def test_it_does_nothing_to_where_a_link_leads(tmp_path: Path, home: Path) -> None:
    victims = [home.parent / "victim", home.parent / "victim" / "file"]
    for number, victim in enumerate(victims):
        (home / f"link{number}").symlink_to(victim)
    before = [victim.stat() for victim in victims]
    directory, file = ({"path": str(home / f"link{number}")} for number in (0, 1))
    answers = _run(
        tmp_path,
        ("ansible.builtin.file", {**directory, "state": "directory", "mode": "0770"}),
        ("ansible.builtin.file", {**file, "state": "touch", "mode": "0666"}),
        ("ansible.builtin.lineinfile", {**file, "line": "x"}),
        ("ansible.builtin.blockinfile", {**file, "block": "x", "owner": OWNER.pw_name}),
        ("ansible.builtin.slurp", file),
    )
    assert all(answer["failed"] for answer in answers)
    after = [victim.stat() for victim in victims]
    assert [(row.st_uid, row.st_mode) for row in after] == [
        (row.st_uid, row.st_mode) for row in before
    ]
    assert victims[1].read_text(encoding="utf-8") == "root's\n"


def test_a_module_that_root_would_have_to_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is sent to its interpreter comes by way of the owner."""
    module = tmp_path / "library" / "told_in_shell"
    module.parent.mkdir()
    module.write_text(
        """#!/bin/sh\n# WANT_JSON\necho "{\\"uid\\": $(id -u)}"\n""", encoding="utf-8"
    )
    module.chmod(0o755)
    monkeypatch.setenv("ANSIBLE_LIBRARY", str(module.parent))
    (found,) = _run(tmp_path, ("told_in_shell", {}))
    assert found["failed"] and "uid" not in found
    assert "only a module in Python" in found["msg"]
