# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is restored archives, where the user does not say."""

from __future__ import annotations

import dataclasses

from ... import log
from ...config.options import Options
from ...errors import OptionInvalidError, OptionRequiredError
from ...postgres import recovery
from ...repository import home
from ...repository.contents import ManifestDb


def decided(options: Options, db: ManifestDb) -> Options:
    """The options with the archive-mode that the restored cluster, which is ``db``, gets.

    A copy has the archive_command of its origin: it would write into the origin's stanza, and break
    its archive as soon as both have a segment of the same name. So its archiving is off. No copy is
    what is restored to where the cluster has archived from. Else nothing tells them apart: a host
    that was set up in the place of a lost one is like one for tests, and has to be told.

    A standby of the cluster does not archive before it is promoted, and then it should.

    Raises OptionInvalidError where it should be off, and the type leaves the settings alone;
    OptionRequiredError where it may have to be, and nobody has said so.
    """
    pg_data = options.pg.path
    if options.type == "preserve" and options.archive_mode == "off":
        raise OptionInvalidError(
            "option 'archive-mode' = 'off' not valid with option 'type' = 'preserve', which leaves"
            " the settings as they are",
            hint="leave it out, and set archive_mode to 'off' before the server is started.",
        )
    if options.is_given("archive-mode") or options.type == "standby":
        return options
    if home.is_noted(options.spool_path, options.require_stanza(), pg_data, db.system_id):
        return options
    unknown = f"nothing shows that the cluster has archived from '{pg_data}' of this host"
    if options.type == "preserve":
        raise OptionRequiredError(
            f"restore command requires option: archive-mode: {unknown}, and type 'preserve' leaves"
            " the settings as they are",
            hint="--archive-mode=preserve where it takes the place of the cluster, or its settings"
            " keep a copy from archiving into the stanza of its origin.",
        )
    if recovery.config_file(db.version) != recovery.AUTO_CONF:
        log.warn(
            "%s: if this is a copy, it may archive into the stanza of its origin\n"
            "HINT: set archive_mode to 'off' before it is started.",
            unknown,
        )
        return options
    log.warn(
        "%s: archive_mode is set to 'off', so that a copy does not archive into the stanza of its"
        " origin\nHINT: --archive-mode=preserve where it takes the place of the cluster.",
        unknown,
    )
    return dataclasses.replace(options, archive_mode="off")


def forget_if_standby(options: Options, db: ManifestDb) -> None:
    """A standby is in the place of the cluster now, until it is promoted and archives itself."""
    if options.type == "standby":
        home.forget(options.spool_path, options.require_stanza(), options.pg.path, db.system_id)
