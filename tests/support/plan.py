# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role would do on a host that is not here: ansible-playbook with every module replaced by
a recorder.

Nothing of the host is touched. Facts are given, variables, templates, conditions and loops are
Ansible's own; each module that would run is written down with its arguments, and answers what the
rules say, or that nothing is there yet.

As a program (``python -m ...plan RULES RECORD PLAYBOOK``) it is ansible-playbook with that change;
``play`` runs it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]


class Step(t.NamedTuple):
    """A module that would have run."""

    module: str
    """Its name without a collection."""
    args: dict[str, t.Any]
    task: str
    host: str
    """The one on which it would have run: whom a task is delegated to."""
    owner: str = ""
    """Whose rights the module would have had, if not root's."""

    @property
    def command(self) -> str:
        """Of command, the words."""
        return " ".join(
            self.args.get("argv") or [self.args.get("cmd") or self.args.get("_raw_params") or ""]
        )


class Plan(list[Step]):
    """The steps in their order."""

    output = ""
    """What ansible-playbook said."""

    def of(self, *modules: str) -> list[dict[str, t.Any]]:
        """The arguments of all steps of these modules."""
        return [step.args for step in self if step.module in modules]

    @property
    def packages(self) -> list[str]:
        """All packages, in the order in which they are installed."""
        names: list[str] = []
        for args in self.of("apt", "dnf", "yum", "package"):
            wanted = args.get("name") or []
            names += [wanted] if isinstance(wanted, str) else wanted
        return names

    @property
    def commands(self) -> list[str]:
        """All commands."""
        return [step.command for step in self if step.module == "command"]

    @property
    def files(self) -> dict[str, str]:
        """By path, the text of all files that are written."""
        return {
            args["dest"]: args["__content"]
            for args in self.of("copy")
            if args.get("__content") is not None
        }


def play(
    place: Path,
    roles: t.Sequence[str],
    facts: dict[str, t.Any],
    variables: dict[str, t.Any] | None = None,
    rules: list[dict[str, t.Any]] | None = None,
    fails: bool = False,
    tags: t.Sequence[str] = (),
) -> Plan:
    """The steps of these roles, or of ``role/tasks``, on a host with these facts.

    A rule is ``{"module": ..., "contains": ..., "result": {...}}``; of those whose module fits and
    whose text is part of the arguments, the first one answers, of one with ``host`` on that host
    only, and of one with ``times`` so often. With ``"unreachable": True`` in the result the
    connection breaks. Raises AssertionError with the output when the play fails, or with ``fails``
    when it does not. ``tags`` are those that somebody asks for.
    """
    tasks: list[dict[str, t.Any]] = [
        _know(facts),
        *({"name": "Play", "ansible.builtin.include_role": _included(role)} for role in roles),
    ]
    for task in tasks:
        task["tags"] = ["always"]
    book = {"hosts": "all", "gather_facts": False, "vars": variables or {}, "tasks": tasks}
    return _play(place, [book], "host,", rules, fails, *(f"--tags={tag}" for tag in tags))


def play_book(
    place: Path,
    name: str,
    facts: dict[str, t.Any],
    variables: dict[str, t.Any],
    rules: list[dict[str, t.Any]] | None = None,
    fails: bool = False,
    groups: dict[str, list[str]] | None = None,
    known: dict[str, dict[str, t.Any]] | None = None,
    arguments: t.Sequence[str] = (),
) -> Plan:
    """The steps of a playbook of the collection on the hosts of these groups: see play.

    Without any there is one host, in group postgresql. ``known`` are the inventory's variables of
    each host.
    """
    book = [
        {"hosts": "all", "gather_facts": False, "tags": ["always"], "tasks": [_know(facts)]},
        {"import_playbook": str(TOP / "playbooks" / name)},
    ]
    hosts = place / "hosts.yml"
    inventory = {
        group: {"hosts": dict.fromkeys(names)}
        for group, names in (groups or {"postgresql": ["host"]}).items()
    }
    if known:
        inventory["all"] = {"hosts": known}
    hosts.write_text(yaml.safe_dump(inventory), encoding="utf-8")
    given = [f"--extra-vars={json.dumps(variables)}", *arguments]
    return _play(place, book, str(hosts), rules, fails, *given)


def _know(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"name": "Know the host", "ansible.builtin.set_fact": {**facts, "cacheable": True}}


