# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scheduled job does where, on a server and a repository that say what the test wants."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles/schedule/files/pgsftp-schedule"

DAY = 86400


class Stand:
    """A server, a host command and settings, all of them made up."""

    def __init__(self, program: t.Any, place: Path) -> None:
        self.program = program
        self.place = place
        (place / "state").mkdir()
        self.settings: dict[str, t.Any] = {
            "stanza": "demo",
            "command": str(
                self._script(
                    "pgsftp",
                    f'echo "$@" >> {place}/said; case $* in *" backup") cp {place}/taken '
                    f"{place}/answer 2>/dev/null;; esac; cat {place}/answer",
                )
            ),
            "config": "/etc/pgbackrest.conf",
            "psql": [str(self._script("psql", f"cat {place}/role"))],
            "from": "standby",
            "jobs": ["full", "incr", "verify"],
            "options": {},
            "max_ages": {"full": 8 * DAY, "incr": 2 * DAY, "verify": 8 * DAY},
            "delay": 300,
            "state_directory": str(place / "state"),
        }
        self.server("t|f")
        self.backups()

    def _script(self, name: str, text: str) -> Path:
        path = self.place / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def server(self, role: str) -> None:
        """What it says: is a standby | is followed by one."""
        (self.place / "role").write_text(f"{role}\n", encoding="utf-8")

    def answers(self, answer: object) -> None:
        """What the host command says."""
        (self.place / "answer").write_text(json.dumps(answer), encoding="utf-8")

    def backups(self, name: str = "answer", **ages: int) -> None:
        """What the repository has: for a type, the newest one's age in seconds."""
        now = int(time.time())
        rows = [
            # Of old backups pgBackRest does not say whether they have an error.
            {"type": kind, "timestamp": {"stop": now - age}}
            for kind, age in ages.items()
        ]
        (self.place / name).write_text(json.dumps([{"backup": rows}]), encoding="utf-8")

    def takes(self, **ages: int) -> None:
        """What the repository has when a backup has been taken here."""
        self.backups("taken", **ages)

    def job(self, name: str) -> int:
        """Run a job; gives its exit code."""
        path = self.place / "schedule-demo.json"
        path.write_text(json.dumps(self.settings), encoding="utf-8")
        return t.cast(int, self.program.main(["demo", name]))

    @property
    def commands(self) -> list[str]:
        """Which commands were called, and which type of backup; not how often it asked."""
        path = self.place / "said"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        said = [" ".join(word for word in line.split() if not _common(word)) for line in lines]
        return [command for command in said if command != "info"]

    def ends(self, code: int) -> None:
        """With what the host command ends, unless it is asked what there is."""
        answer = f"*info) cat {self.place}/answer;;"
        self._script("pgsftp", f"case $* in {answer} *) exit {code};; esac")

    def age(self, name: str) -> float | None:
        """Of the dead-man file of a job, in seconds."""
        path = self.place / "state" / f"{name}.ok"
        return time.time() - path.stat().st_mtime if path.exists() else None


def _common(word: str) -> bool:
    return word.startswith(("--config", "--stanza", "--log", "--output"))


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    loader = importlib.machinery.SourceFileLoader("pgsftp_schedule", str(PROGRAM))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    program = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.dont_write_bytecode", True)
        loader.exec_module(program)
    monkeypatch.setattr(program, "SETTINGS", f"{tmp_path}/schedule-{{}}.json")
    return Stand(program, tmp_path)


def test_the_standby_takes_the_backup(stand: Stand) -> None:
    assert stand.job("full") == 0
    assert stand.commands == ["--type=full backup"]
    age = stand.age("full")
    assert age is not None and age < 60


@pytest.mark.parametrize(
    ("age", "delay", "taken"), [(200, 300, False), (400, 300, True), (1, 0, True)]
)
def test_of_several_standbys_the_first_takes_it(
    stand: Stand, age: int, delay: int, taken: bool
) -> None:
    stand.settings["delay"] = delay
    stand.backups(full=age, incr=age)
    stand.takes(full=0)
    assert stand.job("full") == 0
    assert stand.commands == ["--type=full backup"] * taken
    found = stand.age("full")
    assert found is not None and (found < 60 if taken else age - 2 < found < age + 60)


@pytest.mark.parametrize("ahead", [0, 600, -600])
def test_a_standby_does_not_take_its_own_backup_for_another_ones(stand: Stand, ahead: int) -> None:
    """Whatever the clock is by which the repository knows when it ended."""
    stand.settings["delay"] = 3600
    stand.takes(incr=-ahead)
    for _hour in range(2):
        assert stand.job("incr") == 0
    assert stand.commands == ["--type=incr backup"] * 2
    stand.backups(incr=-ahead - 1)
    assert stand.job("incr") == 0
    assert len(stand.commands) == 2


