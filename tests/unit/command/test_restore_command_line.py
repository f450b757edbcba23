# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How PostgreSQL is told to call us for archived WAL."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import (
    command_line,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load


@pytest.fixture
def config(tmp_path):
    """A configuration file with a secret in it."""
    path = tmp_path / "pgbackrest.conf"
    path.write_text(
        "[global]\nrepo1-path=/r\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=opensesame\n"
        "[demo]\npg1-path=/pg/data\n"
    )
    return path


def line(config, *arguments):
    options = load.load(
        "restore", [f"--config={config}", "--stanza=demo", "--cmd=/bin/pgsftp", *arguments], {}
    )
    return command_line.restore_command(options)


def test_what_was_said_on_the_command_line_is_said_again(config):
    words = f"--config={config} --pg1-path=/pg/data --stanza=demo"
    assert line(config) == f'/bin/pgsftp {words} archive-get %f "%p"'


def test_what_only_a_restore_needs_is_left_out(config):
    text = line(config, "--delta", "--type=standby", "--process-max=4", "--log-level-console=info")
    assert text == line(config)


def test_another_directory_is_known_to_archive_get(config):
    assert "--pg1-path=/other" in line(config, "--pg1-path=/other")


def test_no_secret_gets_into_the_configuration_of_the_server(config):
    assert "opensesame" not in line(config)


def test_a_word_with_a_blank_or_a_percent_sign_survives_the_shell_and_the_server(config):
    assert '"--pg1-path=/my data/100%%"' in line(config, "--pg1-path=/my data/100%")


def test_what_was_taken_back_is_taken_back_again(config):
    back = ["--reset-repo1-cipher-pass", "--reset-repo1-cipher-type", "--reset-repo1-path"]
    words = f"--config={config} --pg1-path=/pg/data {' '.join(back)} --stanza=demo"
    assert line(config, *back) == f'/bin/pgsftp {words} archive-get %f "%p"'


def test_the_directory_is_not_named_and_taken_back_at_once(config):
    text = line(config, "--reset-pg1-path", "--pg2-path=/other")
    assert "--pg1-path=/other" in text
    assert "reset" not in text