def _play(
    place: Path,
    book: list[dict[str, t.Any]],
    inventory: str,
    rules: list[dict[str, t.Any]] | None,
    fails: bool,
    *arguments: str,
) -> Plan:
    (place / "play.yml").write_text(yaml.safe_dump(book), encoding="utf-8")
    (place / "rules.json").write_text(json.dumps(rules or []), encoding="utf-8")
    record = place / "record"
    record.write_text("", encoding="utf-8")
    words = [sys.executable, __file__, place / "rules.json", record, f"--inventory={inventory}"]
    words += ["--connection=local", *arguments, place / "play.yml"]
    done = subprocess.run(
        [str(word) for word in words],
        env={
            **os.environ,
            "ANSIBLE_HOME": str(place / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(TOP / ".cache/collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        },
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    lines = record.read_text(encoding="utf-8").splitlines()
    plan = Plan(Step(**json.loads(line)) for line in lines)
    plan.output = done.stdout + done.stderr
    return plan


def _included(role: str) -> dict[str, str]:
    name, _dummy, tasks = role.partition("/")
    return {"name": f"pgsftp.backup.{name}", "tasks_from": tasks or "main"}


# What modules say of a host on which there is nothing yet.
_NOTHING: dict[str, t.Any] = {
    "changed": True,
    "rc": 0,
    "stdout": "",
    "stdout_lines": [],
    "stderr": "",
    "stderr_lines": [],
    "stat": {"exists": False},
    "files": [],
    "matched": 0,
    "path": "/nowhere",
}


def _fits(rule: dict[str, t.Any], step: dict[str, t.Any]) -> bool:
    args = {key: value for key, value in step["args"].items() if key != "__content"}
    return (
        rule["module"] == step["module"]
        and rule.get("contains", "") in json.dumps(args, default=str)
        and rule.get("host", step["host"]) == step["host"]
    )


def _main(rules_file: str, record: str, arguments: list[str]) -> None:
    """ansible-playbook, with modules that are written down instead of run."""
    from ansible.cli.playbook import PlaybookCLI
    from ansible.errors import AnsibleConnectionFailure
    from ansible.plugins.action import ActionBase

    rules = json.loads(Path(rules_file).read_text(encoding="utf-8"))
    contents: dict[str, str] = {}

    def execute(self, module_name=None, module_args=None, **_kwargs):
        name = (module_name or self._task.action).rpartition(".")[2]
        args = dict(self._task.args if module_args is None else module_args)
        args = {key: value for key, value in args.items() if not key.startswith("_ansible")}
        if args.get("src") in contents:
            args["__content"] = contents[args["src"]]
        host = self._task.delegate_to or self._play_context.remote_addr
        step = {"module": name, "args": args, "task": self._task.get_name(), "host": host}
        step["owner"] = getattr(self, "_owner", "")
        with open(record, "a", encoding="utf-8") as out:
            out.write(json.dumps(step, default=str) + "\n")
        for rule in rules:
            if _fits(rule, step):
                # Each task has a process of its own: what was asked before stands in the record.
                asked = map(json.loads, Path(record).read_text(encoding="utf-8").splitlines())
                if sum(_fits(rule, row) for row in asked) > rule.get("times", math.inf):
                    continue
                if rule["result"].get("unreachable"):
                    raise AnsibleConnectionFailure("the connection broke")
                return {**_NOTHING, **rule["result"]}
        return dict(_NOTHING)

    def transfer(self, local_path, remote_path):
        contents[remote_path] = Path(local_path).read_text(encoding="utf-8", errors="replace")
        return remote_path

    def replace(name, stand_in):
        original = getattr(ActionBase, name)

        def choose(self, *args, **kwargs):
            # What the controller does for itself may happen: it packs the engine.
            here = self._task.delegate_to == "localhost"
            return (original if here else stand_in)(self, *args, **kwargs)

        setattr(ActionBase, name, choose)

    def make_tmp(self, *_args):
        self._connection._shell.tmpdir = "/nowhere/"
        return "/nowhere/"

    def stat(self, *_args, **_kwargs):
        # An archive is unpacked into a directory that a task before has made.
        made = self._task.action.endswith("unarchive")
        return {"exists": made, "isdir": made, "checksum": "1"}

    replace("_execute_module", execute)
    replace("_transfer_file", transfer)
    replace("_make_tmp_path", make_tmp)
    replace("_remove_tmp_path", lambda self, *_args, **_kwargs: None)
    replace("_fixup_perms2", lambda self, *_args, **_kwargs: None)
    replace("_execute_remote_stat", stat)
    replace("_remote_expand_user", lambda self, path, *_args, **_kwargs: path)
    PlaybookCLI.cli_executor(["ansible-playbook", *arguments])


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3:])
