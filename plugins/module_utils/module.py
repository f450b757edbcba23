# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules share: parameters, the change of user, results and errors.

A module forks. Where it runs as root the child becomes the owner of the cluster and does the work;
the parent waits and answers Ansible: it is still root, as the clean-up of Ansible's own temporary
files needs. So no ``become_user`` is needed, and with it neither the acl package nor pipelining.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib
import json
import logging
import os
import pkgutil
import pwd
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule

from . import above, engine, failure, job, secret
from .engine import log, runner
from .engine.config.commands import COMMANDS
from .engine.config.load import load
from .engine.config.options import Options
from .engine.errors import AssertError, EngineError, ExecuteError, UserMissingError
from .engine.worker.progress import Snapshot

CONFIG = "/etc/pgbackrest.conf"
COMMAND = "/usr/local/bin/pgsftp"
# Where those of a virtual environment lie that has its interpreter in bin/.
LIBRARIES = "{0}/lib/python{1.major}.{1.minor}/site-packages"
DEFAULT_OWNER = "postgres"

Result = dict[str, t.Any]
Work = t.Callable[["Task"], Result]
_T = t.TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Task:
    """What Ansible asks for."""

    params: t.Mapping[str, t.Any]
    check_mode: bool
    ask: above.Ask | None = None
    """Asks the process that waits, which is root's where the task is."""
    attaches: bool = False
    """In check mode, whether the task would have the result of a run that has begun already."""

    def options(self, command: str, **overrides: t.Any) -> Options:
        """The engine's options of one command: file, the task's ``options``, then ``overrides``.

        In an override ``_`` stands for ``-``, and None for an option that is not set. Raises the
        errors of ``load``, and OptionInvalidError for a secret.
        """
        given = dict(self.params["options"])
        secret.refuse(given, overrides.get("recovery_option"))
        given["config"] = self.params["config"]
        given["stanza"] = self.params["stanza"]
        for name, value in overrides.items():
            given[name.replace("_", "-")] = value
        given = {name: value for name, value in given.items() if value is not None}
        loaded = load(command, [], os.environ, overrides=given)
        # What PostgreSQL is told to call is the host command, not this module.
        told = loaded if loaded.cmd else dataclasses.replace(loaded, cmd=COMMAND)
        _use_libraries(told.cmd)
        return told

    def perform(self, options: Options, work: t.Callable[[Options], _T]) -> _T:
        """Run a command of the engine as the host command does, with its lines in its log file."""
        command = COMMANDS[options.command]
        log_file = runner.attach_log_file(command, options)
        try:
            return runner.perform(command, options, work)
        finally:
            if log_file is not None:
                log.detach(log_file)


def main(
    spec: t.Mapping[str, t.Any],
    command: str | t.Mapping[str, str],
    work: Work,
    *,
    uninstalled: Result | t.Callable[[t.Mapping[str, t.Any]], Result],
    detached: bool = False,
) -> None:
    """Run a module to its end.

    ``spec`` holds the parameters of its own, ``command`` names the engine's command, or that
    of each ``state``, and ``work`` does it as the owner of the cluster. ``uninstalled`` is the
    answer of check mode on a host that has no configuration yet, as in the first check of a
    playbook, or makes it of the parameters. ``detached`` work goes on when whoever wanted it is
    gone.
    """
    hidden = {"_follow": {"type": "float"}, "_attach": {"type": "str"}} if detached else {}
    module = AnsibleModule(
        argument_spec={
            "stanza": {"type": "str", "required": True},
            "config": {"type": "path", "default": CONFIG},
            "options": {"type": "dict", "default": {}},
            "user": {"type": "str"},
            **spec,
            **hidden,
        },
        supports_check_mode=True,
    )
    if module.check_mode and not os.path.exists(module.params["config"]):
        foreseen = uninstalled(module.params) if callable(uninstalled) else uninstalled
        module.exit_json(msg=f"{module.params['config']} does not exist yet", **foreseen)
    name = command if isinstance(command, str) else command[module.params["state"]]
    task = Task(module.params, module.check_mode)
    if detached and not module.check_mode:
        answer = _followed(task, name, work)
    else:
        answer = _asked(task, name, work, detached=detached)
    for warning in answer.pop("warnings", []):
        module.warn(warning)
    if answer.pop("failed", False):
        module.fail_json(**answer)
    module.exit_json(**answer)


