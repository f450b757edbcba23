# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX's part, played by ansible-runner: every template runs with the answers of its survey.

AWX runs its jobs with ansible-runner: a project, an inventory with its secrets encrypted, the
vault's password and extra variables in, events and artefacts out. What a job passes on with
set_stats is in the event that ends it.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from pathlib import Path

import ansible_runner
import pytest

from ansible_collections.pgsftp.backup.tests.support import awx

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800)]

TEMPLATES = {Path(row["playbook"]).stem: row for row in awx.configured()["awx_templates"]}
LABEL = r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?"


class Controller:
    """Launches jobs as AWX does, each in a private directory of its own."""

    def __init__(self, lab, directory):
        self._directory = directory
        shell = "set -a; . scripts/env; env -0"
        output = subprocess.run(
            ["sh", "-c", shell], cwd=awx.TOP, capture_output=True, text=True, check=True
        ).stdout
        pairs = (row.partition("=") for row in output.split("\0") if row)
        self.environment = {name: value for name, _equals, value in pairs}
        self.environment["ANSIBLE_FORCE_COLOR"] = "0"
        self.lab = lab
        self._count = 0
        secrets = {
            path.name: {"__ansible_vault": awx.vaulted(path.read_text().split()[0])}
            for path in (lab.state / "secrets").iterdir()
        }
        self._inventory = awx.synced(
            awx.TOP / "inventories/demo",
            directory / "hosts",
            vault_sftp_passphrases={
                name.removeprefix("sftp-"): secret
                for name, secret in secrets.items()
                if name.startswith("sftp-")
            },
            ssh_keys_sftp_passphrase="{{ vault_sftp_passphrases[inventory_hostname] }}",
            replication_password=secrets["replication"],
        )

    def launch(self, template, *, cancel=None, artifacts=None, **given):
        """Run a template's job to its end; gives its runner. ``cancel`` may end it early.

        ``artifacts`` are those of the workflow's nodes before, which become extra variables.
        """
        row = TEMPLATES[template]
        self._count += 1
        private = self._directory / f"job-{self._count}"
        private.mkdir()
        variables = {**awx.answers(row, **given), **(artifacts or {})}
        runner = ansible_runner.run(
            private_data_dir=str(private),
            project_dir=str(awx.TOP),
            playbook=row["playbook"],
            inventory=str(self._inventory),
            extravars=variables,
            envvars=self.environment,
            cancel_callback=cancel,
            quiet=True,
            settings={"idle_timeout": 900},
            **awx.credentials(),
        )
        runner.private = private
        return runner

    def succeed(self, template, **given):
        """Launch and expect success; gives the artefacts."""
        runner = self.launch(template, **given)
        assert (runner.status, runner.rc) == ("successful", 0), Path(runner.stdout.name).read_text()
        return artifacts(runner)


def artifacts(runner):
    """What AWX keeps of a job for the nodes after it."""
    (end,) = (row for row in runner.events if row["event"] == "playbook_on_stats")
    return end["event_data"].get("artifact_data", {})


@pytest.fixture(scope="module")
def controller(deployed_lab, tmp_path_factory):
    return Controller(deployed_lab, tmp_path_factory.mktemp("awx"))


def sql(controller, text, host="pg1-srv"):
    words = f'cd; psql --no-psqlrc --no-align --tuples-only --command "{text}"'
    return controller.lab.run(host, words, user="postgres").stdout.strip()


def match(pattern, text):
    assert re.fullmatch(pattern, text), text


def test_set_up_changes_nothing_where_everything_is(controller):
    runner = controller.launch("site")
    assert (runner.status, runner.rc) == ("successful", 0), Path(runner.stdout.name).read_text()
    assert not any(runner.stats["changed"].values())
    assert artifacts(runner)["pgsftp_report"]["status"] == "ok"


