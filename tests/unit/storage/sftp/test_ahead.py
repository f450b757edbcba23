# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH is asked for everything together with the login; whoever only says so is asked again."""

from __future__ import annotations

import os

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.server import (
    read_ahead,
)
from ansible_collections.pgsftp.backup.tests.support.ssh_sessions import (
    connect,
    keys,
    server,
)

OPENSSH = "SSH-2.0-OpenSSH_9.9"


# Fixtures for the tests of this file.
__all__ = ["connect", "keys", "server"]


def works(storage):
    data = os.urandom(3_000_000)
    storage.write("d/x", data)
    return storage.read("d/x") == data


def test_openssh_is_asked_for_all_of_it_at_once(server, connect):
    made = server(software=OPENSSH)
    assert works(connect(made.port, replaced=True))
    assert made.ahead == [True]


@pytest.mark.parametrize(
    ("software", "key"), [("SSH-2.0-paramiko_5", "user"), (OPENSSH, "rsa user")]
)
def test_another_server_or_key_takes_its_turns(server, connect, keys, software, key):
    made = server(software=software)
    assert works(connect(made.port, private_key_file=keys[key], replaced=True))
    assert made.ahead == [False]


def test_a_channel_of_another_number_than_expected(server, connect):
    made = server(software=OPENSSH, first_channel=7)
    assert works(connect(made.port, replaced=True))
    assert made.ahead == [True, False]
    assert works(connect(made.port, replaced=True))
    assert made.ahead == [True, False, False]


def test_a_server_that_hangs_up_on_it_is_asked_in_turn(server, connect):
    made = server(software=OPENSSH, in_turn=True)
    assert works(connect(made.port, replaced=True))
    assert made.ahead == [True, False]


def test_one_that_ends_before_the_protocol_is_replaced(server, connect):
    made = server(software=OPENSSH, cut_greetings=1)
    assert works(connect(made.port, replaced=True))
    assert made.ahead == [True, False]


@pytest.mark.parametrize(
    ("conduct", "kind", "text"),
    [
        ({"accept_key": False}, errors.ServiceError, "public key refused"),
        ({"accept_session": False}, errors.ServiceError, "refuses a session"),
        ({"subsystem": False}, errors.ProtocolError, "has no SFTP subsystem"),
    ],
)
def test_what_is_refused_is_called_by_its_name(server, connect, conduct, kind, text):
    made = server(software=OPENSSH, **conduct)
    with pytest.raises(kind, match=text):
        connect(made.port)


@pytest.mark.parametrize("software", [OPENSSH, "SSH-2.0-paramiko_5"])
def test_how_far_the_server_is_shows_however_it_was_asked(server, connect, software):
    """It decides how much is read ahead."""
    made = server(software=software, latency=0.2)
    storage = connect(made.port)
    assert storage.server.read_ahead.size >= read_ahead(0.2)
    # A busy machine makes a server seem farther than it is.
    assert any(near(connect(server(software=software).port)) for _try in range(9))


def near(storage):
    storage.info("x")
    return storage.server.read_ahead.size < read_ahead(0.1)