def _followed(task: Task, command: str, work: Work) -> Result:
    """The answer of a job that is started here, or was before.

    The action plugin has it followed for some seconds at a time, by the identity that it is told
    with the first answer: whoever names a job begins none. When it has the answer it removes the
    mark that nobody has; without that plugin the job is waited for, and this process removes it.
    """

    def run(tell: job.Tell) -> Result:
        return _in_child(
            lambda told, ask: _answer(task, command, work, told, ask), _server(task, command), tell
        )

    identity, started = task.params["_attach"], False
    seconds = task.params["_follow"]
    try:
        name = job.name(command, task.params)
        found = job.Job(job.place(), name, job.cluster(task.params))
        if identity is None:
            _import_engine()
            identity, started = found.begin(run)
    except EngineError as error:
        return failure.told(error)
    state = found.wait(identity, seconds)
    about = {
        "id": identity,
        "started": started,
        "unheard": found.unheard(identity),
        "progress": state.get("progress", {}),
    }
    if "answer" not in state:
        return {"changed": False, "_job": {"running": True, **about}}
    if seconds is None:
        found.heard(identity)
        return {**state["answer"], "attached": not started}
    return {**state["answer"], "attached": not started, "_job": {"running": False, **about}}


def _asked(task: Task, command: str, work: Work, *, detached: bool) -> Result:
    """The answer of work that ends with this process; before that, whether a job is there."""
    try:
        # Asked here: who becomes the owner of the cluster cannot see the jobs of root.
        known = detached and job.attaches(command, task.params)
    except EngineError as error:
        return failure.told(error)
    asked = dataclasses.replace(task, attaches=known)
    return _in_child(
        lambda tell, ask: _answer(asked, command, work, tell, ask), _server(asked, command)
    )


def _server(task: Task, command: str) -> above.Ask:
    """What the process that waits does for the one that works."""

    def serve(request: Result) -> Result:
        try:
            path = _data_directory(task, command)
        except EngineError:
            path = None
        return {"errno": errno.EPERM} if path is None else above.serve(path.rstrip("/"), request)

    return serve


def _answer(task: Task, command: str, work: Work, tell: job.Tell, ask: above.Ask) -> Result:
    """The work and what is said about it; nothing is raised."""
    warnings = _Warnings()
    log.attach(warnings, "warn")
    log.attach(_Steps(tell), "info")
    try:
        _import_engine()
        _become(_owner(task, command))
        done = work(dataclasses.replace(task, ask=ask))
        return {"changed": False, **done, "warnings": warnings.texts}
    except EngineError as error:
        return {**failure.told(error), "warnings": warnings.texts}
    except Exception as error:
        mistake = AssertError(f"unexpected {type(error).__name__}: {error}")
        return {**failure.told(mistake), "warnings": warnings.texts}


class _Warnings(logging.Handler):
    """Keeps the engine's warnings for Ansible."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        if record.levelno == logging.WARNING:
            self.texts.append(record.getMessage())


class _Steps(logging.Handler):
    """Tells where the work is: the newest line of the log, and figures where it has some."""

    def __init__(self, tell: job.Tell) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one line."""
        if record.levelno != logging.INFO:
            return
        told: Result = {"step": record.getMessage().partition("\n")[0]}
        for value in record.args if isinstance(record.args, tuple) else ():
            if isinstance(value, Snapshot):
                told.update(
                    percent=round(value.percent, 1),
                    done=value.done,
                    total=value.total,
                    rate=int(value.rate),
                    left=None if value.left is None else int(value.left),
                )
        self._tell(told)


def _import_engine() -> None:
    """Import all of the engine that came along.

    Ansible's archive with the code belongs to root; whoever has become another user cannot read it.
    """
    for found in pkgutil.walk_packages(engine.__path__, engine.__name__ + "."):
        importlib.import_module(found.name)


