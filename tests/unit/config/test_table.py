# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables are whole, consistent with each other and with the typed options."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import (
    build,
    foreign,
    values,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.commands import COMMANDS
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.names import Name
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    DEFAULT_KNOWN_HOSTS,
    Options,
    PgOptions,
    RepoOptions,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.schema import (
    Kind,
    Section,
    Support,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.settings import Setting
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.table import OPTIONS

ROWS = sorted(OPTIONS.values())
HONOURED = [row for row in ROWS if row.support is Support.HONOURED and row.field != "-"]

# Attributes of the typed options that no single option gives.
MADE = {"command", "parameters", "repos", "pgs", "config_file", "explicit", "warnings"}
# Prepared for options that are still refused.
PREPARED = {
    Options: {"stop_auto", "compress_level_network"},
    RepoOptions: {"hardlink", "retention_history"},
    PgOptions: set(),
    SftpOptions: set(),
}


def fields(cls):
    return {field.name: field for field in dataclasses.fields(cls)}


def place(row):
    field = build._field(row)
    if field.startswith("sftp."):
        return SftpOptions, field[5:]
    return {None: Options, "repo": RepoOptions, "pg": PgOptions}[row.group], field


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    assert row.commands <= set(COMMANDS)
    assert row.required <= (row.commands or set(COMMANDS))
    assert set(row.per_command) <= set(COMMANDS)
    assert row.condition is None or row.condition.option in OPTIONS
    assert (row.group is None) == (not row.name.startswith(("repo-", "pg-")) or row.group is None)
    if row.kind is Kind.CHOICE and row.support is Support.HONOURED:
        assert row.choices
    if row.support is Support.HONOURED:
        assert row.help.endswith((".", "..."))
    for command in row.commands or COMMANDS:
        default = row.default_for(command)
        if default is not None:
            values.parse(row, default, command, name=row.name, where="in the table")
    if row.section is Section.COMMAND_LINE:
        assert row.group is None


@pytest.mark.parametrize("row", HONOURED, ids=lambda row: row.name)
def test_every_honoured_option_has_its_attribute(row):
    cls, field = place(row)
    assert field in fields(cls)


@pytest.mark.parametrize("row", HONOURED, ids=lambda row: row.name)
def test_the_default_of_the_table_is_the_default_of_the_attribute(row):
    cls, name = place(row)
    field = fields(cls)[name]
    if row.name in ("type", "repo-sftp-known-host", "pg-path", "exec-id") or row.required:
        return
    text = row.default
    expected = None
    if text is not None:
        expected = build.value(Setting(Name(row, None), (text,), "default", "by default"), "backup")
    elif row.multiple:
        expected = ()
    assert field.default == expected


def test_every_attribute_comes_from_an_option():
    known = {}
    for row in HONOURED:
        cls, name = place(row)
        known.setdefault(cls, set()).add(name)
    for cls in (Options, RepoOptions, PgOptions, SftpOptions):
        made = MADE if cls is Options else {"key", "sftp"} & set(fields(cls))
        assert set(fields(cls)) == known[cls] | PREPARED[cls] | made


def test_what_is_not_supported_is_never_stored():
    for row in foreign.OPTIONS:
        assert row.support is not Support.HONOURED
        assert build._field(row) == "-"


def test_the_known_hosts_are_those_of_openssh():
    assert DEFAULT_KNOWN_HOSTS[0] == "~/.ssh/known_hosts"
    assert len(DEFAULT_KNOWN_HOSTS) == 4
