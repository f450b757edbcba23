# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings as text to typed options: defaults, conditions and rules between options."""

from __future__ import annotations

import os
import typing as t

from ..errors import (
    FeatureNotSupportedError,
    OptionInvalidError,
    OptionInvalidValueError,
    OptionRequiredError,
)
from . import foreign, maps, values
from .names import Name
from .options import Given, Options, PgOptions, RepoOptions, Secret, SftpOptions
from .schema import Kind, Option, Support
from .settings import Setting, Settings, identity
from .table import COMPRESS_LEVELS, OPTIONS

REDACTED = "<redacted>"
_DEFAULT = "by default"
_FOREIGN = frozenset(option.name for option in foreign.OPTIONS)


def options(
    command: str, parameters: tuple[str, ...], given: Settings, *, config_file: str | None
) -> Options:
    """The typed options of one command from everything that was set for it."""
    resolver = _Resolver(command, given)
    general = {
        _field(option): resolver.value(Name(option, None))
        for option in OPTIONS.values()
        if option.group is None and option.takes(command)
    }
    stated = {
        field: value for field, value in general.items() if field != "-" and value is not None
    }
    repos = tuple(_repo(resolver, key) for key in resolver.keys("repo"))
    pgs = tuple(_pg(resolver, key) for key in resolver.keys("pg"))
    stated.update(_timeouts(resolver))
    stated.update(_compress(resolver))
    stated.setdefault("exec_id", f"{os.getpid()}-{os.urandom(4).hex()}")
    explicit = resolver.explicit()
    if "exec-id" not in [row.name for row in explicit if not row.reset]:
        explicit.append(Given("exec-id", str(stated["exec_id"]), "default"))
    _check_level(resolver)
    _check_repositories(repos)
    made = Options(
        command=command,
        parameters=parameters,
        repos=repos,
        pgs=pgs,
        config_file=config_file,
        explicit=tuple(sorted(explicit, key=_shown_order)),
        warnings=tuple(resolver.warnings),
        **stated,
    )
    if made.selected_repo is not None:
        made.repo()
    return made


