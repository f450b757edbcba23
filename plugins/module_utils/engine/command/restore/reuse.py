# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen to what a restore finds where it writes to, and what speaks against it."""

from __future__ import annotations

import os
import typing as t

from ... import log
from ...config.options import Options
from ...errors import DbMismatchError, EngineError, PathMissingError
from ...postgres import control
from ...repository.contents import Manifest
from .copy import Keep
from .outside import others, outside_of, refuse_servers, refuse_strangers
from .plan import Places
from .target import Target, holds, is_data_directory, not_empty


class Reuse(t.NamedTuple):
    """What may happen to files that are there: replaced when they differ, or always."""

    delta: bool
    force: bool
    consent: bool = False
    """Whoever asks has agreed to the end of the cluster that is there, whichever it is."""
    empty: bool = False
    """The data directory holds nothing, so that all there is to reuse lies outside of it."""

    @property
    def any(self) -> bool:
        """Whether a directory that is not empty is acceptable."""
        return self.delta or self.force

    @property
    def anew(self) -> bool:
        """Whether all files are fetched, whatever is there."""
        return not self.delta

    def keep(self, pg_data: str, contents: Manifest) -> Keep:
        """Which existing files need not be fetched.

        Of size and time somebody says that they suffice for the files of the cluster itself.
        Another one has files of the same names, many of the same size and some of the same second,
        and after a restore that did not end nobody knows whose they are.
        """
        if not self.delta:
            return Keep.NONE
        found = _cluster_in(pg_data) if self.force else None
        if found is None or found.system_id != contents.db.system_id:
            return Keep.SAME_CHECKSUM
        return Keep.SAME_SIZE_AND_TIME


def reuse_of(options: Options, pg_data: str, *, consent: bool = False) -> Reuse:
    """What the options allow, in a directory that looks like one of PostgreSQL's.

    In one that holds nothing --force is left: tablespaces may be all that a disaster has spared.
    What they hold says nothing of the backup, so all of it is fetched. Nor does it say of all that
    lies elsewhere whose it is; see ``outside.refuse_strangers``.
    """
    reuse = Reuse(options.delta, options.force, consent)
    if is_data_directory(pg_data):
        return reuse
    if not (os.path.isdir(pg_data) and holds(pg_data)):
        return Reuse(False, reuse.force, empty=True)
    if reuse.any:
        log.warn(
            "--delta or --force specified but unable to find 'PG_VERSION' or 'backup.manifest' "
            "in '%s' to confirm that this is a valid $PGDATA directory; they have been "
            "disabled, and the restore will be aborted if any files exist there",
            pg_data,
        )
    return Reuse(False, False)


def refuse_early(pg_data: str, reuse: Reuse, restore_type: str) -> None:
    """What needs no repository to be refused is refused before one is asked."""
    # The version of the backup says what a restore that preserves settings may find.
    closed = not reuse.any and restore_type != "preserve"
    if closed and os.path.isdir(pg_data) and holds(pg_data):
        raise not_empty(pg_data)
    if os.path.islink(pg_data) and not os.path.exists(pg_data):
        raise PathMissingError(
            f"unable to restore to '{pg_data}': it is a link to '{os.path.realpath(pg_data)}',"
            " which does not exist",
            hint="is the file system there not mounted? make the directory, or remove the link.",
        )
    parent = os.path.dirname(pg_data)
    if not os.path.isdir(pg_data) and not os.path.isdir(parent):
        raise PathMissingError(
            f"unable to restore to '{pg_data}': '{parent}' does not exist",
            hint="is pg1-path right? the restore makes the data directory, not its parents.",
        )


def refuse_taken(
    options: Options,
    contents: Manifest,
    where: Places,
    target: Target,
    reuse: Reuse,
    *,
    preserve: t.Collection[str],
) -> None:
    """Raise for what is there and may not be changed; ``preserve`` are names that stay."""
    places, known = outside_of(contents, where), others(contents, options)
    refuse_servers(places, known)
    if not reuse.any:
        target.refuse_unless_empty(preserve=preserve)
    elif not (reuse.force or reuse.consent):
        refuse_other_cluster(where.pg_data, contents)
    refuse_strangers(places, known, contents, where, force=reuse.force, empty=reuse.empty)


def refuse_other_cluster(pg_data: str, contents: Manifest) -> None:
    """DbMismatchError when the directory is one of another cluster, which would be gone.

    Where pg_control is missing or damaged, as after a restore that did not end, nothing is known.
    """
    found = _cluster_in(pg_data)
    if found is not None and found.system_id != contents.db.system_id:
        raise DbMismatchError(
            f"unable to restore over the cluster in '{pg_data}': it has system-id"
            f" {found.system_id} and version {found.version}, but the backup is of system-id"
            f" {contents.db.system_id} and version {contents.db.version}",
            hint="is it the right directory and stanza? --force replaces it all the same.",
        )


def _cluster_in(pg_data: str) -> control.ControlData | None:
    try:
        return control.load(pg_data)
    except EngineError:
        return None
