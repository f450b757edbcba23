# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data directory that is restored: what it is now, who agrees to its end, where it is kept.

A directory that is replaced is renamed, and so is what its tablespaces and links lead to. It stays
until a server has started in the new one: until then all that was renamed can be renamed back.
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import time
import typing as t

from . import aside as names
from . import state
from .above import SUFFIX, Above, writable
from .engine import log
from .engine.command.restore import preview
from .engine.command.restore import run as restoring
from .engine.command.restore.running import process_of, refuse_running
from .engine.command.restore.target import MARKER, PG_CONTROL, not_empty
from .engine.command.restore.trouble import looking
from .engine.config.options import Options
from .engine.errors import (
    DbConnectError,
    EngineError,
    OptionInvalidError,
    PathNotEmptyError,
    PathRemoveError,
    PostgresRunningError,
)
from .engine.postgres import asking, control
from .engine.repository import lock

# What the server writes into postmaster.pid when it accepts connections.
ACCEPTS = ("ready", "standby")

Result = dict[str, t.Any]
Perform = t.Callable[[Options, t.Callable[[Options], t.Any]], t.Any]


class Directory(enum.Enum):
    """What a data directory is in the eyes of a restore."""

    EMPTY = "empty"
    INTERRUPTED = "interrupted"  # an earlier restore did not end; no server can start in it
    STANDBY = "standby"  # of the cluster that the stanza backs up
    OTHER = "other"


class Consent(t.NamedTuple):
    """What the task says about replacing a directory."""

    force: bool
    host: str | None
    """The host that is meant."""
    inventory_name: str | None
    """The host that it runs on."""


class Choice(t.NamedTuple):
    """What is to be done with the directory."""

    found: Directory
    done: bool
    """It is what the task asks for."""
    delta: bool
    """It is changed in place."""
    aside: dict[str, str]
    """It is renamed: new path -> old path."""
    force: bool = False
    """It holds nothing, and what a lost one has left elsewhere, as tablespaces, is replaced."""


def examine(options: Options) -> Directory:
    """What the data directory of ``options`` is; only for a standby the repository is asked."""
    path = options.pg.path
    with looking(path):
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return Directory.EMPTY
    if not names:
        return Directory.EMPTY
    if MARKER in names and not os.path.exists(f"{path}/{PG_CONTROL}"):
        return Directory.INTERRUPTED
    follows = asking.asker(path) is asking.Asker.STANDBY
    if follows and os.path.exists(f"{path}/{PG_CONTROL}"):
        info = state.backups(options)
        if info is not None and _system_id(path) == info.current.system_id:
            return Directory.STANDBY
    return Directory.OTHER


def _system_id(path: str) -> int | None:
    """Of the cluster in the directory; None where pg_control is damaged and nothing is known."""
    try:
        return control.load(path).system_id
    except EngineError:
        return None


def _refuse_running(path: str, *, check_mode: bool) -> None:
    """PostgresRunningError when a server runs; in check mode a warning: a play stops it first."""
    try:
        refuse_running(path)
    except PostgresRunningError as cause:
        if not check_mode:
            raise
        log.warn("%s", cause)


def choose(options: Options, consent: Consent, *, delta: bool, check_mode: bool) -> Choice:
    """Decide; raises what speaks against the restore."""
    path = options.pg.path.rstrip("/")
    found = examine(options)
    if found is Directory.STANDBY and options.type == "standby" and not consent.force:
        return Choice(found, done=True, delta=False, aside={})
    _refuse_running(path, check_mode=check_mode)
    if found is Directory.EMPTY:
        agreed = consent.force and consent.host is not None
        agreed = agreed and consent.host == consent.inventory_name
        return Choice(found, done=False, delta=False, aside={}, force=agreed)
    if found is Directory.INTERRUPTED:
        return Choice(found, done=False, delta=True, aside={})
    if not consent.force:
        raise not_empty(path)
    _refuse_without(consent, path)
    if delta:
        return Choice(found, done=False, delta=True, aside={})
    if options.type == "preserve":
        raise OptionInvalidError(
            "type 'preserve' needs delta",
            hint="the settings to preserve are in the directory that would be renamed.",
        )
    if os.path.islink(path):
        raise OptionInvalidError(
            f"'{path}' is a link, which cannot be kept aside",
            hint="name the directory itself in pg1-path, or use delta, which changes it in place.",
        )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = {f"{place}{SUFFIX}{stamp}": place for place in names.parts(path)}
    return Choice(found, done=False, delta=False, aside=aside)


def plan(options: Options, choice: Choice) -> Result:
    """What a restore would do; without a backup that is not known yet, as before the first one."""
    told = {"directory": choice.found.value, "aside": choice.aside}
    info = state.backups(options)
    if options.set is None and (info is None or not info.backups):
        log.warn("stanza '%s' has no backup yet", options.stanza)
        return told
    found = preview.run(options, replace=bool(choice.aside), consent=choice.delta)
    return {"plan": found.as_dict(), **told}


