# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line, environment and file: who wins, what is missing, and what comes of it all."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import command_line
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Secret
from ansible_collections.pgsftp.backup.tests.support.configuration import MINIMAL, WALK_THROUGH


@pytest.mark.parametrize(
    "text, rate", [("", None), ("10MiB", 10 << 20), ("500KB", 500 << 10), ("0", 0)]
)
def test_a_rate_limit(conf, text, rate):
    line = f"repo1-sftp-rate-limit={text}\n" if text else ""
    options = conf(WALK_THROUGH.replace("start-fast=y\n", line), command="restore")
    assert options.repo().sftp.rate_limit == rate


def test_the_walk_through_on_the_standby(conf):
    options = conf(WALK_THROUGH)
    repo = options.repo()
    assert (repo.type, repo.path, repo.bundle, repo.retention_full) == (
        "sftp",
        "/backup_space",
        True,
        2,
    )
    assert repo.sftp.host == "sftp-srv"
    assert repo.sftp.user == "pgbackrest"
    assert repo.sftp.private_key_passphrase == Secret("BeSureToGenerateAndUseASecurePassphrase")
    assert repo.sftp.key_hash_type == "sha1"
    assert repo.sftp.key_check_type == "strict"
    assert [(pg.key, pg.path, pg.host) for pg in options.pgs] == [
        (1, "/var/lib/pgsql/15/data", None),
        (2, "/var/lib/pgsql/15/data", "pg1-srv"),
    ]
    assert options.pg.path == "/var/lib/pgsql/15/data"
    assert options.backup_standby == "y"
    assert options.process_max == 2
    assert options.start_fast
    assert options.delta
    assert options.type == "incr"
    assert (options.log_level_console, options.log_level_file) == ("info", "debug")
    assert options.warnings == ()
    restore = conf(WALK_THROUGH, "--type=standby", "--no-delta", command="restore")
    assert restore.recovery_option == (("primary_conninfo", "host=pg1-srv user=replic_user"),)
    assert (restore.type, restore.delta) == ("standby", False)
    assert [pg.host for pg in restore.pgs] == [None, "pg1-srv"]


def test_defaults(conf):
    options = conf(MINIMAL)
    assert options.repo().path == "/var/lib/pgbackrest"
    assert options.repo().type == "posix"
    assert options.repo().sftp is None
    assert (options.compress_type, options.compress_level) == ("gz", None)
    assert (options.archive_timeout, options.db_timeout) == (60.0, 1800.0)
    assert options.checksum_page is None
    assert options.exec_id
    assert conf(MINIMAL).exec_id != options.exec_id
    assert conf(MINIMAL, command="restore").type == "default"


SECTIONS = {
    "global": "[global]\nprocess-max=2\n",
    "global:backup": "[global:backup]\nprocess-max=3\n",
    "demo": "[demo]\nprocess-max=4\n",
    "demo:backup": "[demo:backup]\nprocess-max=5\n",
}


def test_precedence(conf):
    text = MINIMAL
    assert conf(text).process_max == 1
    for number, section in enumerate(SECTIONS.values(), 2):
        text = section + text  # the order in the file is of no account
        assert conf(text).process_max == number
    environ = {"PGBACKREST_PROCESS_MAX": "6", "HOME": "/root"}
    assert conf(text, environ=environ).process_max == 6
    assert conf(text, "--process-max=7", environ=environ).process_max == 7
    assert conf(text, "--reset-process-max", environ=environ).process_max == 1
    assert conf(text, "--process-max=7", overrides={"process-max": 8}).process_max == 8
    assert conf(text, command="restore").process_max == 4


def test_other_commands_sections_and_other_stanzas_do_not_count(conf):
    text = MINIMAL + "[global:restore]\nprocess-max=3\n[other]\nprocess-max=9\nwhatever=1\n"
    assert conf(text).process_max == 1
    assert conf(text, command="restore").process_max == 3


def test_an_option_of_another_command_is_fine_in_a_file(conf):
    text = MINIMAL + "recovery-option=a=b\narchive-header-check=n\n"
    assert conf(text).recovery_option == ()
    with pytest.raises(errors.OptionInvalidError, match="'recovery-option' not valid for command"):
        conf(text, "--recovery-option=a=b")


def test_required(conf, tmp_path):
    with pytest.raises(
        errors.OptionRequiredError, match="backup command requires option: pg1-path"
    ):
        conf("[other]\n")
    with pytest.raises(errors.OptionRequiredError, match="requires option: pg2-path"):
        conf(MINIMAL + "pg2-host=x\n")
    with pytest.raises(errors.OptionRequiredError, match="requires option: stanza"):
        load("backup", ["--no-config"], {})
    with pytest.raises(errors.OptionRequiredError, match="requires option: repo1-sftp-host"):
        conf(MINIMAL + "repo1-type=sftp\n")
    with pytest.raises(errors.OptionRequiredError, match="requires option: repo1-cipher-pass"):
        conf(MINIMAL + "repo1-cipher-type=aes-256-cbc\n")
    assert load("info", ["--no-config"], {}).stanza is None
    assert conf("[x]\n", "wal", command="archive-push").pgs == ()


