# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore: bring a backup back as a data directory (repository reference, section 15)."""

from __future__ import annotations

import dataclasses
import shutil
import time
import typing as t
from dataclasses import asdict, dataclass

from ... import log
from ...config.options import Options, RepoOptions
from ...errors import (
    EngineError,
    HostInvalidError,
    OptionInvalidValueError,
    OptionRequiredError,
    PathRemoveError,
)
from ...postgres import goal, recovery, timeline
from ...postgres.goal import Goal
from ...repository import databases, lock, manifest
from ...repository.contents import Manifest
from ...storage.open import Opener, prepare
from ...storage.sftp.borrow import lender
from ...worker.pool import Report, WorkerPool
from ...worker.progress import Progress, size_text
from . import archiving, recovery_files, space
from .choice import Choice, Chosen
from .command_line import restore_command
from .copy import Login, RestoredFile, RestoreJob, worker_setup
from .few import Divided, divide, fetch
from .owner import Owners
from .plan import Places, RestorePlan, places, plan
from .reuse import Reuse, refuse_early, refuse_taken, reuse_of
from .running import refuse_running
from .target import Target
from .trouble import advice

TYPES = ("default", "immediate", "lsn", "name", "none", "preserve", "standby", "time", "xid")


@dataclass(frozen=True)
class RestoreResult:
    """A data directory that can be started. Sizes in bytes, times in seconds."""

    label: str
    type: str
    path: str
    size: int
    size_fetched: int
    file_total: int
    files_fetched: int
    files_removed: int
    duration: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def run(options: Options, *, consent: bool = False) -> RestoreResult:
    """Restore one backup; a failure leaves a directory that PostgreSQL refuses to start.

    With ``consent`` whoever asks has agreed to the end of the cluster that is in the directory,
    whichever it is; else with ``--delta`` it has to be the one of the backup.
    """
    refuse_elsewhere(options)
    stanza = options.require_stanza()
    restore_type = options.type or "default"
    if restore_type not in TYPES:
        raise OptionInvalidValueError(
            f"'{restore_type}' is not allowed for 'type' option",
            hint=f"the types are {', '.join(TYPES)}.",
        )
    aim = aim_of(options, restore_type)
    first = options.repo()
    repos = options.repos if options.selected_repo is None else (first,)
    started = time.monotonic()
    with lock.Locks(options.exec_id or None) as locks:
        keys = [repo.key for repo in repos]
        locks.acquire(options.lock_path, stanza, [lock.LockType.RESTORE], keys)
        pg_data = options.pg.path.rstrip("/")
        refuse_running(pg_data)
        reuse = reuse_of(options, pg_data, consent=consent)
        refuse_early(pg_data, reuse, restore_type)
        openers = openers_of(options, repos, anew=reuse.anew)
        with (
            WorkerPool(options.process_max, worker_setup(openers)) as pool,
            Choice(options, [repo for repo in repos if repo.key in openers], openers) as choice,
        ):
            return _restore(options, choice, aim, pool, locks, reuse, started)


def refuse_elsewhere(options: Options) -> None:
    """HostInvalidError when the data directory is one of another host."""
    if options.pg.host is not None:
        raise HostInvalidError(
            "restore command must be run on the PostgreSQL host",
            hint=f"pg{options.pg.key}-path is on '{options.pg.host}', as pg{options.pg.key}-host"
            " has it: restore there.",
        )


def openers_of(
    options: Options, repos: t.Sequence[RepoOptions], *, anew: bool
) -> dict[int, Opener]:
    """What opens each repository; of several, one that is not set up right is left out.

    When files may be kept perhaps nothing is fetched: then sessions of the archiver are enough.
    Where they are not, a worker finds that out after files were removed: what is seen to be wrong
    with sessions of our own is refused here.
    """
    lending = lender(options)
    openers: dict[int, Opener] = {}
    causes = []
    for repo in repos:
        try:
            opener = prepare(repo, io_timeout=options.io_timeout, lender=lending)
            opener.check()
            if anew:
                opener.owning()
            openers[repo.key] = opener
        except EngineError as cause:
            causes.append(cause)
            if len(repos) > 1:
                log.warn("repo%d: %s", repo.key, cause.message)
    if not openers and causes:
        raise causes[0]
    return openers


def aim_of(options: Options, restore_type: str) -> Goal:
    """The target, refused here when it is missing or no target at all."""
    if restore_type in recovery.TARGETED and options.target is None:
        raise OptionRequiredError(
            "restore command requires option: target",
            hint="give --target, or leave out --type to recover to the end of the archive.",
        )
    if options.target_timeline is not None:
        timeline.wanted(options.target_timeline)
    return goal.goal(restore_type, options.target)


