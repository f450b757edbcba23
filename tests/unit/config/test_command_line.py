# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines: what they may say, and what is shown and passed on of them."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import command_line
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.tests.support.configuration import MINIMAL, WALK_THROUGH


def test_command_line_forms(conf):
    assert conf(MINIMAL, "--process-max", "3").process_max == 3
    assert conf(MINIMAL, "--start-fast").start_fast
    assert conf(MINIMAL, "--start-fast=y").start_fast
    assert not conf(MINIMAL + "start-fast=y\n", "--no-start-fast").start_fast
    assert not conf(MINIMAL + "start-fast=y\n", "--start-fast=n").start_fast
    assert conf(MINIMAL, "--backup-standby").backup_standby == "y"
    assert conf(MINIMAL, "--backup-standby=prefer").backup_standby == "prefer"
    assert conf(MINIMAL + "backup-standby=y\n", "--no-backup-standby").backup_standby == "n"
    assert conf(MINIMAL, "--start-f", "--compress-t=zst").compress_type == "zst"
    assert conf(MINIMAL, "--repo2-path=/two", "--repo2-bundle").repos[0].key == 2
    assert conf(MINIMAL, "--repo1-pat=/two").repo().path == "/two"


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("--proces-max=2", errors.OptionInvalidError, "invalid option '--proces-max'"),
        ("-x", errors.OptionInvalidError, "option '-x' must begin with --"),
        ("--process-max", errors.OptionInvalidError, "option '--process-max' requires an argument"),
        ("--process-max=", errors.OptionInvalidValueError, "option 'process-max' has no value"),
        ("--no-start-fast=y", errors.OptionInvalidError, "does not allow an argument"),
        ("--no-process-max", errors.OptionInvalidError, "option 'process-max' cannot be negated"),
        ("--archive", errors.OptionInvalidError, "is the beginning of several options"),
        ("--repo1-cipher-pass=x", errors.OptionInvalidError, "not allowed on the command line"),
        ("--stanza=other", errors.OptionInvalidError, "option 'stanza' is set more than once"),
        ("word", errors.ParamInvalidError, "command backup does not allow parameters"),
        ("--repo1-sftp-host=x", errors.OptionInvalidError,
         "option 'repo1-sftp-host' not valid without option 'repo1-type' = 'sftp'"),
        ("--repo1-bundle-size=1MiB", errors.OptionInvalidError,
         "option 'repo1-bundle-size' not valid without option 'repo1-bundle' = 'y'"),
        ("--pg2-host-user=x", errors.OptionInvalidError,
         "option 'pg2-host-user' not valid without option 'pg2-host'"),
        ("--repo=2", errors.OptionInvalidValueError, "key '2' is not valid for 'repo' option"),
        ("--compress-level=10", errors.OptionInvalidValueError, "'10' is out of range"),
        ("--db-timeout=2h --protocol-timeout=1h", errors.OptionInvalidValueError,
         "'3600s' is not valid for 'protocol-timeout' option"),
        ("--repo2-path=/var/lib/pgbackrest --repo1-bundle", errors.OptionInvalidValueError,
         "repo1 and repo2 paths are both '/var/lib/pgbackrest' but must be different"),
    ],
)  # fmt: skip
def test_what_a_command_line_may_not_say(conf, argument, error, message):
    with pytest.raises(error) as caught:
        conf(MINIMAL, *argument.split())
    assert message in caught.value.message


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "-x", "a\nb", "global"])
def test_a_stanza_that_would_be_no_directory(name):
    with pytest.raises(errors.OptionInvalidValueError, match="is not valid for 'stanza' option"):
        load("info", ["--no-config", f"--stanza={name}"], {})


def test_the_line_with_which_a_command_begins(conf, tmp_path):
    options = conf(WALK_THROUGH, "--no-delta", "--exec-id=1-a", "--type=standby", command="restore")
    assert command_line.shown(options) == (
        f" --config={tmp_path}/x.conf --no-delta --exec-id=1-a --log-level-console=info"
        " --log-level-file=debug --pg1-path=/var/lib/pgsql/15/data --pg2-host=pg1-srv"
        " --pg2-path=/var/lib/pgsql/15/data --process-max=2"
        ' --recovery-option="primary_conninfo=host=pg1-srv user=replic_user"'
        " --repo1-path=/backup_space --repo1-sftp-host=sftp-srv"
        " --repo1-sftp-host-key-hash-type=sha1 --repo1-sftp-host-user=pgbackrest"
        " --repo1-sftp-private-key-file=/var/lib/pgsql/.ssh/id_rsa_sftp"
        " --repo1-sftp-private-key-passphrase=<redacted> --repo1-type=sftp --stanza=demo"
        " --type=standby"
    )
    push = conf(MINIMAL, "pg_wal/a b", "--exec-id=1-a", command="archive-push")
    assert command_line.shown(push) == (
        f' ["pg_wal/a b"] --config={tmp_path}/x.conf --exec-id=1-a --pg1-path=/pg --stanza=demo'
    )
    bare = load("info", ["--no-config", "--exec-id=1-a"], {})
    assert command_line.shown(bare) == " --no-config --exec-id=1-a"


def test_another_command_is_told_what_this_run_was_told(conf, tmp_path):
    options = conf(
        WALK_THROUGH, "--type=standby", "--process-max=8", "--pg1-path=/n n", command="restore"
    )
    assert command_line.words_for(options, "archive-get") == [
        f"--config={tmp_path}/x.conf",
        "--pg1-path=/n n",
        "--stanza=demo",
    ]
    options = conf(WALK_THROUGH, "--no-neutral-umask", command="restore")
    assert "--no-neutral-umask" in command_line.words_for(options, "archive-get")


def test_what_was_taken_back_is_shown_and_passed_on(conf, tmp_path):
    text = MINIMAL + "repo1-path=/r\n"
    options = conf(
        text, "--reset-repo1-path", "--reset-process-max", "--exec-id=1-a", command="restore"
    )
    assert command_line.shown(options) == (
        f" --config={tmp_path}/x.conf --exec-id=1-a --pg1-path=/pg --reset-process-max"
        " --reset-repo1-path --stanza=demo"
    )
    words = command_line.words_for(options, "archive-get")
    assert words == [f"--config={tmp_path}/x.conf", "--reset-repo1-path", "--stanza=demo"]
    again = load("archive-get", [*words, "x", "y"], {})
    assert again.repo().path == options.repo().path == "/var/lib/pgbackrest"


def test_a_secret_may_be_taken_back_for_another_command(conf):
    text = MINIMAL + "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=x\n"
    both = ["--reset-repo1-cipher-pass", "--reset-repo1-cipher-type"]
    options = conf(text, *both, command="restore")
    words = command_line.words_for(options, "archive-get")
    assert set(both) < set(words)
    assert load("archive-get", [*words, "x", "y"], {}).repo().cipher_type == "none"


def test_an_exec_id_that_is_taken_back_is_made_anew(conf):
    options = conf(MINIMAL, "--reset-exec-id")
    assert f"--exec-id={options.exec_id}" in command_line.shown(options)
