# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Help comes from the tables: every command and every option that is not internal has its line."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import help as helps
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.commands import COMMANDS
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.table import OPTIONS


def test_general_help_names_the_commands_that_are_there():
    text = helps.text(commands={"backup", "remote"})
    assert "    backup " in text
    assert "    remote " not in text
    assert "    expire " not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_names_its_options(command):
    text = helps.text((command,))
    for option in OPTIONS.values():
        if option.takes(command) and not option.internal:
            assert f"{option.name} " in text
            assert helps.text((command, option.name)).count("\n") > 3


def test_help_of_an_option():
    text = helps.text(("backup", "repo1-bundle-size"))
    for part in ("size", "1MiB to 1PiB", "20MiB", "repo-bundle = y"):
        assert part in text
    assert "never the command line" in helps.text(("backup", "repo-cipher-pass"))
    assert "Accepted: the resident archiver" in helps.text(("archive-push", "archive-async"))
    assert "Refused: a repository lies" in helps.text(("backup", "repo-host"))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("bakup",), errors.CommandInvalidError),
        (("backup", "delt"), errors.OptionInvalidError),
        (("backup", "link-map"), errors.OptionInvalidError),
    ],
)
def test_help_for_what_is_not_there(words, error):
    with pytest.raises(error):
        helps.text(words)
