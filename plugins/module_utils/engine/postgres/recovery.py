# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore writes so that the server recovers: the text of postgresql.auto.conf
(recovery.conf before PostgreSQL 12), and the signal file.

The text is pgBackRest's (repository reference, section 15).
"""

from __future__ import annotations

import re
from datetime import datetime

from ..config.options import Options
from ..errors import OptionInvalidError, OptionRequiredError
from . import releases, timeline

AUTO_CONF = "postgresql.auto.conf"
RECOVERY_CONF = "recovery.conf"
TARGETED = ("lsn", "name", "time", "xid")

# From this version on recovery is configured where everything is.
_IN_AUTO_CONF = 120000

_OLD_TARGET = re.compile(
    r"[\t ]*recovery_target(_action|_inclusive|_lsn|_name|_time|_timeline|_xid)?[\t ]*="
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")

Settings = list[tuple[str, str]]


def config_file(version: str) -> str:
    """The file of the data directory that takes the settings."""
    return AUTO_CONF if releases.number(version) >= _IN_AUTO_CONF else RECOVERY_CONF


def preserved(version: str) -> tuple[str, ...]:
    """What the type preserve leaves as it is, names below the data directory."""
    if releases.number(version) < _IN_AUTO_CONF:
        return (RECOVERY_CONF,)
    return (AUTO_CONF, "recovery.signal", "standby.signal")


def signal_file(version: str, kind: str) -> str | None:
    """The empty file that makes the server recover; None when it should not, or needs none.

    ``kind`` is the type of the restore.
    """
    if releases.number(version) < _IN_AUTO_CONF or kind in ("none", "preserve"):
        return None
    return "standby.signal" if kind == "standby" else "recovery.signal"


def recovery_settings(options: Options, version: str, restore_command: str) -> Settings:
    """The settings in the order in which they are written; none for the type preserve.

    For the type none it is at most archive_mode: a copy that recovers by itself stays on the
    timeline of its origin, and must not archive all the more.

    Raises OptionInvalidError for a setting that cannot be, OptionRequiredError for a target that is
    missing.
    """
    kind = options.type or "default"
    if kind == "preserve" or (kind == "none" and options.archive_mode != "off"):
        return []
    new = releases.number(version) >= _IN_AUTO_CONF
    settings: dict[str, str] = {}
    for key, value in sorted(options.recovery_option):
        name = key.replace("-", "_")
        if not _KEY.fullmatch(name) or not value.isprintable():
            raise OptionInvalidError(
                f"'{key}' is not valid for 'recovery-option' option",
                hint="it is a setting of PostgreSQL, as in primary_conninfo=host=pg1-srv.",
            )
        if name == "standby_mode" and new:
            raise OptionInvalidError(
                "'standby_mode' setting is not valid for PostgreSQL >= 12",
                hint="use --type=standby instead of --recovery-option=standby_mode=on.",
            )
        settings[name] = value
    if options.archive_mode == "off":
        if not new:
            raise OptionInvalidError(
                "option 'archive-mode' is not supported on PostgreSQL < 12",
                hint="set 'archive_mode' to 'off' in postgresql.conf.",
            )
        settings["archive_mode"] = "off"
    if kind == "none":
        return [("archive_mode", "off")]
    settings.setdefault("restore_command", restore_command)
    settings.update(_target(options, kind, new=new))
    return list(settings.items())


def target_timeline(options: Options, version: str) -> str:
    """The timeline that the server will recover to (``latest``, ``current``, a number).

    Of the settings that the type preserve leaves nothing is known: then it is the backup's own.
    """
    if options.type == "preserve":
        return timeline.CURRENT
    new = releases.number(version) >= _IN_AUTO_CONF
    unless_said = timeline.LATEST if new else timeline.CURRENT
    settings = dict(recovery_settings(options, version, ""))
    return settings.get("recovery_target_timeline", unless_said)


def _target(options: Options, kind: str, *, new: bool) -> Settings:
    settings: Settings = []
    if kind == "immediate":
        settings.append(("recovery_target", "immediate"))
    elif kind == "standby" and not new:
        settings.append(("standby_mode", "on"))
    elif kind in TARGETED:
        if options.target is None:
            raise OptionRequiredError(
                "restore command requires option: target",
                hint="give --target, or leave out --type to recover to the end of the archive.",
            )
        settings.append((f"recovery_target_{kind}", options.target))
        if options.target_exclusive:
            settings.append(("recovery_target_inclusive", "false"))
    if options.target_action != "pause":
        settings.append(("recovery_target_action", options.target_action))
    wanted = options.target_timeline
    if wanted is None and kind == "immediate" and new:
        # The latest timeline may be out of reach from this backup, and need not be reached.
        wanted = timeline.CURRENT
    if wanted is not None and (new or wanted != timeline.CURRENT):
        settings.append(("recovery_target_timeline", wanted))
    return settings


def settings_text(settings: Settings, now: datetime) -> str:
    """The settings as lines of a configuration file, below one that says where they are from."""
    head = f"# Recovery settings generated by pgBackRest restore on {_stamp(now)}\n"
    return head + "".join(f"{key} = '{quoted(value)}'\n" for key, value in settings)


def edit_auto_conf(old: str | None, settings: Settings, now: datetime) -> str:
    """The new text of postgresql.auto.conf.

    ``old`` is its text from the backup, None when there is no such file. Targets of an earlier
    recovery are commented out; everything else stays, since the last of equal settings counts.
    """
    content = ""
    if old is not None:
        removed = f"# Removed by pgBackRest restore on {_stamp(now)} # "
        content = "\n".join(
            removed + line if _OLD_TARGET.match(line) else line for line in old.split("\n")
        )
    if not settings:
        return content
    if old is not None:
        content = content.strip(" \t\r\n") + "\n\n"
    return content + settings_text(settings, now)


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%d %H:%M:%S")


def quoted(value: str) -> str:
    """A value as it stands between quotes in a configuration file.

    pgBackRest writes values as they are, so options written for it may have their quotes and
    backslashes doubled already; such a value is left alone.
    """
    for character in ("\\", "'"):
        runs = re.findall(re.escape(character) + "+", value)
        if any(len(run) % 2 for run in runs):
            value = value.replace(character, character * 2)
    return value
