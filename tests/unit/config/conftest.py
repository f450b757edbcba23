# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options as a command gets them of a file, a command line, the environment and a module."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load


@pytest.fixture
def conf(tmp_path):
    """Write a configuration file and load the options of a command with it."""

    def run(text, *arguments, command="backup", environ=None, overrides=None):
        path = tmp_path / "x.conf"
        path.write_text(text, encoding="utf-8")
        words = [f"--config={path}", "--stanza=demo", *arguments]
        return load(command, words, environ or {}, overrides=overrides)

    return run