def _restore(
    options: Options,
    choice: Choice,
    aim: Goal,
    pool: WorkerPool,
    locks: lock.Locks,
    reuse: Reuse,
    started: float,
) -> RestoreResult:
    anew = reuse.anew
    if choice.connect() and anew:
        # The workers log in while the backup is chosen.
        pool.begin(Login.AT_ONCE)
    chosen = choice.choose(aim)
    if anew:
        pool.begin(Login.AT_ONCE)
    ready = prepared(options, chosen, aim, reuse)
    options, aim, target, work = ready.options, ready.aim, ready.target, ready.work
    contents, where = chosen.contents, ready.where
    settings = _settings(options, contents)
    refuse_taken(options, contents, where, target, reuse, preserve=ready.preserved)
    choice.check_reach(chosen, aim)
    if anew:
        choice.close()
    space.check(work.files, where, target.roots() if reuse.any else ())
    # All of that may have taken minutes, in which a server may have been started.
    refuse_running(where.pg_data)
    refuse_taken(options, contents, where, target, reuse, preserve=ready.preserved)
    _remove_spool(options)
    removed = 0
    if reuse.any:
        removed = target.clean(preserve=ready.preserved)
    target.make_directories()
    # What is looked for is the file: with it nobody need get the key to what the repository holds.
    target.mark(manifest.render(dataclasses.replace(contents, cipher_pass=None)))
    divided = Divided((), work) if anew else divide(work)
    done = _Done()
    if not divided.few:
        # The server may grant a worker what the parent has.
        choice.close()

    def meanwhile() -> None:
        if divided.few:
            done.add(0, fetch(choice.storage(chosen), divided.few))
            choice.close()
        target.make_empty(work.empty)

    pool.begin(divided.login)
    _copy(pool, divided.work, locks, done, meanwhile)
    recovery_files.write(target, contents.db.version, settings, aim.kind)
    target.finish(online=contents.options.online)
    archiving.forget_if_standby(options, contents.db)
    log.info("restore size = %s, file total = %d", size_text(work.size), work.file_total)
    return RestoreResult(
        label=chosen.entry.label,
        type=aim.kind,
        path=where.pg_data,
        size=work.size,
        size_fetched=done.size,
        file_total=work.file_total,
        files_fetched=done.files,
        files_removed=removed,
        duration=round(time.monotonic() - started, 3),
    )


class Prepared(t.NamedTuple):
    """What a restore will do, before anything is touched."""

    options: Options
    aim: Goal
    where: Places
    target: Target
    work: RestorePlan
    preserved: t.Collection[str]
    """What stays as it is, names below the data directory."""


def prepared(options: Options, chosen: Chosen, aim: Goal, reuse: Reuse) -> Prepared:
    """Derive it from the backup and the options."""
    contents = chosen.contents
    if not contents.options.online and not options.is_given("type"):
        # Nothing to recover: the cluster was stopped when it was copied.
        aim = aim._replace(kind="none")
    options = dataclasses.replace(options, type=aim.kind, target=aim.text or None)
    where = places(contents, options)
    owners = Owners(where.pg_data)
    preserved = recovery.preserved(contents.db.version) if aim.kind == "preserve" else ()
    work = plan(
        contents,
        where,
        owners,
        stanza=options.require_stanza(),
        keep=reuse.keep(where.pg_data, contents),
        preserve=preserved,
        left_out=databases.left_out(contents, options.db_include, options.db_exclude),
        repo=chosen.repo.key,
    )
    target = Target(contents, where, owners)
    return Prepared(archiving.decided(options, contents.db), aim, where, target, work, preserved)


def _settings(options: Options, contents: Manifest) -> recovery.Settings:
    """Made before anything is touched, since they may be refused."""
    return recovery.recovery_settings(options, contents.db.version, restore_command(options))


def _remove_spool(options: Options) -> None:
    """WAL that was fetched ahead for another recovery must not get into this one."""
    path = f"{options.spool_path}/archive/{options.require_stanza()}"
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as cause:
        raise PathRemoveError(
            f"unable to remove '{path}': {cause.strerror}", hint=advice(path, cause)
        ) from cause


class _Done:
    """What was fetched, in files and bytes."""

    files = 0
    size = 0

    def add(self, worker: int, restored: t.Sequence[RestoredFile]) -> None:
        """Count and log what a worker has done, or the parent, which is number 0."""
        extra = {"process_id": worker}
        for file in restored:
            if file.fetched:
                self.files += 1
                self.size += file.size
                log.detail("restore file %s (%s)", file.name, size_text(file.size), extra=extra)
            else:
                log.detail("restore file %s - exists and matches backup", file.name, extra=extra)


def _copy(
    pool: WorkerPool,
    work: RestorePlan,
    locks: lock.Locks,
    done: _Done,
    meanwhile: t.Callable[[], None],
) -> None:
    """Have the workers fetch everything; ``meanwhile`` is called when they have begun."""
    jobs = list(reversed(work.jobs))
    progress = Progress(work.size)

    def next_job(_worker: int) -> RestoreJob | None:
        return jobs.pop() if jobs else None

    for event in pool.run(next_job, for_good=True, meanwhile=meanwhile):
        if not isinstance(event, Report):
            done.add(event.worker, event.result)
            continue
        line = progress.add(event.size)
        if line is not None:
            locks.progress(line.total, line.done)
            log.info("restore progress: %s", line)
