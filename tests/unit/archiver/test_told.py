# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a command line before anything is loaded that knows options."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver.told import told

KNOWN = ("stanza", "config")
FLAGS = ("no-noise",)


@pytest.mark.parametrize(
    ("words", "environ", "given", "plain"),
    [
        ([], {}, {}, []),
        (["get", "1", "x"], {"HOME": "/"}, {}, ["get", "1", "x"]),
        (["--stanza=a=b", "get"], {}, {"stanza": "a=b"}, ["get"]),
        (["--stanza", "demo", "get"], {}, {"stanza": "demo"}, ["get"]),
        (["--no-noise", "get"], {}, {"no-noise": ""}, ["get"]),
        (["get"], {"PGBACKREST_STANZA": "env"}, {"stanza": "env"}, ["get"]),
        (["--stanza=word"], {"PGBACKREST_STANZA": "env"}, {"stanza": "word"}, []),
    ],
)
def test_options_and_words(words, environ, given, plain):
    assert told(words, environ, KNOWN, FLAGS) == (given, plain)


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["--other=x"], {}),
        (["-s", "demo"], {}),
        (["--stanza"], {}),
        (["--other"], {}),
        (["get"], {"PGBACKREST_REPO1_CIPHER_PASS": "x"}),
        (["--stanza=a\tb"], {}),
        (["a\nb"], {}),
    ],
)
def test_what_is_for_the_long_way(words, environ):
    assert told(words, environ, KNOWN, FLAGS) is None
