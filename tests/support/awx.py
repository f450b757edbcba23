# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/awx/vars holds, as AWX gets it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import Templar
from jinja2.sandbox import ImmutableSandboxedEnvironment

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
def configured(**given: t.Any) -> dict[str, t.Any]:
    """All variables, templated as Ansible does it, with these on the command line."""
    loader = DataLoader()
    found: dict[str, t.Any] = {**given}
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


VAULT_PASSWORD = "of-the-vault"
# What a credential adds to a run of ansible-runner, by its type.
CREDENTIALS: dict[str, dict[str, t.Any]] = {
    "Machine": {},
    "Vault": {
        "cmdline": "--ask-vault-pass",
        "passwords": {r"Vault password:\s*?$": VAULT_PASSWORD},
    },
}


def credentials() -> dict[str, t.Any]:
    """What those of the templates add."""
    kinds = {row["name"]: row["credential_type"] for row in configured()["awx_credentials"]}
    found: dict[str, t.Any] = {}
    for name in configured()["awx_template_defaults"]["credentials"]:
        found.update(CREDENTIALS[kinds[name]])
    return found


def injected(path: Path, **typed: str) -> dict[str, t.Any]:
    """What a credential of our own type adds, with this typed in: extra variables in a file.

    AWX fills in the injectors' templates, and has Ansible take what comes of it as it is.
    """
    variables = configured()["awx_credential_type"]["injectors"]["extra_vars"]
    environment = ImmutableSandboxedEnvironment()
    rows = [
        f"{name}: !unsafe {json.dumps(environment.from_string(text).render(typed))}\n"
        for name, text in variables.items()
    ]
    path.write_text("".join(rows), encoding="utf-8")
    return {"cmdline": f"-e @{path}"}


def vaulted(secret: str) -> str:
    """A value as ``ansible-vault encrypt_string`` encrypts it."""
    vault = VaultLib([("default", VaultSecret(VAULT_PASSWORD.encode()))])
    return t.cast("bytes", vault.encrypt(secret)).decode()


def synced(source: Path, target: Path, **more: t.Any) -> Path:
    """The inventory of a project as a job gets it: read by AWX, which has no vault's password.

    ``more`` are variables of all hosts.
    """
    done = subprocess.run(
        ["ansible-inventory", "--list", "--export", "-i", source, "--playbook-dir", source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    rows = json.loads(done.stdout)
    # AWX keeps the hosts and groups with their variables, and gives them to a job as a script.
    rows["_meta"] = {"hostvars": rows["_meta"]["hostvars"]}
    rows["all"].setdefault("vars", {}).update(more)
    target.write_text(f"#!{sys.executable}\nprint({json.dumps(rows)!r})\n", encoding="utf-8")
    target.chmod(0o755)
    return target