def test_a_full_backup_of_its_own_is_no_incremental_one_of_another(stand: Stand) -> None:
    stand.settings["delay"] = 3600
    stand.takes(full=0)
    for job in ("full", "incr"):
        assert stand.job(job) == 0
    assert stand.commands == ["--type=full backup", "--type=incr backup"]


def test_for_one_backup_of_another_standby_it_stands_back_once(stand: Stand) -> None:
    stand.settings["delay"] = 3600
    stand.backups(incr=60)
    for _hour in range(2):
        assert stand.job("incr") == 0
    assert stand.commands == ["--type=incr backup"]


def test_a_backup_has_gone_well_also_if_the_repository_does_not_say_when(stand: Stand) -> None:
    (stand.place / "taken").write_text("nothing", encoding="utf-8")
    assert stand.job("full") == 0
    age = stand.age("full")
    assert age is not None and age < 60


def test_settings_that_are_older_than_the_program_are_understood(stand: Stand) -> None:
    del stand.settings["delay"]
    stand.backups(full=200)
    assert stand.job("full") == 0
    assert stand.commands == []


def test_of_several_standbys_one_that_waited_for_another_leaves_it_at_that(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.settings["delay"] = 0
    stand.backups(full=DAY)
    stand.ends(50)
    monkeypatch.setattr(stand.program.time, "sleep", lambda _seconds: stand.backups(full=-300))
    assert stand.job("full") == 0
    out = capsys.readouterr().out
    assert "this is a standby, and another one has just taken it" in out


@pytest.mark.parametrize("role", ["f|f", "f|t"])
def test_the_primary_takes_what_it_should_whoever_was_before(stand: Stand, role: str) -> None:
    stand.settings["from"] = "primary"
    stand.server(role)
    stand.backups(full=1)
    assert stand.job("full") == 0
    assert stand.commands == ["--type=full --backup-standby=n backup"]


def test_the_primary_leaves_it_to_a_standby_that_streams(stand: Stand) -> None:
    stand.server("f|t")
    stand.backups(full=3600)
    assert stand.job("full") == 0
    assert not any("backup" in command for command in stand.commands)
    # The monitor of this host sees the age of what the other one did.
    age = stand.age("full")
    assert age is not None and 3500 < age < 4500


def test_a_promoted_standby_goes_on_alone(stand: Stand) -> None:
    stand.server("f|f")
    assert stand.job("incr") == 0
    assert stand.commands == ["--type=incr --backup-standby=n backup"]


def test_the_primary_takes_over_what_is_overdue(stand: Stand) -> None:
    stand.server("f|t")
    stand.backups(full=9 * DAY, incr=3600)
    assert stand.job("full") == 0
    assert stand.commands[-1] == "--type=full --backup-standby=n backup"
    before = len(stand.commands)
    assert stand.job("incr") == 0
    assert not any("backup" in command for command in stand.commands[before:])


@pytest.mark.parametrize(("role", "done"), [("t|f", False), ("f|t", True), ("f|f", True)])
def test_jobs_of_the_primary(stand: Stand, role: str, done: bool) -> None:
    stand.settings["from"] = "primary"
    stand.server(role)
    stand.backups(full=60)
    assert stand.job("full") == 0
    assert any("--type=full" in command for command in stand.commands) == done


def test_a_server_that_is_down_is_a_failure(
    stand: Stand, capfd: pytest.CaptureFixture[str]
) -> None:
    (stand.place / "role").unlink()
    assert stand.job("full") == 1
    assert "full failed: the server does not answer" in capfd.readouterr().err
    assert stand.age("full") is None


def test_a_failed_command_leaves_the_old_time(stand: Stand) -> None:
    path = stand.place / "state" / "full.ok"
    path.touch()
    os.utime(path, (1000, 1000))
    stand._script("pgsftp", "exit 82")
    assert stand.job("full") == 1
    assert path.stat().st_mtime == 1000


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("error", 1)])
def test_damage_is_a_failure_of_verify(stand: Stand, status: str, code: int) -> None:
    found = [{"label": "20261122-193512F", "status": "invalid" if code else "valid"}]
    stand.answers({"status": status, "files": [], "backups": found})
    assert stand.job("verify") == code
    assert (stand.age("verify") is None) == bool(code)


def test_options_of_a_job_are_its_own(stand: Stand) -> None:
    stand.settings["options"] = {"verify": {"process-max": 1}}
    assert stand.job("full") == 0
    stand.answers({"status": "ok", "files": [], "backups": []})
    assert stand.job("verify") == 0
    assert stand.commands == ["--type=full backup", "--process-max=1 verify"]