def test_the_workflow_backup_verify_drill_report(controller):
    """Node after node, each with the artefacts of those before it."""
    (flow,) = (row for row in awx.configured()["awx_workflows"] if "drill" in row["name"])
    assert [node["identifier"] for node in flow["workflow_nodes"]] == [
        "backup", "verify", "drill", "report", "report-failed",
    ]  # fmt: skip
    sql(controller, "create table if not exists awx as select generate_series(1, 100) as id")

    passed = controller.succeed("backup", backup_hosts="primary", backup_type="incr")
    taken = passed["pgsftp_backup"]
    match(LABEL, taken["label"])
    match(r"[0-9A-F]+/[0-9A-F]+", taken["lsn_stop"])
    assert taken["size"] > taken["repository_size"] > 0

    passed.update(controller.succeed("verify", artifacts=passed))
    assert passed["pgsftp_verify"] == "ok"

    passed.update(controller.succeed("drill", artifacts=passed))
    assert passed["pgsftp_drill"]["ok"] is True
    assert passed["pgsftp_drill"]["label"] == taken["label"]
    match(r"[0-9A-F]+/[0-9A-F]+", passed["pgsftp_drill"]["recovered_to"])

    passed.update(controller.succeed("report", artifacts=passed))
    assert passed["pgsftp_report"]["newest"] == taken["label"]
    assert passed["pgsftp_report"]["status"] == "ok"
    assert passed["pgsftp_report"]["drill"] is True
    assert passed["pgsftp_report"]["gaps"] == 0

    # After a job that failed it says the same, and fails.
    runner = controller.launch("report", artifacts=passed, report_fail="yes")
    assert runner.status == "failed"
    assert artifacts(runner)["pgsftp_report"] == passed["pgsftp_report"]


def test_an_answer_that_makes_a_backup_unnecessary(controller):
    first = controller.succeed("backup", backup_hosts="primary", backup_type="full")
    again = controller.succeed(
        "backup", backup_hosts="primary", backup_type="full", backup_max_age="7d"
    )
    assert again["pgsftp_backup"]["label"] == first["pgsftp_backup"]["label"]


def test_expire(controller):
    runner = controller.launch("expire")
    assert runner.status == "successful"
    # What went, and why.
    assert isinstance(artifacts(runner)["pgsftp_expire"], dict)


def test_what_is_not_confirmed_is_refused(controller):
    runner = controller.launch("restore", restore_confirm_host="pg2-srv")
    assert runner.status == "failed"
    failed = [row["event_data"] for row in runner.events if row["event"] == "runner_on_failed"]
    assert ["restore_confirm_host=pg1-srv" in str(row["res"]["msg"]) for row in failed] == [True]
    assert sql(controller, "select 1") == "1"


def test_the_events_have_every_task_and_no_secret(controller):
    runner = controller.launch("backup", backup_hosts="primary")
    kinds = {row["event"] for row in runner.events}
    assert {"playbook_on_start", "playbook_on_task_start", "runner_on_ok", "playbook_on_stats"} <= (
        kinds
    )
    secrets = [path.read_text().strip() for path in (controller.lab.state / "secrets").iterdir()]
    assert secrets
    kept = [path for path in runner.private.rglob("*") if path.is_file()]
    for path in kept:
        text = path.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], path


@pytest.fixture
def slow_backups(controller):
    """For so long that one can be cancelled."""
    settings = "/etc/pgbackrest.conf"
    section = "\n[global:backup]\nrepo1-sftp-rate-limit=4MiB\n"
    controller.lab.run(
        "pg1-srv", f"cp -p {settings} /root/kept && printf '{section}' >> {settings}"
    )
    yield
    controller.lab.run("pg1-srv", f"cp -p /root/kept {settings} && rm /root/kept")