def _use_libraries(command: str) -> None:
    """Find libraries where the host command does: its first line names the interpreter.

    They come last: where the distribution has a library, that one is taken.
    """
    with contextlib.suppress(OSError):
        with open(command, "rb") as file:
            words = os.fsdecode(file.readline(1024)).removeprefix("#!").split()
        place = os.path.dirname(os.path.dirname(words[0])) if words else ""
        path = LIBRARIES.format(place, sys.version_info)
        # Of the system's interpreter they are there already.
        if os.path.exists(f"{place}/pyvenv.cfg") and path not in sys.path:
            sys.path.append(path)


def _owner(task: Task, command: str) -> pwd.struct_passwd | None:
    """Who the cluster belongs to; None when that is who we are, or we cannot choose."""
    name = task.params["user"]
    if os.geteuid() != 0:
        if name is not None and name != pwd.getpwuid(os.geteuid()).pw_name:
            raise UserMissingError(
                f"cannot become user '{name}'", hint="run the task as that user or as root."
            )
        return None
    try:
        if name is not None:
            return pwd.getpwnam(name)
        path = _data_directory(task, command)
        uid = os.stat(path).st_uid if path and os.path.exists(path) else 0
        return pwd.getpwuid(uid) if uid else pwd.getpwnam(DEFAULT_OWNER)
    except KeyError:
        raise UserMissingError(
            f"user '{name or DEFAULT_OWNER}' does not exist",
            hint="is PostgreSQL installed? the parameter user names the owner of the cluster.",
        ) from None


def _data_directory(task: Task, command: str) -> str | None:
    """The first one on this host. Where the command is told of none, check is asked instead."""
    asked = {"config": task.params["config"], "stanza": task.params["stanza"]}
    pgs = task.options(command).pgs or load("check", [], os.environ, overrides=asked).pgs
    return next((pg.path for pg in pgs if pg.host is None), None)


def _become(owner: pwd.struct_passwd | None) -> None:
    """Take on the user for good, with groups, home directory and a place to stand in."""
    if owner is None:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    os.environ.update(HOME=owner.pw_dir, USER=owner.pw_name, LOGNAME=owner.pw_name)
    os.chdir("/")
    os.umask(runner.UMASK)


def _in_child(
    answer: t.Callable[[job.Tell, above.Ask], Result],
    serve: above.Ask,
    hear: job.Tell = lambda progress: None,
) -> Result:
    """The answer of a process of its own, whose output goes nowhere: Ansible reads this one's.

    ``hear`` is given what the process tells on the way, ``serve`` what it asks.
    """
    readable, writable = os.pipe()
    replies, replying = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            os.close(replying)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            with os.fdopen(writable, "w", encoding="utf-8") as pipe, os.fdopen(replies) as replied:
                # Who works goes on when there is nobody to hear it any more.
                def tell(progress: Result) -> None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.write(json.dumps({"progress": progress}) + "\n")
                        pipe.flush()

                def ask(request: Result) -> Result:
                    pipe.write(json.dumps({"ask": request}) + "\n")
                    pipe.flush()
                    return t.cast(Result, json.loads(replied.readline() or "{}"))

                pipe.write(json.dumps({"answer": answer(tell, ask)}) + "\n")
        finally:
            os._exit(0)
    os.close(writable)
    os.close(replies)
    given: Result | None = None
    with os.fdopen(readable, encoding="utf-8") as pipe, os.fdopen(replying, "w") as reply:
        # Not all until the end: a worker of the child may hold the pipe a little longer.
        for line in pipe:
            said = json.loads(line) if line.endswith("\n") else {}
            if "answer" in said:
                given = said["answer"]
                break
            if "ask" in said:
                reply.write(json.dumps(serve(said["ask"])) + "\n")
                reply.flush()
            else:
                hear(said.get("progress", {}))
    _pid, status = os.waitpid(child, 0)
    if given is None:
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status}"
        died = f"the process that did the work died: {how}"
        return failure.told(ExecuteError(died, hint=job.DIED))
    return given
