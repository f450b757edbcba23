# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/awx asks of AWX: modules take it, surveys fit their playbooks, nodes lead on."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import shutil
import subprocess
import textwrap

import ansible_runner
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.pgsftp.backup.tests.support import awx

CONFIGURED = awx.configured()
TEMPLATES = CONFIGURED["awx_templates"]
WORKFLOWS = CONFIGURED["awx_workflows"]
SURVEYS = [row for row in (*TEMPLATES, *WORKFLOWS) if "survey_spec" in row]
QUESTIONS = [(row, question) for row in SURVEYS for question in row["survey_spec"]["spec"]]

# What one runs by hand, after thinking, and not by a button.
WITHOUT_TEMPLATE = {"uninstall"}


class _Spec(Exception):
    """Carries the argument spec out of a module's main."""


def spec_of(module, monkeypatch):
    """The arguments that a module of awx.awx takes."""
    found = importlib.import_module(f"ansible_collections.awx.awx.plugins.modules.{module}")

    def caught(*, argument_spec, **_more):
        raise _Spec(argument_spec)

    monkeypatch.setattr(found, "ControllerAPIModule", caught)
    with pytest.raises(_Spec) as caught_spec:
        found.main()
    return caught_spec.value.args[0]


def every():
    """Module and arguments of everything that configure.yml makes."""
    for name, module in awx.SINGLE.items():
        yield module, CONFIGURED[name]
    for name, (module, defaults) in awx.LISTS.items():
        for row in CONFIGURED[name]:
            yield module, {**CONFIGURED.get(defaults, {}), **row}


@pytest.mark.parametrize(
    ("module", "arguments"),
    list(every()),
    ids=lambda value: value if isinstance(value, str) else value["name"],
)
def test_the_module_takes_it(module, arguments, monkeypatch):
    spec = spec_of(module, monkeypatch)
    result = ArgumentSpecValidator(spec).validate(arguments)
    assert not result.error_messages
    assert not result.unsupported_parameters


def tasks():
    """Variable and task of everything that configure.yml makes."""
    (play,) = yaml.safe_load((awx.TOP / "playbooks/awx/configure.yml").read_text("utf-8"))
    for task in play["tasks"]:
        (module,) = (key for key in task if key.startswith("awx.awx."))
        name = re.search(r"awx_\w+", task.get("loop", task[module]["name"]))[0]
        yield name, module, task[module]


def test_configure_gives_each_to_the_module_of_its_kind():
    kinds = {**awx.SINGLE, **{name: module for name, (module, _more) in awx.LISTS.items()}}
    given = {name: module for name, module, _arguments in tasks()}
    assert given == {name: f"awx.awx.{module}" for name, module in kinds.items()}


@pytest.mark.parametrize(("name", "arguments"), [(row[0], row[2]) for row in tasks()])
def test_configure_passes_every_argument_on(name, arguments):
    rows = CONFIGURED[name] if name in awx.LISTS else [CONFIGURED[name]]
    defaults = CONFIGURED.get(awx.LISTS[name][1], {}) if name in awx.LISTS else {}
    assert set(arguments) == {key for row in (*rows, defaults) for key in row}
    for key, value in arguments.items():
        source = "item" if name in awx.LISTS and any(key in row for row in rows) else "awx_"
        assert re.match(rf"{{{{ {source}\w*\.{key}\b", value)


def test_every_playbook_has_a_template():
    named = {row["playbook"] for row in TEMPLATES}
    there = {
        f"playbooks/{path.name}"
        for path in (awx.TOP / "playbooks").glob("*.yml")
        if path.stem not in WITHOUT_TEMPLATE
    }
    assert named == there


@pytest.mark.parametrize(
    ("row", "question"), QUESTIONS, ids=lambda value: value.get("variable") or value["name"]
)
def test_awx_takes_the_question(row, question):
    assert set(question) <= {
        "question_name", "question_description", "required", "type", "variable", "choices",
        "min", "max", "default",
    }  # fmt: skip
    assert {"question_name", "required", "type", "variable"} <= set(question)
    assert re.fullmatch(r"[a-z_][a-z0-9_]*", question["variable"])
    kind, default = question["type"], question.get("default")
    assert kind in ("text", "textarea", "multiplechoice", "multiselect", "integer", "float")
    if kind == "multiplechoice":
        assert all(isinstance(choice, str) for choice in question["choices"])
        assert default in question["choices"]
    elif kind == "integer":
        assert isinstance(default, int) and question["min"] <= default <= question["max"]
    else:
        assert question["min"] <= len(default or "") <= question["max"] or question["required"]
    assert question["required"] or default is not None


