# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs another module as the owner of what it changes.

Whoever owns a directory may put a link into it at any moment, and what root does there through the
link happens elsewhere. Root becomes the owner on the host, and Ansible need not know: the module
comes on standard input, so nothing is written that the owner would have to read.
"""

from __future__ import annotations

import shlex
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

Result = dict[str, t.Any]

# What Ansible would do at the word of a process that others of the same user can stop and change.
ORDERS = ("add_group", "add_host", "ansible_facts", "ansible_stats")


class ActionModule(ActionBase):
    """Runs the module that ``module`` names with the parameters ``args``."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("user", "module", "args"))

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """What Ansible calls."""
        result: Result = super().run(tmp, task_vars)
        _dummy, given = self.validate_argument_spec(
            {
                "user": {"type": "str", "required": True},
                "module": {"type": "str", "required": True},
                "args": {"type": "dict", "required": True},
            }
        )
        if not self._connection.has_pipelining:
            raise AnsibleActionFail("a module cannot be sent to its interpreter on this connection")
        self._owner = given["user"]
        if self._task.check_mode and not self._exists(self._owner):
            result.update(changed=True, msg=f"user {self._owner} does not exist yet")
            return result
        answer = self._execute_module(
            module_name=given["module"], module_args=dict(given["args"]), task_vars=task_vars
        )
        result.update({key: value for key, value in answer.items() if key not in ORDERS})
        return result

    def _exists(self, user: str) -> bool:
        """As in the first check of a playbook, before packages have made the user."""
        found = self._low_level_execute_command(shlex.join(["id", "--user", "--", user]))
        return bool(found["rc"] == 0)

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """Whether or not all the other tasks are sent that way."""
        if module_style != "new":
            # It would be run from a file of root's, by root.
            raise AnsibleActionFail("only a module in Python can be run as somebody else")
        return True

    def _update_module_args(self, module_name: str, module_args: Result, *args: t.Any, **kw: t.Any):
        """With a directory for temporary files that is not root's."""
        super()._update_module_args(module_name, module_args, *args, **kw)
        module_args["_ansible_remote_tmp"] = None

    def _low_level_execute_command(
        self, cmd: str, sudoable: bool = True, in_data: bytes | None = None, **options: t.Any
    ) -> Result:
        # Before the module, Ansible may look for an interpreter.
        if in_data is not None and sudoable:
            # Without HOME, which is root's, Python takes that of the user.
            words = ["runuser", f"--user={self._owner}", "--", "env", "--unset=HOME"]
            cmd = shlex.join([*words, "/bin/sh", "-c", cmd])
            options["chdir"] = "/"
        return t.cast(Result, super()._low_level_execute_command(cmd, sudoable, in_data, **options))