@pytest.mark.usefixtures("slow_backups")
def test_a_job_that_is_cancelled_in_the_middle_can_be_launched_again(controller):
    """The backup goes on when its job is gone, and the next job has its result."""
    sql(
        controller,
        "create table if not exists big as"
        " select md5(i::text) || md5((i + 1)::text) as t from generate_series(1, 800000) as i",
    )
    before = labels(controller)
    seen = threading.Event()

    def copying():
        """AWX's cancel button, pressed when the backup is at work."""
        if not seen.is_set():
            state = controller.lab.run(
                "pg1-srv", "pgsftp --stanza=demo info --output=json", user="postgres", check=False
            )
            if '"held":true' in state.stdout.replace(" ", ""):
                seen.set()
        return seen.is_set()

    runner = controller.launch("backup", backup_hosts="primary", backup_type="full", cancel=copying)
    assert seen.is_set()
    assert runner.status == "canceled"
    assert "playbook_on_stats" not in {row["event"] for row in runner.events}

    runner = controller.launch("backup", backup_hosts="primary", backup_type="full")
    assert (runner.status, runner.rc) == ("successful", 0), Path(runner.stdout.name).read_text()
    attached = "pg1-srv: attached to what an earlier run has begun"
    assert [row for row in runner.events if attached in row["stdout"]]
    wait_until_idle(controller)
    label = artifacts(runner)["pgsftp_backup"]["label"]
    assert set(labels(controller)) - set(before) == {label}
    assert controller.succeed("verify")["pgsftp_verify"] == "ok"
    sql(controller, "drop table big")


def labels(controller):
    done = controller.lab.run("pg1-srv", "pgsftp --stanza=demo info --output=json", user="postgres")
    return [row["label"] for row in json.loads(done.stdout)[0]["backup"]]


def wait_until_idle(controller):
    for _second in range(60):
        done = controller.lab.run(
            "pg1-srv", "pgsftp --stanza=demo info --output=json", user="postgres"
        )
        if '"held":true' not in done.stdout.replace(" ", ""):
            return
        time.sleep(1)
    raise AssertionError("a backup goes on for a minute")


def test_back_in_time_then_forward_and_the_standby_again(controller):
    """What replaces a cluster: pitr, restore, standby, switch over, and back."""
    sql(controller, "drop table if exists mishap")
    sql(controller, "create table mishap as select 1 as id")
    moment = sql(controller, "select clock_timestamp() from pg_sleep(1)")
    sql(controller, "select pg_sleep(1)")
    sql(controller, "drop table mishap")
    sql(controller, "select pg_switch_wal()")

    # As the survey has it, with the old directory aside.
    passed = controller.succeed("pitr", pitr_target=moment, restore_confirm_host="pg1-srv")
    assert passed["pgsftp_restore"]["host"] == "pg1-srv"
    controller.lab.run("pg1-srv", f"test -e {passed['pgsftp_restore']['old']}/PG_VERSION")
    assert sql(controller, "select id from mishap") == "1"

    passed = controller.succeed("restore", restore_confirm_host="pg1-srv", restore_aside="no")
    restored = passed["pgsftp_restore"]
    match(LABEL, restored["label"])
    assert restored["size"] > 0
    assert restored["old"] == ""
    match(r"[0-9A-F]+/[0-9A-F]+", restored["lsn"])
    assert sql(controller, "select id from mishap") == "1"

    passed = controller.succeed("standby", standby_rebuild="always")
    assert passed["pgsftp_standby"]["primary"] == "pg1-srv"
    assert passed["pgsftp_standby"]["streaming"].startswith("t|")

    passed = controller.succeed("switchover", switchover_to="pg2-srv")
    assert passed["pgsftp_switchover"] == {"primary": "pg2-srv", "standby": "pg1-srv"}
    assert sql(controller, "select pg_is_in_recovery()", "pg2-srv") == "f"
    passed = controller.succeed("switchover", switchover_to="pg1-srv")
    assert sql(controller, "select pg_is_in_recovery()") == "f"


def test_keys_are_rotated_when_it_is_confirmed(controller):
    assert controller.launch("rotate_keys").status == "failed"
    before = controller.lab.run("pg1-srv", "cat ~postgres/.ssh/id_ed25519_sftp.pub").stdout
    controller.succeed("rotate_keys", rotate_keys_confirm="yes")
    after = controller.lab.run("pg1-srv", "cat ~postgres/.ssh/id_ed25519_sftp.pub").stdout
    assert after != before
    controller.succeed("backup", backup_hosts="primary")


def test_every_template_was_launched():
    text = Path(__file__).read_text("utf-8")
    launched = {name for name in TEMPLATES if f'"{name}"' in text}
    assert launched == set(TEMPLATES)
