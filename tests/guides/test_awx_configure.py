# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""configure.yml against a stand-in of AWX: it makes everything, and a second time nothing.

Between the two the secrets are typed in, of which AWX keeps what a later request does not replace.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess

import pytest

from ansible_collections.pgsftp.backup.tests.support import awx, guide
from ansible_collections.pgsftp.backup.tests.support.controller import Controller

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# What step 4 of docs/awx.md has somebody type in, as AWX shows it afterwards.
SECRETS = {
    "PostgreSQL hosts": {"ssh_key_data": "$encrypted$"},
    "pgsftp vault": {"vault_password": "$encrypted$"},
}


def type_it(controller):
    """What docs/awx.md says, to this controller."""
    (step,) = (step for step in guide.steps("awx") if step.where == "awx")
    script = re.sub(r"(?m)^ *export CONTROLLER_HOST=.*$", "", step.script)
    done = subprocess.run(
        ["sh", "-ec", f". scripts/env\n{script}"],
        cwd=awx.TOP, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "CONTROLLER_HOST": controller.url,
            "CONTROLLER_OAUTH_TOKEN": "of-the-stand-in",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert guide.unseen(step.expected, done.stdout) is None, done.stdout
    return int(re.search(r"changed=(\d+)", done.stdout)[1])


def test_everything_is_made_once():
    data = awx.configured()
    with Controller() as controller:
        assert type_it(controller) == 10
        for endpoint, rows in (
            ("job_templates", data["awx_templates"]),
            ("workflow_job_templates", data["awx_workflows"]),
            ("schedules", data["awx_schedules"]),
            ("credentials", data["awx_credentials"]),
        ):
            assert set(controller.named(endpoint)) == {row["name"] for row in rows}

        # A survey arrives as it is written, and each template has the credentials.
        made = controller.named("job_templates")
        used = [controller.named("credentials")[name]["id"] for name in SECRETS]
        for row in data["awx_templates"]:
            assert made[row["name"]]["_credentials"] == used
            assert made[row["name"]].get("_survey", {}) == row.get("survey_spec", {})

        # The way of a workflow, and who has to agree.
        nodes = {}
        for row in controller.rows["workflow_job_template_nodes"].values():
            nodes.setdefault(row["workflow_job_template"], {})[row["identifier"]] = row
        flow = nodes[
            controller.named("workflow_job_templates")["PostgreSQL: restore with approval"]["id"]
        ]
        assert flow["agreed"]["_success_nodes"] == [flow["restore"]["id"]]
        (approval,) = controller.rows["workflow_approval_templates"].values()
        assert approval["timeout"] == 3600
        assert flow["agreed"]["unified_job_template"] == approval["id"]

        # Templates of AWX's own reach it untouched.
        injected = controller.named("credential_types")["pgsftp secrets"]["injectors"]
        assert injected["extra_vars"]["awx_cipher_pass"] == "{{ cipher_pass }}"

        credentials = controller.named("credentials")
        assert set(credentials) == set(SECRETS)
        for name, secrets in SECRETS.items():
            credentials[name]["inputs"] = {**credentials[name].get("inputs", {}), **secrets}
        typed = copy.deepcopy(credentials)

        before = list(controller.changes)
        assert type_it(controller) == 0
        assert controller.changes == before
        assert controller.named("credentials") == typed
