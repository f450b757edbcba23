# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks as a user has them: written down, and run by ansible-playbook on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from .engine import ROOT

HOST = "pg1-srv"

# Prints nothing but what the tasks returned, which the test reads.
CALLBACK = """
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept"

    def _keep(self, result, **more):
        row = {"task": result._task.get_name(), "result": result._result, **more}
        with open(os.environ["KEPT_RESULTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\\n")

    def v2_runner_on_ok(self, result):
        self._keep(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._keep(result, failed=True)

    def v2_runner_on_unreachable(self, result):
        self._keep(result, failed=True)
"""


class Playbook:
    """Runs tasks on the host ``pg1-srv``, which is this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.results = directory / "results"
        plugins = directory / "callbacks"
        plugins.mkdir()
        (plugins / "kept.py").write_text(CALLBACK, encoding="utf-8")
        (directory / "inventory").write_text(
            f"{HOST} ansible_connection=local ansible_python_interpreter={sys.executable}\n",
            encoding="utf-8",
        )
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "local"),
            "ANSIBLE_REMOTE_TEMP": str(directory / "remote"),
            "ANSIBLE_CALLBACK_PLUGINS": str(plugins),
            "ANSIBLE_CALLBACKS_ENABLED": "kept",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "KEPT_RESULTS": str(self.results),
        }

    def write(self, *tasks: t.Mapping[str, t.Any], defaults: t.Any = None) -> Path:
        """A playbook; ``defaults`` are those of the action group."""
        play = {
            "hosts": HOST,
            "gather_facts": False,
            "module_defaults": {"group/pgsftp.backup.all": defaults or {}},
            "tasks": list(tasks),
        }
        path = self.directory / "play.yml"
        path.write_text(json.dumps([play]), encoding="utf-8")
        return path

    def start(self, path: Path, *arguments: str) -> subprocess.Popen[str]:
        """Begin to run a playbook, in a session of its own."""
        return subprocess.Popen(
            ["ansible-playbook", "-i", str(self.directory / "inventory"), str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.directory,
            start_new_session=True,
        )

    def finish(self, running: subprocess.Popen[str]) -> tuple[str, list[dict[str, t.Any]]]:
        """Wait for it; what it printed, and what each task returned."""
        out, _dummy = running.communicate(timeout=240)
        rows = []
        if self.results.exists():
            lines = self.results.read_text(encoding="utf-8").splitlines()
            for row in map(json.loads, lines):
                rows.append({**row["result"], "failed": row.get("failed", False)})
            self.results.unlink()
        return out, rows

    def run_all(self, tasks: t.Sequence[tuple[str, t.Any]], *, site: t.Any) -> list[t.Any]:
        """What several tasks return, in one play; ``check_mode`` of a task is Ansible's."""
        play = []
        for module, parameters in tasks:
            given = dict(parameters)
            check_mode = given.pop("check_mode", False)
            play.append(
                {
                    f"pgsftp.backup.{module}": given,
                    "check_mode": check_mode,
                    "ignore_errors": True,
                }
            )
        defaults = {"stanza": "demo", "config": str(site.config)}
        out, rows = self.finish(self.start(self.write(*play, defaults=defaults)))
        assert len(rows) == len(tasks), out
        return rows

    def run(
        self, module: str, *arguments: str, site: t.Any, **parameters: t.Any
    ) -> dict[str, t.Any]:
        """What one task returns; the stanza and the configuration are defaults of the group."""
        task = {f"pgsftp.backup.{module}": parameters, "ignore_errors": True}
        defaults = {"stanza": "demo", "config": str(site.config)}
        out, rows = self.finish(self.start(self.write(task, defaults=defaults), *arguments))
        assert len(rows) == 1, out
        return rows[0]


def restored(site: t.Any, name: str) -> tuple[t.Any, dict[str, t.Any]]:
    """A directory beside the cluster, and the parameters of a task that restores to it."""
    copy = site.restored(name)
    options = {"pg1-path": str(copy.data), "cmd": str(site.command)}
    return copy, {"options": options}


@pytest.fixture(scope="module")
def playbook(tmp_path_factory: pytest.TempPathFactory) -> Playbook:
    """Runs tasks."""
    return Playbook(tmp_path_factory.mktemp("playbook"))
