# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server of a repository can do, and what follows from it, before a backup finds out."""

from __future__ import annotations

import os
import typing as t

from .. import log
from ..errors import EngineError, StorageError
from ..repository.backup_info import BackupInfo
from ..repository.report_text import size_text
from ..storage.base import Storage
from ..storage.survey import NEEDED, SAMPLE, SCRATCH_PREFIX, Survey, Trial

# What OpenSSH takes from one session before it acknowledges (its channel's window), in bytes.
_WINDOW = 2 * 1024 * 1024

# Seconds of a round trip from which distance is what limits an upload.
_FAR = 0.01


class Preflight(t.NamedTuple):
    """One repository's."""

    location: str
    survey: Survey
    consequences: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "location": self.location,
            **self.survey.as_dict(),
            "consequences": list(self.consequences),
        }


def run(storage: Storage, key: int, backups: BackupInfo | None) -> Preflight | None:
    """Try out the server of repository ``key``; None for one that has no server.

    ``backups`` are those in the repository, if there are any. Raises, after logging the table, when
    the server lacks what a repository cannot be without: its refusal, of whatever class that is, or
    StorageError.
    """
    survey = storage.survey(SCRATCH_PREFIX + os.urandom(6).hex())
    if survey is None:
        return None
    found = Preflight(storage.location, survey, consequences(survey, backups))
    broken = [trial for trial in survey.trials if trial.name in NEEDED and trial.works is False]
    if broken:
        log.warn("repo%d fails the preflight:\n%s", key, render(key, found).rstrip("\n"))
        raise _complaint(found.location, broken[0])
    return found


def _complaint(location: str, trial: Trial) -> EngineError:
    cause = trial.error or StorageError(f"{trial.name}: {trial.detail or 'does not work'}")
    return type(cause)(
        f"{location} cannot serve as a repository: {cause.message}",
        hint=cause.hint
        or "may the SFTP user write to the repository directory, and is there space and quota?",
    )


def consequences(survey: Survey, backups: BackupInfo | None) -> tuple[str, ...]:
    """What follows for backups, in sentences (pure)."""
    return tuple(_consequences(survey, backups))


def _consequences(survey: Survey, backups: BackupInfo | None) -> t.Iterator[str]:
    over = survey.trial("rename over")
    if over.works is False:
        yield (
            "a name that is taken is removed before a file is renamed to it: a reader may miss "
            "the file for a moment, and finds its copy"
        )
    if survey.trial("fsync").works is False:
        yield "the server decides when files are durable: a crash of it may lose what is new"
    if survey.trial("exclusive create").works is False:
        yield "exclusive creation does not work; nothing here depends on it"
    if survey.trial("symlink").works is False:
        yield "no symbolic links; a repository over SFTP has none"
    if survey.handles is not None and survey.handles < 16:
        yield f"only {survey.handles} files may be open at once: small files take longer"
    if survey.trial("statvfs").works is False:
        yield "free space cannot be asked for: that the disk is full shows when a write fails"
    if backups is not None:
        yield from _space(survey, backups)
    yield from _distance(survey)


def _space(survey: Survey, backups: BackupInfo) -> t.Iterator[str]:
    fulls = [entry for entry in backups.backups.values() if entry.prior is None]
    if survey.free is None or not fulls:
        return
    size = fulls[-1].repo_size
    if survey.free < size:
        yield (
            f"another full backup may not fit: the last one takes {size_text(size)}, "
            f"{size_text(survey.free)} are free"
        )
    elif size:
        times = survey.free // size
        shown = str(times) if times < 1000 else "more than 1000"
        yield f"there is space for {shown} more full backup(s) like the last ({size_text(size)})"


def _distance(survey: Survey) -> t.Iterator[str]:
    if survey.round_trip is None or survey.round_trip < _FAR:
        return
    bound = int(_WINDOW / survey.round_trip)
    yield (
        f"at {survey.round_trip * 1000:.0f} ms an OpenSSH server takes at most "
        f"{size_text(bound)}/s of one session: a higher process-max makes backups faster"
    )


def render(key: int, found: Preflight) -> str:
    """A table for people."""
    survey = found.survey
    what = ", ".join(part for part in (survey.software, survey.cipher) if part)
    rows = [(trial.name, _mark(trial), trial.detail) for trial in survey.trials]
    rows.append(("request size", size_text(survey.request), ""))
    if survey.handles is not None:
        rows.append(("open files", str(survey.handles), ""))
    if survey.round_trip is not None:
        rows.append(("round trip", f"{survey.round_trip * 1000:.1f} ms", ""))
    sample = f"{size_text(SAMPLE)} in one session"
    if survey.upload is not None:
        rows.append(("upload", f"{size_text(int(survey.upload))}/s", sample))
    if survey.download is not None:
        rows.append(("download", f"{size_text(int(survey.download))}/s", sample))
    if survey.free is not None:
        rows.append(("free space", size_text(survey.free), ""))
    lines = [f"repo{key}: {found.location}" + (f" ({what})" if what else "")]
    lines += [f"    {name:<18}{mark:<12}{detail}".rstrip() for name, mark, detail in rows]
    lines += [f"    * {text}" for text in found.consequences]
    return "\n".join(lines) + "\n"


def _mark(trial: Trial) -> str:
    return {True: "yes", False: "no", None: "-"}[trial.works]