@pytest.mark.parametrize("row", SURVEYS, ids=lambda row: row["name"])
def test_a_survey_asks_nothing_twice(row):
    assert {"name", "description", "spec"} == set(row["survey_spec"])
    names = [question["variable"] for question in row["survey_spec"]["spec"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("playbook", "variable"), [("pitr", "pitr_timeline"), ("standby", "standby_primary_host")]
)
def test_what_a_refusal_wants_to_be_told_can_be_told(playbook, variable):
    (row,) = (row for row in TEMPLATES if row["playbook"] == f"playbooks/{playbook}.yml")
    assert variable in {question["variable"] for question in row["survey_spec"]["spec"]}


@pytest.mark.parametrize(
    "row", [row for row in TEMPLATES if "survey_spec" in row], ids=lambda row: row["name"]
)
def test_the_playbook_uses_every_answer(row):
    path = awx.TOP / row["playbook"]
    text = path.read_text("utf-8")
    for task_file in re.findall(r"include_tasks: (\S+)", text):
        text += (path.parent / task_file).read_text("utf-8")
    _comment, body = re.split(r"(?m)^- name: ", text, maxsplit=1)
    for question in row["survey_spec"]["spec"]:
        assert _uses(body, question["variable"]) or _in_roles(question["variable"]), question


def _in_roles(variable):
    files = (awx.TOP / "roles").rglob("tasks/*.yml")
    return any(_uses(path.read_text("utf-8"), variable) for path in files)


def _uses(text, variable):
    """It is there as a word, neither in a comment nor as a part of another name."""
    return re.search(rf"\b{variable}\b", re.sub(r"(?m)(^|\s)#.*", "", text)) is not None


def test_a_part_of_a_name_is_not_used():
    assert _uses("when: restore_set | default('')", "restore_set")
    assert not _uses("when: restore_settings and my_restore_set  # restore_set", "restore_set")


@pytest.mark.parametrize("row", WORKFLOWS, ids=lambda row: row["name"])
def test_the_nodes_of_a_workflow(row):
    nodes = {node["identifier"]: node for node in row["workflow_nodes"]}
    assert len(nodes) == len(row["workflow_nodes"])
    leads = {}
    for name, node in nodes.items():
        work = node["unified_job_template"]
        assert work["type"] in ("job_template", "workflow_approval")
        if work["type"] == "job_template":
            assert work["name"] in {template["name"] for template in TEMPLATES}
        related = node.get("related", {})
        assert set(related) <= {"success_nodes", "failure_nodes", "always_nodes"}
        leads[name] = {to["identifier"] for rows in related.values() for to in rows}
        assert leads[name] <= set(nodes)
    # Every node is reached from the first one, and none twice on one way.
    first = [name for name in nodes if all(name not in others for others in leads.values())]
    assert first == [row["workflow_nodes"][0]["identifier"]]
    _walk(first[0], leads, ())


def _walk(name, leads, way):
    assert name not in way
    for other in leads[name]:
        _walk(other, leads, (*way, name))


@pytest.mark.parametrize("row", WORKFLOWS, ids=lambda row: row["name"])
def test_a_node_gives_answers_that_its_template_asks_for(row):
    for node in row["workflow_nodes"]:
        given = node.get("extra_data", {})
        if given:
            (target,) = (r for r in TEMPLATES if r["name"] == node["unified_job_template"]["name"])
            asked = {q["variable"]: q for q in target["survey_spec"]["spec"]}
            assert set(given) <= set(asked)
            for name, answer in given.items():
                assert answer in asked[name].get("choices", [answer])


@pytest.mark.parametrize("row", WORKFLOWS, ids=lambda row: row["name"])
def test_a_workflow_in_which_a_job_failed_has_failed(row):
    """However its jobs end; and whatever ran before, there is a report at the end."""
    nodes = {node["identifier"]: node for node in row["workflow_nodes"]}
    for ends in itertools.product((True, False), repeat=len(nodes)):
        well = dict(zip(nodes, ends, strict=True))
        for name, node in nodes.items():
            well[name] = well[name] and node.get("extra_data", {}).get("report_fail") != "yes"
        ran = _ran(nodes, well)
        assert _successful(nodes, ran, well) == all(well[name] for name in ran), (ran, well)
        if ran != ["agreed"]:
            last = nodes[ran[-1]]["unified_job_template"]["name"]
            assert last == "PostgreSQL: report", (ran, well)


def _ran(nodes, well):
    """The nodes that AWX comes by, in their order; ``well`` says which jobs end well."""
    ran = []
    coming = [next(iter(nodes))]
    while coming:
        name = coming.pop(0)
        ran.append(name)
        for kind in ("success_nodes" if well[name] else "failure_nodes", "always_nodes"):
            for node in nodes[name].get("related", {}).get(kind, []):
                if node["identifier"] not in (*ran, *coming):
                    coming.append(node["identifier"])
    return ran


def _successful(nodes, ran, well):
    """AWX's rule: a job that failed counts only where its node has nothing for that case."""
    for name in ran:
        related = nodes[name].get("related", {})
        if not well[name] and not related.get("failure_nodes") and not related.get("always_nodes"):
            return False
    return True


def test_a_restore_waits_for_somebody_else():
    (row,) = (row for row in WORKFLOWS if "restore" in row["name"])
    first = row["workflow_nodes"][0]
    assert first["unified_job_template"]["type"] == "workflow_approval"
    assert [node["identifier"] for node in first["related"]["success_nodes"]] == ["restore"]
    assert "failure_nodes" not in first["related"] and "always_nodes" not in first["related"]


@pytest.mark.parametrize("row", CONFIGURED["awx_schedules"], ids=lambda row: row["name"])
def test_a_schedule_has_a_rule_and_something_to_do(row):
    assert re.fullmatch(
        r"DTSTART;TZID=\S+:\d{8}T\d{6} RRULE:FREQ=(DAILY|WEEKLY);INTERVAL=\d+(;BYDAY=[A-Z,]+)?",
        row["rrule"],
    )
    (target,) = (
        other for other in (*TEMPLATES, *WORKFLOWS) if other["name"] == row["unified_job_template"]
    )
    asked = {q["variable"]: q for q in target.get("survey_spec", {}).get("spec", [])}
    for name, answer in row.get("extra_data", {}).items():
        assert name in asked
        assert answer in asked[name].get("choices", [answer])
    assert not [name for name, q in asked.items() if q["required"] and "default" not in q], (
        "nobody is there to answer"
    )


def test_timers_and_schedules_do_not_both_take_backups():
    """Role schedule of the first template makes timers, so schedules begin with a word more."""
    role = yaml.safe_load((awx.TOP / "roles/schedule/defaults/main.yml").read_text("utf-8"))
    assert role["schedule_enabled"] is True
    # What no timer does.
    assert _scheduled() == {"PostgreSQL: drill", "PostgreSQL: report"}
    assert _scheduled(awx_schedules_enabled="true") == {
        "PostgreSQL: backup",
        "PostgreSQL: backup, verify, drill",
        "PostgreSQL: report",
    }


def _scheduled(**given):
    rows = awx.configured(**given)["awx_schedules"]
    return {row["unified_job_template"] for row in rows if row["enabled"]}


def test_no_secret_is_in_the_data():
    text = "".join(path.read_text("utf-8") for path in awx.VARS)
    assert not re.search(
        r"(?im)(password|passphrase|secret): +(?!true$)[\"']?[A-Za-z0-9]{4,}", text
    )
    for row in CONFIGURED["awx_credentials"]:
        assert set(row.get("inputs", {})) <= {"username", "become_method"}


SHOW = """
- hosts: postgresql
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ [ssh_keys_sftp_passphrase, pgsftp_repository_passphrase,
          replication_password, pgsftp_repository_cipher_pass] | to_json }}"
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
        mode: "0600"
      delegate_to: localhost
"""


def _shown(place, inventory, credentials):
    """What a job with these credentials has for each host."""
    (place / "show.yml").write_text(SHOW)
    (place / "job").mkdir()
    runner = ansible_runner.run(
        private_data_dir=str(place / "job"),
        project_dir=str(place),
        playbook="show.yml",
        inventory=str(inventory),
        quiet=True,
        **credentials,
    )
    assert (runner.status, runner.rc) == ("successful", 0), runner.stdout.read()
    return {
        host: json.loads((place / f"{host}.json").read_text()) for host in ("pg1-srv", "pg2-srv")
    }


def test_a_job_has_the_secrets_of_each_host(tmp_path):
    """From an inventory like the example, whose vault.yml has each value encrypted."""
    secrets = {"pg1-srv": "one: {{ x }}", "pg2-srv": "two #", "replication": "3", "cipher": "four"}
    encrypted = {
        name: "!vault |\n" + textwrap.indent(awx.vaulted(secret), "          ")
        for name, secret in secrets.items()
    }
    mine = shutil.copytree(awx.TOP / "inventories/example", tmp_path / "mine")
    vault = mine / "group_vars/all/vault.yml"
    text = f"""
vault_sftp_passphrases:
  pg1-srv: {encrypted["pg1-srv"]}
  pg2-srv: {encrypted["pg2-srv"]}
vault_replication_password: {encrypted["replication"]}
pgsftp_repository_cipher_pass: {encrypted["cipher"]}
"""
    vault.write_text(awx.vaulted(text))
    with pytest.raises(RuntimeError, match="no vault secrets"):
        awx.synced(mine, tmp_path / "hosts")
    vault.write_text(text)
    inventory = awx.synced(mine, tmp_path / "hosts")
    assert not [secret for secret in secrets.values() if f'"{secret}"' in inventory.read_text()]
    found = _shown(tmp_path, inventory, awx.credentials())
    for host in ("pg1-srv", "pg2-srv"):
        own = secrets[host]
        assert found[host] == [own, own, secrets["replication"], secrets["cipher"]]


def test_a_job_has_the_secrets_of_a_credential_where_the_inventory_says_so(tmp_path):
    """As docs/awx.md has it; what is left empty is as if there was none."""
    mine = shutil.copytree(awx.TOP / "inventories/example", tmp_path / "mine")
    text = (awx.TOP / "docs/awx.md").read_text("utf-8").partition("## Secrets in AWX")[2]
    (mine / "group_vars/all/vault.yml").write_text(text.split("```yaml\n")[1].split("```")[0])
    inventory = awx.synced(mine, tmp_path / "hosts")
    typed = {"sftp_passphrase": "one: {{ x }} #", "replication_password": "two '\""}
    found = _shown(tmp_path, inventory, awx.injected(tmp_path / "secrets.yml", **typed))
    wanted = [typed["sftp_passphrase"]] * 2 + [typed["replication_password"], ""]
    assert found == {"pg1-srv": wanted, "pg2-srv": wanted}


def test_a_credential_sets_no_variable_of_a_role():
    """It would be the same for all hosts, and beat what the inventory has for each."""
    kind = CONFIGURED["awx_credential_type"]
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    assert all(field["secret"] for field in fields.values())
    assert set(kind["inputs"]["required"]) <= set(fields)
    injected = kind["injectors"]["extra_vars"]
    assert injected == {f"awx_{name}": f"{{{{ {name} }}}}" for name in fields}
    for path in (awx.TOP / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text("utf-8"))["argument_specs"].values():
            assert not set(injected) & set(entry.get("options", {}))


@pytest.mark.parametrize(
    ("secrets", "kind"), [("vault", "Vault"), ("credential", "pgsftp secrets")]
)
def test_where_the_secrets_are_is_chosen(secrets, kind):
    data = awx.configured(awx_secrets=secrets)
    hosts, other = data["awx_credentials"]
    assert (hosts["credential_type"], other["credential_type"]) == ("Machine", kind)
    assert data["awx_template_defaults"]["credentials"] == [hosts["name"], other["name"]]


@pytest.mark.parametrize(("given", "status"), [("", 0), ("no", 0), ("yes", 2)])
def test_a_report_fails_at_its_end_where_it_is_told_to(given, status, tmp_path):
    *_others, play = yaml.safe_load((awx.TOP / "playbooks/report.yml").read_text("utf-8"))
    playbook = tmp_path / "end.yml"
    playbook.write_text(
        yaml.safe_dump(
            [{"hosts": "localhost", "gather_facts": False, "tasks": [play["tasks"][-1]]}]
        )
    )
    done = subprocess.run(
        ["ansible-playbook", playbook, *([f"--extra-vars=report_fail={given}"] if given else [])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert ("has failed before this report" in done.stdout) == bool(status)


def test_the_image_can_be_described(tmp_path):
    done = subprocess.run(
        ["ansible-builder", "create", "--context", tmp_path / "context"],
        cwd=_with_archive(tmp_path), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    made = (tmp_path / "context/Containerfile").read_text("utf-8")
    assert "ansible-galaxy collection install --no-deps" in made
    assert "requirements.yml" in made


def _with_archive(tmp_path):
    """What lies beside the description when one builds the image."""
    shutil.copytree(awx.TOP / "meta", tmp_path / "meta")
    for name in ("execution-environment.yml", "requirements.yml"):
        shutil.copy(awx.TOP / name, tmp_path / name)
    (tmp_path / "pgsftp-backup-0.1.0.tar.gz").write_bytes(b"")
    return tmp_path
