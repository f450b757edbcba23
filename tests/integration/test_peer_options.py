# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option that the help of stock pgBackRest names is known here for the same command.

It is honoured, or accepted, or refused by name with a reason; a typing error is none of these.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.schema import Support
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.table import OPTIONS
from ansible_collections.pgsftp.backup.tests.support import peer

pytestmark = pytest.mark.integration

# Of the peer, for which there is nothing to do here: nodes are reached by SSH.
SERVERS = {"server", "server-ping"}


def asked(*words):
    done = subprocess.run(
        [peer.COMMAND, "help", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


COMMANDS = sorted(
    set(re.findall(r"^    ([a-z-]+)  ", asked(), re.MULTILINE)) - {"help", "version"} - SERVERS
)


def test_the_help_was_understood():
    assert {"archive-push", "backup", "restore", "stanza-create", "verify"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_peer_is_known(command):
    names = re.findall(r"^  --([a-z0-9-]+)", asked(command), re.MULTILINE)
    assert "config" in names
    unknown = [name for name in names if name not in OPTIONS]
    assert not unknown
    elsewhere = [name for name in names if not OPTIONS[name].takes(command)]
    assert not elsewhere


@pytest.mark.parametrize("command", COMMANDS)
def test_the_defaults_are_the_same_where_they_are_the_same_thing(command):
    """But for what later versions of the peer changed, and what is left unset here for the same."""
    changed = {
        "archive-timeout", "compress-level-network", "db-timeout", "io-timeout", "log-level-stderr",
        "protocol-timeout", "cmd", "pg-host-cmd", "pg-host-config", "set",
    }  # fmt: skip
    text = re.sub(r"\n {20,}", " ", asked(command))
    for name, default in re.findall(r"^  --([a-z0-9-]+) .*default=([^]]+)\]", text, re.MULTILINE):
        option = OPTIONS[name]
        if option.support is Support.HONOURED and name not in changed:
            assert option.default_for(command) == default, name


def test_what_is_not_honoured_has_a_reason():
    for option in OPTIONS.values():
        if option.support is not Support.HONOURED:
            assert len(option.help) > 20, option.name
            assert option.help.endswith("."), option.name
