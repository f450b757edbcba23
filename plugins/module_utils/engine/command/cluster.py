# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the configured PostgreSQL hosts is the primary, and which the standby."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from .. import log
from ..config.options import Options, PgOptions
from ..errors import (
    DbConnectError,
    DbMismatchError,
    EngineError,
    LockAcquireError,
    StopError,
)
from ..postgres.control import ControlData
from ..postgres.node import LocalNode, Node
from ..postgres.remote import RemoteNode
from ..repository import lock


@dataclass(frozen=True)
class Cluster:
    """The connected hosts. ``standby`` is None unless one was asked for and found."""

    primary: Node
    control: ControlData
    standby: Node | None = None


@dataclass(frozen=True)
class Reached:
    """The configured hosts with a server that answers."""

    primary: Node | None
    standby: Node | None
    """The first one."""
    causes: tuple[EngineError, ...]
    """Why the others could not be reached."""


def open_node(options: Options, key: int, claim: lock.Claim | None = None) -> Node:
    """The node of that key, not yet connected to its server."""
    for pg in options.pgs:
        if pg.key == key:
            return _node(options, pg, claim)
    raise DbConnectError(
        f"pg{key} is not configured", hint=f"set pg{key}-path in the section of the stanza."
    )


def _node(options: Options, pg: PgOptions, claim: lock.Claim | None) -> Node:
    return LocalNode(pg, options) if pg.host is None else RemoteNode(pg, options, claim)


@contextlib.contextmanager
def connected(
    options: Options, *, standby: str = "n", claim: lock.Claim | None = None
) -> t.Iterator[Cluster]:
    """Connect to every configured host and tell primary from standby.

    ``standby`` is ``n`` (not needed), ``y`` (required) or ``prefer``. With ``claim`` every other
    host that can be reached takes these locks, too; LockAcquireError or StopError when it refuses.
    Raises DbConnectError when the primary, or a standby that is required, is not found;
    DbMismatchError when a server does not run in the directory that is configured for it, or the
    standby is one of another cluster.
    """
    with reached(options, claim) as found:
        yield complete(found, options, standby)


@contextlib.contextmanager
def reached(options: Options, claim: lock.Claim | None = None) -> t.Iterator[Reached]:
    """Connect to every configured host that can be; see ``connected`` for the claim.

    Raises DbMismatchError when there are two primaries.
    """
    with contextlib.ExitStack() as stack:
        primary: Node | None = None
        secondary: Node | None = None
        causes: list[EngineError] = []
        for pg in options.pgs:
            try:
                node = stack.enter_context(contextlib.closing(_node(options, pg, claim)))
                node.connect()
                in_recovery = node.db.facts().in_recovery
            except (LockAcquireError, StopError):
                raise
            except (EngineError, OSError) as cause:
                error = (
                    cause
                    if isinstance(cause, EngineError)
                    else DbConnectError(str(cause), hint="is the server running?")
                )
                log.warn("unable to check pg%d: %s", pg.key, error.message)
                causes.append(error)
                continue
            if in_recovery:
                secondary = secondary or node
            elif primary is not None:
                raise DbMismatchError(
                    f"both pg{primary.pg.key} and pg{pg.key} are primaries",
                    hint="was a standby promoted while the old primary still ran?",
                )
            else:
                primary = node
        yield Reached(primary, secondary, tuple(causes))


def complete(found: Reached, options: Options, standby: str) -> Cluster:
    """The cluster of the hosts that were reached; raises what ``connected`` does."""
    primary, secondary, causes = found.primary, found.standby, found.causes
    if primary is None:
        if len(causes) == 1 and len(options.pgs) == 1:
            raise causes[0]
        raise DbConnectError(
            "unable to find a primary cluster" + "".join(f"\n{cause.message}" for cause in causes),
            hint="are the servers of all pg* options running and reachable?",
        )
    if secondary is None and standby == "y":
        raise DbConnectError(
            "unable to find a standby cluster, but backup-standby=y",
            hint="is the standby running? backup-standby=prefer falls back to the primary.",
        )
    if secondary is None and standby == "prefer":
        log.warn("unable to find a standby to back up from, using the primary")
    control = checked_control(primary)
    if secondary is None or standby == "n":
        return Cluster(primary, control)
    _check_same(control, primary, checked_control(secondary), secondary)
    return Cluster(primary, control, secondary)


@contextlib.contextmanager
def cluster_control(options: Options, claim: lock.Claim | None) -> t.Iterator[ControlData]:
    """pg_control of the cluster: of the primary that runs, or as it lies there (``online`` no).

    The other hosts hold the locks of ``claim`` until the end of the block.
    """
    with contextlib.ExitStack() as stack:
        if options.online:
            yield stack.enter_context(connected(options, claim=claim)).control
        else:
            node = stack.enter_context(contextlib.closing(_node(options, options.pg, claim)))
            yield node.control()


def _check_same(control: ControlData, primary: Node, other: ControlData, standby: Node) -> None:
    """Raise DbMismatchError when the standby cannot follow this primary."""
    for what, ours, theirs in (
        ("system-id", control.system_id, other.system_id),
        ("version", control.version, other.version),
    ):
        if ours != theirs:
            raise DbMismatchError(
                f"the standby pg{standby.pg.key} has {what} {theirs}, but the primary"
                f" pg{primary.pg.key} has {ours}",
                hint="the pg* options of the stanza likely reference different clusters.",
            )


def checked_control(node: Node) -> ControlData:
    """pg_control of the node; DbMismatchError when it is not of the server that runs there."""
    facts = node.db.facts()
    if facts.data_directory.rstrip("/") != node.pg.path.rstrip("/"):
        raise DbMismatchError(
            f"the server runs in '{facts.data_directory}', but pg{node.pg.key}-path is "
            f"'{node.pg.path}'",
            hint="the pg-path and pg-port settings likely reference different clusters.",
        )
    control = node.control()
    for what, running, lying in (
        ("version", facts.version, control.version),
        ("system-id", facts.system_id, control.system_id),
    ):
        if running != lying:
            raise DbMismatchError(
                f"the server has {what} {running}, but pg_control in '{node.pg.path}' has {lying}",
                hint="the pg-path and pg-port settings likely reference different clusters.",
            )
    return control
