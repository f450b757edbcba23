# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input gets the same words from the host command and from the module, and changes nothing."""

from __future__ import annotations

import itertools
import re
import typing as t

import pytest

from ansible_collections.pgsftp.backup.tests.support import sshd as real_sshd
from ansible_collections.pgsftp.backup.tests.support.engine import own
from ansible_collections.pgsftp.backup.tests.support.playbook import Playbook

pytestmark = [pytest.mark.integration, pytest.mark.jobs]


class Case(t.NamedTuple):
    """One refusal: where, by which command and module, and what it has to say."""

    site: str
    command: str
    module: str
    code: int
    cause: str
    hint: str


CASES = (
    Case("wrong key", "stanza-create", "stanza", 101, "public key refused", "authorized_keys"),
    Case("wrong key", "backup", "backup", 101, "public key refused", "authorized_keys"),
    Case("unknown host key", "stanza-create", "stanza", 101, "is unknown", "known_hosts"),
    Case("unknown host key", "check", "check", 101, "is unknown", "known_hosts"),
    Case("down", "stanza-create", "stanza", 56, "unable to connect to PostgreSQL", ""),
    Case("down", "backup", "backup", 56, "unable to connect to PostgreSQL", ""),
    Case("down", "check", "check", 56, "unable to connect to PostgreSQL", ""),
    Case("not empty", "restore", "restore", 40, "because it contains files", "confirm_host"),
    Case("running", "restore", "restore", 38, "PostgreSQL is running", "stop"),
    Case("another", "stanza-create", "stanza", 28, "is of another cluster", "right stanza"),
    Case("another", "backup", "backup", 51, "system-id", "stanza"),
    Case("no configuration", "backup", "backup", 55, "unable to open missing file", "config"),
)


@pytest.fixture(scope="module")
def running(sites):
    """A cluster that archives into the repository of all, and has a backup there."""
    return sites.with_backup()


@pytest.fixture(scope="module")
def by_name(sites, running, tmp_path_factory):
    """A site for each cause, all with the one repository."""
    server = real_sshd.start(tmp_path_factory.mktemp("sshd"))
    made = {"running": running}
    for name in ("wrong key", "unknown host key", "not empty"):
        made[name] = sites(running.cluster)
    for name in ("down", "another"):
        made[name] = sites()
    for site in made.values():
        site.configure(repo1_path=str(running.repo))

    for name in ("wrong key", "unknown host key"):
        made[name].use_sftp(server)
    other = made["wrong key"].root / "keys" / "other"
    real_sshd.keygen(other, "ed25519")
    own(other)
    made["wrong key"].configure(repo1_sftp_private_key_file=str(other))
    (made["unknown host key"].root / "keys" / "known_hosts").write_text("")

    # A stanza of its own that was right, until the server went down.
    down = made["down"]
    down.configure(repo1_path=str(down.repo))
    down.run("stanza-create")
    down.cluster.stop()

    copy = made["not empty"].restored("full")
    made["not empty"].cluster = copy
    made["not empty"].configure()
    copy.data.mkdir(mode=0o700)
    own(copy.data)
    (copy.data / "precious").write_text("data")

    another = made["another"]
    another.cluster.configure(archive_mode="on", archive_command="true pgbackrest %p")
    another.cluster.restart()

    nowhere = made["no configuration"] = sites(running.cluster)
    nowhere.config.unlink()
    yield made
    server.stop()


@pytest.fixture(scope="module")
def answers(by_name, running, tmp_path_factory):
    """What the modules return, in one play; they leave everything as it is."""
    tasks = [(case.module, {"config": str(by_name[case.site].config)}) for case in CASES]
    before = contents(by_name)
    playbook = Playbook(tmp_path_factory.mktemp("playbook"))
    rows = playbook.run_all(tasks, site=running)
    assert contents(by_name) == before
    return dict(zip(CASES, rows, strict=True))


def contents(by_name):
    """All that lies in the repositories, and the data that a restore must not touch."""
    roots = {by_name["running"].repo, by_name["down"].repo, by_name["not empty"].cluster.data}
    return {
        path: path.read_bytes() if path.is_file() else None
        for root in roots
        for path in root.rglob("*")
        # The server that runs goes on archiving.
        if "archive" not in path.parts or path.suffix in (".info", ".copy")
    }


def said(done, code):
    """The error of a command as one text: its lines of the log, without what is before them."""
    lines = (done.stdout + done.stderr).splitlines()
    found = [(at, re.search(r"\bERROR: \[(\d{3})\]: (.*)", line)) for at, line in enumerate(lines)]
    ((first, match),) = [row for row in found if row[1]]
    assert int(match[1]) == code
    further = itertools.takewhile(lambda line: line.startswith(" "), lines[first + 1 :])
    return [match[2], *(line.strip() for line in further)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.site}, {case.command}")
def test_command_and_module_say_the_same(case, by_name, answers):
    before = contents(by_name)
    text = said(by_name[case.site].run(case.command, code=case.code), case.code)
    assert contents(by_name) == before
    answer = answers[case]
    assert answer["failed"]
    assert [line.strip() for line in answer["msg"].splitlines()] == text
    assert (answer["code"], answer["failure"]["code"]) == (case.code, case.code)
    assert case.cause in text[0]
    assert not text[0].endswith(".")
    hints = [line for line in text if line.startswith("HINT: ")]
    assert hints == text[-1:] == [f"HINT: {answer['failure']['hint']}"]
    assert case.hint in hints[0]
    assert "Traceback" not in answer["msg"]
