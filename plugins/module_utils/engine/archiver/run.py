# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``archiver``: the service itself, or what it says of itself."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .. import resident
from ..config.options import Options
from ..errors import HostConnectError, ParamInvalidError
from . import status


@dataclass(frozen=True)
class StatusResult:
    """What the archiver does just now."""

    status: status.Status
    output: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return status.as_dict(self.status)

    @property
    def text(self) -> str:
        """As the option ``output`` asks for."""
        if self.output == "json":
            return json.dumps(self.as_dict(), indent=2) + "\n"
        return status.text(self.status)


def run(options: Options, main: t.Callable[..., int]) -> StatusResult | None:
    """Serve until told to end, or with the parameter ``status`` ask the one that does.

    The service runs command lines for others with ``main``.
    """
    if not options.parameters:
        from .service import run as serve

        serve(options, main)
        return None
    if options.parameters != ("status",):
        raise ParamInvalidError(
            f"command archiver does not know '{' '.join(options.parameters)}'",
            hint="'pgsftp archiver' serves, 'pgsftp archiver status' asks how that goes.",
        )
    return StatusResult(ask(options), options.output)


def find(options: Options) -> status.Status | None:
    """The status of the stanza's archiver; None when none answers."""
    try:
        return ask(options)
    except HostConnectError:
        return None


def ask(options: Options) -> status.Status:
    """The status of the stanza's archiver; HostConnectError when none answers."""
    stanza = options.require_stanza()
    try:
        line = resident.Line(options.archiver_path, stanza)
        try:
            line.send("status")
            return status.from_dict(json.loads(line.receive()))
        finally:
            line.close()
    except resident.Alone as cause:
        raise HostConnectError(
            f"the archiver of stanza {stanza} does not answer: {cause}",
            hint="'systemctl status pgsftp-archiver' tells whether it runs.",
        ) from cause