def test_secrets_from_file_and_environment(conf):
    text = MINIMAL + "repo1-cipher-type=aes-256-cbc\n"
    for options in (
        conf(text + "repo1-cipher-pass=hunter2\n"),
        conf(text, environ={"PGBACKREST_REPO1_CIPHER_PASS": "hunter2"}),
    ):
        assert options.repo().cipher_pass == Secret("hunter2")
        assert "hunter2" not in repr(options)
        assert "--repo1-cipher-pass=<redacted>" in command_line.shown(options)


def test_environment_errors(conf):
    with pytest.raises(errors.OptionInvalidError) as caught:
        conf(MINIMAL, environ={"PGBACKREST_PROCES_MAX": "1"})
    assert "in the environment variable PGBACKREST_PROCES_MAX" in caught.value.message
    assert caught.value.hint == "did you mean 'process-max'?"
    with pytest.raises(errors.OptionInvalidValueError, match="has no value"):
        conf(MINIMAL, environ={"PGBACKREST_PROCESS_MAX": ""})
    assert conf(MINIMAL, environ={"PGBACKREST_RECOVERY_OPTION": "a=b"}).process_max == 1


def test_an_empty_variable_of_another_command(conf):
    empty = {"PGBACKREST_REPO1_RETENTION_FULL": ""}
    assert conf(MINIMAL, "wal", command="archive-push", environ=empty).command == "archive-push"
    with pytest.raises(errors.OptionInvalidValueError, match="has no value"):
        conf(MINIMAL, environ=empty)


def test_conditions_in_a_file_are_silent(conf):
    sftp = WALK_THROUGH.replace("repo1-type=sftp\n", "repo1-type=posix\n")
    assert conf(sftp).repo().sftp is None
    assert "sftp-srv" not in command_line.shown(conf(sftp))
    text = MINIMAL + "compress-type=none\ncompress-level=3\n"
    assert conf(text).compress_level is None
    text = MINIMAL + "recovery-option=a=b\n"
    assert conf(text, "--type=preserve", command="restore").recovery_option == ()
    assert not conf(MINIMAL + "archive-copy=y\narchive-check=n\n").archive_copy
    options = conf(MINIMAL, "--no-online")
    assert not options.archive_check
    assert not options.archive_mode_check


def test_what_is_not_supported_is_refused_only_where_it_would_matter(conf):
    assert conf(MINIMAL + "page-header-check=y\n")
    assert conf(MINIMAL + "page-header-check=n\n", "x", command="archive-push")
    with pytest.raises(errors.FeatureNotSupportedError, match="option 'page-header-check'"):
        conf(MINIMAL + "page-header-check=n\n")
    assert conf(MINIMAL + "repo1-block-size-super=1MiB\n")  # of no meaning without blocks
    assert conf(MINIMAL + "repo1-s3-key=x\n")
    with pytest.raises(errors.FeatureNotSupportedError):
        conf(MINIMAL, "--no-page-header-check")


def test_fingerprint(conf):
    text = WALK_THROUGH.replace("[demo]", "repo1-sftp-host-fingerprint=aabb\n[demo]")
    options = conf(text)
    assert options.repo().sftp.key_check_type == "fingerprint"
    assert "deprecated" in options.warnings[0]
    check = "repo1-sftp-host-key-check-type="
    assert conf(text.replace("[demo]", check + "fingerprint\n[demo]")).warnings == ()
    with pytest.raises(errors.OptionInvalidError, match="not valid without option"):
        conf(text.replace("[demo]", check + "strict\n[demo]"))
    with pytest.raises(errors.OptionRequiredError, match="repo1-sftp-host-fingerprint"):
        conf(WALK_THROUGH.replace("[demo]", check + "fingerprint\n[demo]"))


def test_known_hosts_replace_the_usual_ones(conf):
    text = WALK_THROUGH.replace(
        "[demo]", "repo1-sftp-known-host=/a\nrepo1-sftp-known-host=/b\n[demo]"
    )
    assert conf(text).repo().sftp.known_hosts == ("/a", "/b")


def test_timeouts_give_way_to_the_one_that_was_set(conf):
    assert conf(MINIMAL, "--db-timeout=1h").protocol_timeout == 3630
    assert conf(MINIMAL, "--protocol-timeout=10m").db_timeout == 570
    assert conf(MINIMAL, "--protocol-timeout=20s").db_timeout == 10


