# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller does for the modules: refuse secrets, and follow long commands.

The module starts the work, or finds it under way, and says after some seconds how far it is. The
plugin shows that and asks again, for this very job: what has ended meanwhile is not begun a second
time. When it has the answer it has the host note that: a controller that dies before that finds it
again with the next run.
"""

from __future__ import annotations

import os
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils import secret
from ..module_utils.engine.errors import EngineError

display = Display()

# Seconds between two lines of progress.
PACE = 10.0

# How often, and after how many seconds, a host that is out of reach is asked again.
RETRIES = 6
PAUSE = 10.0

# Seconds after which a host that has not said which job it has begun is asked no more. Until then
# it finds that job again; later the same request might begin another one.
UNKNOWN = 1800.0

Result = dict[str, t.Any]


class CheckedAction(ActionBase):
    """Runs the module of the same name, but never with a secret among its arguments."""

    TRANSFERS_FILES = False
    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """What Ansible calls."""
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        for name in arguments:
            if name.startswith("_"):
                raise AnsibleActionFail(f"{name} is no parameter of this module")
        try:
            secret.refuse(arguments.get("options"), arguments.get("recovery_options"))
        except EngineError as cause:
            raise AnsibleActionFail(str(cause)) from None
        if self._task.action.rpartition(".")[2] == "restore":
            # The variable names the host of the play, wherever its task is delegated to.
            arguments["_host"] = self._task.delegate_to or variables.get("inventory_hostname")
        result.update(self._act(arguments, variables))
        return result

    def _act(self, arguments: Result, variables: Result) -> Result:
        return self._execute(arguments, variables, wrap_async=bool(self._task.async_val))

    def _execute(self, arguments: Result, variables: Result, **more: t.Any) -> Result:
        return t.cast(
            Result, self._execute_module(module_args=arguments, task_vars=variables, **more)
        )


class FollowedAction(CheckedAction):
    """Runs the module of the same name again and again until its job has ended."""

    def _act(self, arguments: Result, variables: Result) -> Result:
        if self._task.check_mode or self._task.async_val:
            return super()._act(arguments, variables)
        return self._follow({**arguments, "_follow": PACE}, variables)

    def _follow(self, arguments: Result, variables: Result) -> Result:
        host = variables.get("inventory_hostname", "")
        controller = os.getppid()
        ours: bool | None = None
        asked = time.time()
        lost = 0
        while True:
            try:
                answer = self._execute(arguments, variables)
            except AnsibleConnectionFailure as cause:
                lost += 1
                if lost > RETRIES or (ours is None and time.time() - asked > UNKNOWN):
                    raise
                display.display(f"{host}: {cause}; the work goes on there, asking again")
                time.sleep(PAUSE)
                self._connection.reset()
                continue
            lost = 0
            job = answer.pop("_job", None)
            if job is None:
                return answer
            if os.getppid() != controller:
                # It was killed: the answer is for whoever comes next.
                raise AnsibleActionFail("ansible-playbook is gone; the work goes on on the host")
            if ours is None:
                ours = job["started"]
                arguments = {**arguments, "_attach": job["id"]}
                if not ours:
                    display.display(f"{host}: attached to what an earlier run has begun")
            if job["running"]:
                display.display(f"{host}: {progress_text(job['progress'])}")
                continue
            self._heard(job["unheard"])
            answer["attached"] = not ours
            return answer

    def _heard(self, path: str) -> None:
        """Have the host note that an answer is known here now."""
        done = self._low_level_execute_command(self._connection._shell.remove(path))
        if done.get("rc"):
            display.warning(f"{path} could not be removed: {done.get('stderr', '').strip()}")


def progress_text(progress: Result) -> str:
    """One line about where a job is."""
    if "percent" not in progress:
        return str(progress.get("step") or "started")
    text = f"{progress['percent']:.1f}% of {_size(progress['total'])}, {_size(progress['rate'])}/s"
    left = progress.get("left")
    return text if left is None else f"{text}, {_duration(left)} left"


def _size(size: int) -> str:
    number, units = float(size), ["B", "KB", "MB", "GB", "TB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:.1f}{units[0]}" if units[0] != "B" else f"{int(number)}B"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m{rest:02d}s" if hours else f"{minutes}m{rest:02d}s"