def value(setting: Setting, command: str) -> t.Any:
    """The typed value of one setting; raises OptionInvalidValueError or OptionInvalidError."""
    option, name, where = setting.name.option, str(setting.name), setting.where
    if option.kind is Kind.LIST:
        return setting.values
    if option.kind is Kind.HASH:
        pairs = [values.pair(option, text, name=name, where=where) for text in setting.values]
        keys = [key for key, _value in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise OptionInvalidError(
                    f"key '{key}' is set twice for '{name}' option {where}",
                    hint="keep one of them.",
                )
        return tuple(pairs)
    parsed = values.parse(option, setting.values[0], command, name=name, where=where)
    return Secret(str(parsed)) if option.secret else parsed


class _Resolver:
    """Answers what the value of an option is, everything considered."""

    def __init__(self, command: str, given: Settings) -> None:
        self.command = command
        self.warnings: list[str] = []
        self._given = given

    def value(self, name: Name) -> t.Any:
        """The typed value; None when there is none.

        Raises OptionRequiredError when the command cannot do without, and the errors of ``value``.
        """
        setting = self.setting(name)
        if setting is not None:
            return value(setting, self.command)
        return None

    def setting(self, name: Name) -> Setting | None:
        """What the value comes from; a default is a setting, too."""
        option = name.option
        setting = self._stated(name)
        if not self._condition_met(name, setting):
            text = option.unmet
        elif setting is not None:
            _refuse_unsupported(setting, self.command)
            if option.support is Support.NO_EFFECT:
                self.warnings.append(no_effect(name))
            return setting if setting.values else None
        else:
            text = option.default_for(self.command)
            if text is None and self.command in option.required:
                hint = "does this stanza exist?" if option.group == "pg" else None
                raise OptionRequiredError(
                    f"{self.command} command requires option: {name}", hint=hint
                )
        return None if text is None else Setting(name, (text,), "default", _DEFAULT)

    def is_given(self, name: Name) -> bool:
        """Whether somebody set it, and it counts."""
        setting = self._stated(name)
        return setting is not None and self._condition_met(name, setting)

    def keys(self, group: str) -> list[int]:
        """The indexes in use, lowest first; 1 when there is none and the command needs one."""
        rows = [row for row in OPTIONS.values() if row.group == group and row.takes(self.command)]
        if not rows:
            return []
        used = {
            key
            for (text, key) in self._given
            if key is not None and OPTIONS[text] in rows and self.is_given(Name(OPTIONS[text], key))
        }
        if group == "pg" and not used and not any(self.command in row.required for row in rows):
            return []
        return sorted(used) or [1]

    def explicit(self) -> list[Given]:
        """What was set and counts, or was taken back, for a log line."""
        rows: list[Given] = []
        for setting in self._given.values():
            name = str(setting.name)
            if setting.reset:
                rows.append(Given(name, "", setting.source, reset=True))
                continue
            if not self.is_given(setting.name):
                continue
            if not setting.values:
                rows.append(Given(name, "", setting.source))
            for text in setting.values:
                shown = REDACTED if setting.name.option.secret else text
                rows.append(Given(name, shown, setting.source))
        return rows

    def _stated(self, name: Name) -> Setting | None:
        setting = self._given.get(identity(name))
        return None if setting is None or setting.reset else setting

    def _condition_met(self, name: Name, setting: Setting | None) -> bool:
        condition = name.option.condition
        if condition is None:
            return True
        other = OPTIONS[condition.option]
        if not other.takes(self.command):
            return True
        other_name = Name(other, name.key if other.group else None)
        found = self.setting(other_name)
        actual = found.values[0] if found is not None else None
        met = actual is not None if not condition.values else actual in condition.values
        if not met and setting is not None and setting.source == "argument":
            wanted = " or ".join(f"'{word}'" for word in condition.values)
            raise OptionInvalidError(
                f"option '{name}' not valid without option '{other_name}'"
                + (f" = {wanted}" if wanted else ""),
                hint=f"set both, or leave out '{name}'.",
            )
        return met


def no_effect(name: Name) -> str:
    """What to tell of an option that is accepted and does nothing."""
    why = name.option.help if name.option.name in _FOREIGN else ""
    return f"option '{name}' has no effect here" + (f": {why.rstrip('.')}" if why else "")


def _refuse_unsupported(setting: Setting, command: str) -> None:
    option = setting.name.option
    if option.support is not Support.NOT_YET or setting.values == (option.default_for(command),):
        return
    raise FeatureNotSupportedError(
        f"option '{setting.name}' is not supported yet {setting.where}",
        hint=f"remove it: {option.help}" if option.help else "remove it.",
    )


def _field(option: Option) -> str:
    if option.field == "-" or option.support is not Support.HONOURED:
        return "-"
    name = option.name
    if option.group is not None:
        name = name[len(option.group) + 1 :]
    return option.field or name.replace("-", "_")


def _group(resolver: _Resolver, group: str, key: int) -> dict[str, t.Any]:
    found = {}
    for option in OPTIONS.values():
        if option.group == group and option.takes(resolver.command):
            got = resolver.value(Name(option, key))
            if _field(option) != "-" and got is not None:
                found[_field(option)] = got
    return found


def _repo(resolver: _Resolver, key: int) -> RepoOptions:
    found = _group(resolver, "repo", key)
    sftp = {
        field[len("sftp.") :]: found.pop(field)
        for field in list(found)
        if field.startswith("sftp.")
    }
    for field in maps.FIELDS & found.keys():
        name = Name(OPTIONS["repo-" + field.replace("_", "-")], key)
        found[field] = maps.table(field, found[field], str(name))
    if found["type"] == "sftp":
        _host_key(resolver, key, sftp)
        if not {"private_key_file", "password_file"} & set(sftp) and not sftp.get("agent"):
            name = Name(OPTIONS["repo-sftp-private-key-file"], key)
            raise OptionRequiredError(f"{resolver.command} command requires option: {name}")
        found["sftp"] = SftpOptions(**sftp)
    return RepoOptions(key=key, **found)


def _host_key(resolver: _Resolver, key: int, sftp: dict[str, t.Any]) -> None:
    check = Name(OPTIONS["repo-sftp-host-key-check-type"], key)
    fingerprint = Name(OPTIONS["repo-sftp-host-fingerprint"], key)
    if "fingerprint" not in sftp:
        if sftp["key_check_type"] == "fingerprint":
            raise OptionRequiredError(f"{resolver.command} command requires option: {fingerprint}")
    elif not resolver.is_given(check):
        resolver.warnings.append(
            f"option '{fingerprint}' without option '{check}=fingerprint' is deprecated\n"
            f"HINT: set option '{check}=fingerprint'"
        )
        sftp["key_check_type"] = "fingerprint"
    elif sftp["key_check_type"] != "fingerprint":
        raise OptionInvalidError(
            f"option '{fingerprint}' not valid without option '{check}' = 'fingerprint'",
            hint="set both, or leave out the fingerprint.",
        )


def _pg(resolver: _Resolver, key: int) -> PgOptions:
    return PgOptions(key=key, **_group(resolver, "pg", key))


def _timeouts(resolver: _Resolver) -> dict[str, float]:
    """The protocol must be more patient than the database: whichever was not set gives way."""
    db, protocol = Name(OPTIONS["db-timeout"], None), Name(OPTIONS["protocol-timeout"], None)
    if not (db.option.takes(resolver.command) and protocol.option.takes(resolver.command)):
        return {}
    db_value, protocol_value = resolver.value(db), resolver.value(protocol)
    if protocol_value > db_value:
        return {}
    if not resolver.is_given(protocol):
        return {"protocol_timeout": db_value + 30}
    if not resolver.is_given(db):
        patient = protocol_value - 30
        return {"db_timeout": patient if patient >= 15 else protocol_value / 2}
    raise OptionInvalidValueError(
        f"'{protocol_value:g}s' is not valid for '{protocol}' option",
        hint=f"it should be greater than '{db}' ({db_value:g}s).",
    )


def _compress(resolver: _Resolver) -> dict[str, str]:
    """``compress=n`` is how ``compress-type=none`` was written before there were several types."""
    old, new = Name(OPTIONS["compress"], None), Name(OPTIONS["compress-type"], None)
    if not old.option.takes(resolver.command) or not resolver.is_given(old):
        return {}
    if resolver.value(old) or resolver.is_given(new):
        return {}
    return {"compress_type": "none"}


def _check_level(resolver: _Resolver) -> None:
    name = Name(OPTIONS["compress-level"], None)
    if not name.option.takes(resolver.command) or not resolver.is_given(name):
        return
    setting = resolver.setting(name)
    kind = resolver.value(Name(OPTIONS["compress-type"], None))
    if setting is None or kind not in COMPRESS_LEVELS:
        return
    low, high = COMPRESS_LEVELS[kind]
    ranged = name.option._replace(low=str(low), high=str(high))
    values.check_range(
        resolver.value(name), ranged, setting.values[0], name=str(name), where=setting.where
    )


def _check_repositories(repos: tuple[RepoOptions, ...]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for repo in repos:
        host = (repo.sftp.host, repo.sftp.port) if repo.sftp else ()
        other = seen.setdefault((repo.type, host, repo.path), repo.key)
        if other != repo.key:
            raise OptionInvalidValueError(
                f"repo{other} and repo{repo.key} paths are both '{repo.path}' but must be"
                " different",
                hint=f"change repo{repo.key}-path, or repo{repo.key}-sftp-host.",
            )


def _shown_order(given: Given) -> tuple[str, str]:
    return (given.name, given.value)
