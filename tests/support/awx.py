# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/awx/vars holds, as AWX gets it."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

TOP = Path(__file__).resolve().parents[2]
VARS = sorted((TOP / "playbooks/awx/vars").glob("*.yml"))

# Which variable goes to which module of awx.awx.
SINGLE = {
    "awx_organization": "organization",
    "awx_execution_environment": "execution_environment",
    "awx_credential_type": "credential_type",
    "awx_project": "project",
    "awx_inventory": "inventory",
    "awx_inventory_source": "inventory_source",
}
# Which list goes to which module, with which defaults.
LISTS = {
    "awx_credentials": ("credential", ""),
    "awx_templates": ("job_template", "awx_template_defaults"),
    "awx_workflows": ("workflow_job_template", "awx_workflow_defaults"),
    "awx_schedules": ("schedule", ""),
}


@functools.cache
def configured() -> dict[str, t.Any]:
    """All variables, templated as Ansible does it."""
    loader = DataLoader()
    found: dict[str, t.Any] = {}
    for path in VARS:
        found.update(loader.load_from_file(str(path), trusted_as_template=True))
    return t.cast("dict[str, t.Any]", Templar(loader, variables=found).template(found))


def answers(template: t.Mapping[str, t.Any], **given: t.Any) -> dict[str, t.Any]:
    """What a survey gives when somebody fills in only this; required questions want an answer."""
    found = dict(template.get("extra_vars", {}))
    asked = template.get("survey_spec", {}).get("spec", [])
    names = {question["variable"] for question in asked}
    if set(given) - names:
        raise KeyError(f"{template['name']} does not ask for {set(given) - names}")
    for question in asked:
        name = question["variable"]
        if name in given:
            found[name] = given[name]
        elif question["required"] and "default" not in question:
            raise KeyError(f"{template['name']} wants {name}")
        else:
            found[name] = question["default"]
    return found
