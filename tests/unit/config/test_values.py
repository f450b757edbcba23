# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, times, paths and the rest: what is read, and what is refused with which words."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import values
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.table import OPTIONS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("7b", 7),
        ("64kb", 65536),
        ("64K", 65536),
        ("20MiB", 20 << 20),
        ("1GB", 1 << 30),
        ("2tib", 2 << 40),
        ("3p", 3 << 50),
        ("", None),
        ("1.5MB", None),
        ("-1", None),
        ("1 MB", None),
        ("MB", None),
        ("1xb", None),
        ("1bb", None),
    ],
)
def test_size(text, expected):
    assert values.size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("500ms", 0.5),
        ("31m", 1860.0),
        ("1h", 3600.0),
        ("2d", 172800.0),
        ("1w", 604800.0),
        ("0.5", None),
        ("1y", None),
        ("s", None),
        ("-1s", None),
    ],
)
def test_seconds(text, expected):
    assert values.seconds(text) == expected


def read(name, text, command="backup"):
    return values.parse(OPTIONS[name], text, command, name=name, where="in x.conf, line 3")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("delta", "y", True),
        ("delta", "n", False),
        ("process-max", "4", 4),
        ("compress-level", "-1", -1),
        ("archive-timeout", "100ms", 0.1),
        ("repo-bundle-size", "1MiB", 1 << 20),
        ("buffer-size", "16384", 16384),
        ("log-path", "/var/log/", "/var/log"),
        ("log-path", "/", "/"),
        ("compress-type", "zst", "zst"),
        ("backup-standby", "prefer", "prefer"),
        ("repo-sftp-host", "a b", "a b"),
    ],
)
def test_read(name, text, expected):
    assert read(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("delta", "yes", "'yes' is not valid for 'delta' option in x.conf, line 3"),
        ("delta", "Y", "'Y' is not valid"),
        ("delta", "", "option 'delta' has no value in x.conf, line 3"),
        ("process-max", "0", "'0' is out of range"),
        ("process-max", "1000", "'1000' is out of range"),
        ("process-max", "two", "'two' is not valid"),
        ("archive-timeout", "2d", "'2d' is out of range"),
        ("archive-timeout", "soon", "'soon' is not valid"),
        ("repo-bundle-size", "20 MiB", "'20 MiB' is not valid"),
        ("buffer-size", "3MiB", "'3MiB' is not allowed"),
        ("log-path", "log", "'log' must begin with /"),
        ("log-path", "/a//b", "'/a//b' cannot contain //"),
        ("compress-type", "rar", "'rar' is not allowed"),
        ("repo-type", "s3", "'s3' is not supported yet"),
    ],
)
def test_refused(name, text, message):
    with pytest.raises(errors.OptionInvalidValueError) as caught:
        read(name, text)
    assert caught.value.message.startswith(message)
    assert caught.value.message.endswith("in x.conf, line 3")


def test_the_hint_says_what_would_be_right():
    with pytest.raises(errors.OptionInvalidValueError) as caught:
        read("compress-type", "rar")
    assert caught.value.hint == "allowed values are 'none', 'bz2', 'gz', 'lz4', 'zst'"
    with pytest.raises(errors.OptionInvalidValueError) as caught:
        read("process-max", "0")
    assert caught.value.hint == "the range is 1 to 999."


def test_the_words_of_an_option_depend_on_the_command():
    assert read("type", "full", "backup") == "full"
    assert read("type", "standby", "restore") == "standby"
    with pytest.raises(errors.OptionInvalidValueError):
        read("type", "standby", "backup")


def test_the_text_of_a_secret_is_in_no_message():
    secret = OPTIONS["repo-cipher-pass"]._replace(kind=OPTIONS["delta"].kind)
    with pytest.raises(errors.OptionInvalidValueError) as caught:
        values.parse(secret, "hunter2", "backup", name="repo1-cipher-pass", where="in x.conf")
    assert "hunter2" not in str(caught.value)


def test_pair():
    assert values.pair(OPTIONS["link-map"], "a=b=c", name="x", where="") == ("a", "b=c")
    for text in ("a", "=b"):
        with pytest.raises(errors.OptionInvalidError):
            values.pair(OPTIONS["link-map"], text, name="x", where="")
