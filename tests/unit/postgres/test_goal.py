# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets as a person types them."""

from __future__ import annotations

import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import epoch, goal

# 2026-11-22 12:00:00 UTC
NOON = 1795348800


@pytest.fixture
def berlin(monkeypatch):
    """A local time that is not UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22 12:00:00+00",
        "2026-11-22 12:00:00.999999+00",
        "2026-11-22 12:00:00.5+0000",
        "2026-11-22T12:00:00Z",
        "2026-11-22 12:00:00 UTC",
        "2026-11-22 17:30:00+05:30",
        "2026-11-22 08:30:00-0330",
        "2026-11-22 13:00:00+01",
        " 2026-11-22 13:00:00",
    ],
)
def test_one_moment_in_many_words(berlin, text):
    assert epoch(text) == NOON


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22", "2026-11-22 12:00:00 Europe/Berlin"])
def test_what_only_the_server_understands_is_no_error(text):
    assert goal("time", text).time is None


@pytest.mark.parametrize(
    "text", ["2026-02-30 12:00:00", "2026-11-22 25:00:00", "2026-11-22 12:00:00+16:00",
             "2026-11-22 12:00:00+01:70", "2026-11-22 12:00:00,5+00"],
)  # fmt: skip
def test_a_moment_that_does_not_exist(text):
    with pytest.raises(errors.FormatError, match="invalid time"):
        goal("time", text)


def test_a_position():
    assert goal("lsn", "1/2000028").lsn == 0x102000028
    with pytest.raises(errors.FormatError, match="nowhere"):
        goal("lsn", "nowhere")


@pytest.mark.parametrize("kind", ["time", "lsn", "xid"])
def test_blanks_around_a_target_go(kind):
    text = {"time": "2026-11-22 12:00:00+00", "lsn": "1/2000028", "xid": "7"}[kind]
    assert goal(kind, f" {text}\n") == goal(kind, text)
    assert goal(kind, f" {text}\n").text == text


def test_blanks_around_a_name_stay():
    assert goal("name", " before it ").text == " before it "


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("name", "before\nit"),
        ("name", "before it\n"),
        ("name", "\x00"),
        ("name", "a\udcff"),
        ("name", "n" * 64),
        ("name", "é" * 32),
        ("time", "2026-11-22\n12:00:00"),
        ("time", " "),
        ("xid", "7\nrestore_command = 'x'"),
        ("lsn", "\n"),
    ],
)
def test_what_no_configuration_can_hold(kind, text):
    """A server would not start with it, or would recover to the end for want of a target."""
    with pytest.raises(errors.OptionInvalidValueError, match="not valid for 'target' option"):
        goal(kind, text)


def test_a_name_may_be_as_long_as_those_of_restore_points():
    assert goal("name", "n" * 63).text == "n" * 63


def test_a_name_is_not_interpreted():
    assert goal("name", "2026-11-22 12:00:00") == ("name", "2026-11-22 12:00:00", None, None)