def test_options_are_written_in_yaml_as_the_modules_take_them(stand: Stand) -> None:
    stand.settings["options"] = {
        "full": {
            "delta": True,
            "start-fast": False,
            "exclude": ["a/", "b/"],
            "annotation": {"by": "timer", "for": "all"},
            "process-max": 2,
        }
    }
    assert stand.job("full") == 0
    (line,) = stand.commands
    words = "--delta=y --start-fast=n --exclude=a/ --exclude=b/ --annotation=by=timer"
    assert line == f"{words} --annotation=for=all --process-max=2 --type=full backup"


# As systemd runs it, apart from where the settings are.
RUN = """
import sys
program, settings, job = sys.argv[1:]
names = {"__name__": "program"}
exec(compile(open(program).read(), program, "exec"), names)
names["SETTINGS"] = settings
sys.exit(names["main"](["demo", job]))
"""


@pytest.mark.parametrize(("code", "ends"), [(63, 1), (50, 1), (0, 0)])
@pytest.mark.parametrize("job", ["full", "expire", "verify"])
def test_who_ends_a_job_has_the_command_end_first(
    stand: Stand, job: str, code: int, ends: int
) -> None:
    """systemctl stop, a shutdown or schedule_time_limit: systemd signals this program alone."""
    begun, ended = stand.place / "begun", stand.place / "ended"
    stand.answers({"status": "ok", "files": [], "backups": []} if job != "full" else [])
    loop = f"touch {begun}; for _ in $(seq 100); do sleep 0.05; done"
    answer = f"cat {stand.place}/answer"
    trap = f"trap 'sleep 0.3; {answer}; touch {ended}; exit {code}' TERM"
    stand._script("pgsftp", f"case $* in *info) {answer};; *) {trap}; {loop};; esac")
    settings = stand.place / "settings.json"
    settings.write_text(json.dumps(stand.settings), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-B", "-c", RUN, PROGRAM, settings, job],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        while not begun.exists():
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        _out, told = running.communicate()
    assert running.returncode == ends
    assert ended.exists()
    name = "backup" if job == "full" else job
    said = f"{job} failed: {name} was ended by SIGTERM, with exit code {code}"
    assert (said in told) == bool(ends)
    assert (stand.age(job) is not None) == (not ends)


def test_a_host_that_does_not_verify_has_no_old_file(stand: Stand) -> None:
    path = stand.place / "state" / "verify.ok"
    path.touch()
    stand.server("f|t")
    assert stand.job("verify") == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("role", "full", "verified", "late"),
    [
        ("t|f", 3600, 3600, ""),
        ("t|f", 9 * DAY, 3600, "full"),
        ("t|f", 3600, 9 * DAY, "verify"),
        ("f|t", 3600, 9 * DAY, ""),  # the other host's business
        ("f|t", 9 * DAY, 3600, "full"),  # of the repository, so everybody's
    ],
)
def test_watch_tells_what_is_overdue(
    stand: Stand,
    capfd: pytest.CaptureFixture[str],
    role: str,
    full: int,
    verified: int,
    late: str,
) -> None:
    stand.server(role)
    stand.backups(full=full, incr=60)
    path = stand.place / "state" / "verify.ok"
    path.touch()
    os.utime(path, (time.time() - verified,) * 2)
    assert stand.job("watch") == (1 if late else 0)
    told = capfd.readouterr().err
    assert (f"watch failed: {late} went well last" in told) == bool(late)


def test_watch_knows_when_there_never_was_a_backup(
    stand: Stand, capfd: pytest.CaptureFixture[str]
) -> None:
    assert stand.job("watch") == 1
    assert "full went well last: never" in capfd.readouterr().err


@pytest.mark.parametrize("words", [[], ["demo"], ["demo", "nothing"]])
def test_what_cannot_be_is_refused(stand: Stand, words: list[str]) -> None:
    assert stand.program.main(words) == 2


@pytest.mark.parametrize("job", ["incr", "expire"])
def test_a_job_waits_while_somebody_else_works_with_the_repository(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], job: str
) -> None:
    stand.settings["jobs"].append("expire")
    stand.ends(50)
    pauses: list[float] = []

    def until_the_other_is_done(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            stand.ends(0)

    monkeypatch.setattr(stand.program.time, "sleep", until_the_other_is_done)
    assert stand.job(job) == 0
    assert pauses == [300, 300, 300]
    assert capsys.readouterr().out.count("tried again in 300 s") == 3
    assert stand.age(job) is not None


def test_a_job_that_waited_in_vain_is_left_out_and_has_not_gone_well(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.ends(50)
    pauses: list[float] = []
    monkeypatch.setattr(stand.program.time, "sleep", pauses.append)
    assert stand.job("full") == 0
    assert sum(pauses) == 3600
    assert "full: left out: somebody else works" in capsys.readouterr().out
    assert stand.age("full") is None


def test_every_other_exit_code_is_a_failure(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand.program.time, "sleep", lambda _seconds: pytest.fail("waits"))
    stand.settings["command"] = str(stand._script("fails", "exit 51"))
    assert stand.job("full") == 1