def restore(perform: Perform, options: Options, choice: Choice, above: Above) -> Result:
    """Restore; a directory that was renamed for nothing gets its name back."""

    def work(options: Options) -> restoring.RestoreResult:
        if choice.aside:
            # Everything that speaks against it is said before anything is touched.
            preview.run(options, replace=True, strict=True)
            # Nor is a restore that is about to end moved away.
            with lock.acquire(options, lock.LockType.RESTORE):
                _rename({old: new for new, old in choice.aside.items()}, above)
        try:
            return restoring.run(options, consent=choice.delta)
        except EngineError:
            _undo(choice.aside, above)
            raise

    result = perform(options, work)
    return {
        "restore": result.as_dict(),
        "directory": choice.found.value,
        "aside": choice.aside,
    }


def confirm(
    options: Options, timeout: float, above: Above, *, newest: bool = False, check_mode: bool
) -> Result:
    """Remove what was kept aside as soon as the new server is up; DbConnectError if it is not.

    With ``newest`` only what the newest restore has kept.
    """
    path = options.pg.path.rstrip("/")
    kept = names.newest(path) if newest else names.kept(path)
    if kept and not check_mode:
        _wait(path, timeout)
        _refuse_forbidden(kept, above)
        for place, old in kept.items():
            log.info("remove '%s', which was kept aside", place)
            with _removing(place):
                _clear(place)
                if old == path:
                    above.remove(place)
                else:
                    os.rmdir(place)
    return {"changed": bool(kept), "aside": kept}


def revert(options: Options, consent: Consent, above: Above, *, check_mode: bool) -> Result:
    """Give what the newest restore has kept aside its name back; what it has brought is removed.

    Raises PostgresRunningError when a server runs, OptionInvalidError without consent, and
    LockAcquireError while a restore is under way: it would write into what is back.
    """
    path = options.pg.path.rstrip("/")
    with (
        contextlib.nullcontext() if check_mode else lock.acquire(options, lock.LockType.RESTORE)
    ):  # fmt: skip
        kept = names.newest(path)
        if not kept:
            return {"changed": False, "aside": {}}
        _refuse_without(consent, path)
        _refuse_running(path, check_mode=check_mode)
        _refuse_forbidden(kept, above)
        # The data directory comes last: what was interrupted is found again by its links.
        for new, old in kept.items() if not check_mode else ():
            log.info("remove '%s', and give its name back to '%s'", old, new)
            with _removing(old):
                _clear(old)
                if old == path:
                    above.back(new)
                else:
                    _back(new, old)
        return {"changed": True, "aside": kept}


def _refuse_without(consent: Consent, path: str) -> None:
    """OptionInvalidError unless the host that is meant is this one."""
    if consent.host is None or consent.host != consent.inventory_name:
        given = "is not given" if consent.host is None else f"is '{consent.host}'"
        raise OptionInvalidError(
            f"'{path}' on {consent.inventory_name} is not replaced: confirm_host {given}",
            hint="confirm_host says which host of the inventory is meant; it has to be this one.",
        )


def _refuse_forbidden(kept: t.Mapping[str, str], above: Above) -> None:
    """PathRemoveError for what could be emptied, but not renamed or removed then."""
    for new, old in kept.items():
        with _removing(new):
            if old == above.path:
                above.may(new)
            else:
                writable(old)


@contextlib.contextmanager
def _removing(path: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise PathRemoveError(
            f"unable to remove '{path}': {cause.strerror}",
            hint="may the user who runs this write to the directory that holds it?",
        ) from cause


def _clear(path: str) -> None:
    """Remove all that is in a directory, if it is there; OSError."""
    if not os.path.isdir(path):
        return
    with os.scandir(path) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _back(new: str, old: str) -> None:
    if os.path.isdir(old):
        os.rmdir(old)
    os.rename(new, old)


def _wait(path: str, timeout: float) -> None:
    limit = time.monotonic() + timeout
    while _status(path) not in ACCEPTS:
        if time.monotonic() >= limit:
            raise DbConnectError(
                f"no server accepts connections in '{path}'",
                hint="what was kept aside stays until one does; look into the server's log.",
            )
        time.sleep(0.2)


def _status(path: str) -> str:
    """What the server in the directory says of itself; empty when there is none.

    One that was killed has left its word, and another process may have its number by now.
    """
    if process_of(path) is None:
        return ""
    try:
        with open(f"{path}/postmaster.pid", encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()[7].strip()
    except (OSError, IndexError):
        return ""


def _rename(pairs: t.Mapping[str, str], above: Above) -> None:
    """Rename all, old path -> new path, or none."""
    done: list[tuple[str, str]] = []
    # What is linked to goes before the directory that has the link.
    for old, new in reversed(list(pairs.items())):
        try:
            if old == above.path:
                above.keep(new)
            else:
                os.rename(old, new)
        except OSError as cause:
            for was, now in reversed(done):
                os.rename(now, was)
            raise PathNotEmptyError(
                f"unable to keep '{old}' aside: {cause.strerror}",
                hint="delta changes it in place; that cannot be undone.",
            ) from cause
        done.append((old, new))
        log.info("keep '%s' aside as '%s'", old, new)


def _undo(aside: t.Mapping[str, str], above: Above) -> None:
    """Give the old directories their names back when the new ones have nothing yet."""
    if not aside or os.path.lexists(f"{above.path}/{MARKER}"):
        return
    try:
        for new, old in aside.items():
            if old == above.path:
                above.back(new)
            else:
                _back(new, old)
    except OSError as cause:
        log.warn("what was kept aside stays there: %s", cause)
    else:
        log.info("what was kept aside has its name back")