def test_overrides_as_a_module_gives_them(conf):
    options = conf(
        MINIMAL,
        command="restore",
        overrides={"delta": True, "tablespace-map": {"ts1": "/a"}, "type": "standby"},
    )
    assert options.delta
    assert options.tablespace_map == (("ts1", "/a"),)
    assert conf(MINIMAL, overrides={"exclude": ["a", "b"]}).exclude == ("a", "b")
    with pytest.raises(errors.OptionInvalidError, match="invalid option 'delt'"):
        conf(MINIMAL, overrides={"delt": True})
    with pytest.raises(errors.OptionInvalidError, match="takes one value"):
        conf(MINIMAL, overrides={"process-max": [1, 2]})


def test_what_a_module_gives_empty_takes_the_place_of_the_file(conf):
    text = MINIMAL + "link-all=y\nlink-map=a=/b\ntablespace-map=ts1=/a\ndb-exclude=x\n"
    assert conf(text, command="restore").link_map == (("a", "/b"),)
    nothing = {"link-all": False, "link-map": {}, "tablespace-map": {}, "db-exclude": []}
    options = conf(text, command="restore", overrides=nothing)
    assert not options.link_all
    assert (options.link_map, options.tablespace_map, options.db_exclude) == ((), (), ())


def test_older_names(conf):
    options = conf("[demo]\ndb-path=/pg\n[global]\nrepo-path=/r\nretention-full=3\n")
    assert (options.pg.path, options.repo().path) == ("/pg", "/r")
    assert options.repo().retention_full == 3
    assert conf("[demo]\ndb1-path=/pg\ndb2-host=x\ndb2-path=/q\n").pgs[1].host == "x"


def test_several_repositories(conf):
    text = MINIMAL + "repo1-path=/a\nrepo3-path=/b\n"
    assert [repo.key for repo in conf(text).repos] == [1, 3]
    assert conf(text, "--repo=3").repo().path == "/b"


def test_what_the_engine_does_in_its_own_way_is_taken_without_a_word(conf):
    text = MINIMAL + "archive-async=y\njob-retry=3\njob-retry-interval=1s\n"
    for command, words in (("archive-push", ["x"]), ("backup", [])):
        assert conf(text, *words, command=command).warnings == ()


def test_what_would_do_nothing_is_said(conf):
    (warning,) = conf(MINIMAL + "repo1-hardlink=y\n").warnings
    assert warning.startswith("option 'repo1-hardlink' has no effect here: a backup refers to")


def test_compression_as_it_was_switched_off_before_there_were_types(conf):
    assert conf(MINIMAL + "compress=n\n").compress_type == "none"
    assert conf(MINIMAL + "compress=y\n").compress_type == "gz"
    assert conf(MINIMAL + "compress=n\ncompress-type=zst\n").compress_type == "zst"


BLOCKS = "repo1-bundle=y\nrepo1-block=y\n"


def test_maps_of_blocks_come_out_as_numbers(conf):
    text = (
        f"[global]\n{BLOCKS}repo1-block-size-map=16KiB=8KiB\nrepo1-block-size-map=1GiB=1MiB\n"
        "repo1-block-age-map=7=2\nrepo1-block-age-map=28=0\n"
        "repo1-block-checksum-size-map=32KiB=7\nrepo1-block-size-super-full=2MiB\n"
    )
    repo = conf(text + MINIMAL).repo()
    assert repo.block_size_map == ((1 << 30, 1 << 20), (16384, 8192))
    assert repo.block_age_map == ((28, 0), (7, 2))
    assert repo.block_checksum_size_map == ((32768, 7),)
    assert (repo.block_size_super, repo.block_size_super_full) == (256 * 1024, 2 << 20)


@pytest.mark.parametrize(
    "line",
    [
        # The manifest counts blocks in units of 8 KiB.
        "repo1-block-size-map=1MiB=12KiB",
        "repo1-block-size-map=1MiB=0",
        "repo1-block-size-map=many=8KiB",
        "repo1-block-age-map=-1=2",
        "repo1-block-age-map=7=half",
        # A digest has 16 bytes, and pgBackRest takes no fewer than 6 of them.
        "repo1-block-checksum-size-map=32KiB=5",
        "repo1-block-checksum-size-map=32KiB=17",
        "repo1-block-size-super=16KiB",
    ],
)
def test_maps_that_no_repository_could_hold_are_refused(conf, line):
    with pytest.raises(errors.OptionInvalidValueError, match="for 'repo1-block"):
        conf(f"[global]\n{BLOCKS}{line}\n{MINIMAL}")
