# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line, environment and file: who wins, what is refused, and where it is said to be."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import command_line, file
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Secret

WALK_THROUGH = """\
[global]
repo1-bundle=y
repo1-type=sftp
repo1-path=/backup_space
repo1-sftp-host=sftp-srv
repo1-sftp-host-key-hash-type=sha1
repo1-sftp-host-user=pgbackrest
repo1-sftp-private-key-file=/var/lib/pgsql/.ssh/id_rsa_sftp
repo1-sftp-private-key-passphrase=BeSureToGenerateAndUseASecurePassphrase

repo1-retention-full=2
start-fast=y
log-level-console=info
log-level-file=debug
delta=y
process-max=2

[demo]
pg1-path=/var/lib/pgsql/15/data
pg2-host=pg1-srv
pg2-path=/var/lib/pgsql/15/data
backup-standby=y
recovery-option=primary_conninfo=host=pg1-srv user=replic_user
"""

MINIMAL = "[demo]\npg1-path=/pg\n"


@pytest.fixture
def conf(tmp_path):
    """Write a configuration file and load the options of a command with it."""

    def run(text, *arguments, command="backup", environ=None, overrides=None):
        path = tmp_path / "x.conf"
        path.write_text(text, encoding="utf-8")
        words = [f"--config={path}", "--stanza=demo", *arguments]
        return load(command, words, environ or {}, overrides=overrides)

    return run


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


def test_lists_are_not_merged(conf):
    text = MINIMAL + "exclude=a\nexclude=b\n[global]\nexclude=c\n"
    assert conf(text).exclude == ("a", "b")
    assert conf(text, "--exclude=x", "--exclude", "y").exclude == ("x", "y")
    assert conf(text, environ={"PGBACKREST_EXCLUDE": "p:q"}).exclude == ("p", "q")


def test_a_list_may_be_continued_in_the_same_section_elsewhere(conf):
    text = "[demo]\nexclude=a\n[global]\nstart-fast=y\n" + MINIMAL + "exclude=b\n"
    assert conf(text).exclude == ("a", "b")


def test_hashes(conf):
    text = MINIMAL + "tablespace-map=ts1=/a\ntablespace-map=ts2=/b=c\n"
    assert conf(text, command="restore").tablespace_map == (("ts1", "/a"), ("ts2", "/b=c"))
    with pytest.raises(errors.OptionInvalidError, match="key 'ts1' is set twice"):
        conf(text + "tablespace-map=ts1=/d\n", command="restore")
    with pytest.raises(errors.OptionInvalidError, match="key/value 'ts1' is not valid"):
        conf(MINIMAL + "tablespace-map=ts1\n", command="restore")


@pytest.mark.parametrize(
    ("line", "error", "message", "hint"),
    [
        ("repo1-sftp-hots=x", errors.OptionInvalidError, "invalid option 'repo1-sftp-hots'",
         "did you mean 'repo1-sftp-host'?"),
        ("proces-max=2", errors.OptionInvalidError, "invalid option 'proces-max'",
         "did you mean 'process-max'?"),
        ("repo-sftp-host=x", errors.OptionInvalidError, "invalid option",
         "did you mean 'repo1-sftp-host'?"),
        ("xyzzy=1", errors.OptionInvalidError, "invalid option 'xyzzy'", None),
        ("start-fast=yes", errors.OptionInvalidValueError, "'yes' is not valid for 'start-fast'",
         "a boolean is 'y' or 'n'."),
        ("start-fast=", errors.OptionInvalidValueError, "option 'start-fast' has no value", None),
        ("start-fast", errors.FormatError, "missing '='", None),
        ("=y", errors.FormatError, "option without a name", None),
        ("repo1-bundle-size=20 apples", errors.OptionInvalidValueError, "'20 apples' is not valid",
         "a size is a number with a unit, such as 512KiB, 20MiB or 1GiB."),
        ("archive-timeout=0.5", errors.OptionInvalidValueError, "'0.5' is not valid",
         "a time is a number with a unit, such as 500ms, 30s, 5m, 1h or 2d."),
        ("stanza=demo", errors.OptionInvalidError, "option 'stanza' is only allowed on the command",
         None),
        ("repo1-host=other", errors.FeatureNotSupportedError, "'repo1-host' is not supported yet",
         "remove it: a repository lies in a directory or at an SFTP server."),
        ("repo257-path=/x", errors.OptionInvalidError, "invalid option 'repo257-path'",
         "did you mean 'repo256-path'?"),
        ("repo01-path=/x", errors.OptionInvalidError, "invalid option 'repo01-path'", None),
        ("no-start-fast=y", errors.OptionInvalidError, "invalid option 'no-start-fast'", None),
        ("[]", errors.FormatError, "section without a name", None),
        ("[global:bakup]\nprocess-max=2", errors.OptionInvalidError,
         "section [global:bakup] names no command", None),
        ("[global:restore]\nstart-fast=y", errors.OptionInvalidError,
         "option 'start-fast' is not valid for command 'restore'", None),
        ("[global]\npg1-port=5433", errors.OptionInvalidError,
         "option 'pg1-port' is not allowed in section [global]",
         "it belongs to a stanza's section."),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say(conf, tmp_path, line, error, message, hint):
    text = MINIMAL + "repo1-bundle=y\n" + line + "\n"
    with pytest.raises(error) as caught:
        conf(text)
    place = f"in {tmp_path}/x.conf, line {3 + len(line.splitlines())}"
    assert message in caught.value.message
    assert place in caught.value.message
    if hint:
        assert caught.value.hint == hint


def test_set_twice(conf, tmp_path):
    with pytest.raises(errors.OptionInvalidError) as caught:
        conf(MINIMAL + "process-max=2\nprocess-max=2\n")
    assert "more than once in section [demo]" in caught.value.message
    assert f"in {tmp_path}/x.conf, line 4" in caught.value.message
    assert caught.value.hint == f"it is set before in {tmp_path}/x.conf, line 3."
    with pytest.raises(errors.OptionInvalidError, match="more than once"):
        conf(MINIMAL + "db-path=/x\n")  # an older name of the same option


def test_a_line_outside_of_a_section(conf):
    with pytest.raises(errors.FormatError, match=r"outside of a section in .*, line 1"):
        conf("process-max=2\n" + MINIMAL)


def test_an_error_shows_no_secret(conf):
    for text in ("repo1-cipher-pass hunter2", "hunter2"):
        with pytest.raises(errors.FormatError) as caught:
            conf(MINIMAL + text + "\n")
        assert "hunter2" not in str(caught.value)


def test_comments_and_blanks(conf):
    text = "# x\n\n [demo] \n  # y=z\n pg1-path = /pg \n exclude = a # b\n"
    assert conf(text).pg.path == "/pg"
    assert conf(text).exclude == ("a # b",)


def test_text_must_be_utf8(tmp_path):
    path = tmp_path / "x.conf"
    path.write_bytes(b"[demo]\npg1-path=/\xff\n")
    with pytest.raises(errors.FormatError, match=r"not UTF-8 in .*, line 2"):
        load("backup", [f"--config={path}", "--stanza=demo"], {})


def test_which_files_are_read(tmp_path, monkeypatch):
    base = tmp_path / "etc"
    (base / "conf.d").mkdir(parents=True)
    old = tmp_path / "old.conf"
    monkeypatch.setattr(file, "OLD_FILE", str(old))
    words = ["--stanza=demo", f"--config-path={base}"]
    (base / "conf.d" / "b.conf").write_text("[global]\nprocess-max=3\n")
    (base / "conf.d" / "a.conf").write_text(MINIMAL)
    (base / "conf.d" / "ignored.txt").write_text("nonsense")
    options = load("backup", words, {})
    assert (options.process_max, options.pg.path, options.config_file) == (3, "/pg", None)
    main = base / "pgbackrest.conf"
    main.write_text("[global]\ncompress-type=zst\n")
    options = load("backup", words, {})
    assert (options.compress_type, options.process_max) == ("zst", 3)
    assert options.config_file == str(main)
    # One named file is read alone, unless a directory is named, too.
    one = tmp_path / "one.conf"
    one.write_text(MINIMAL)
    assert load("backup", ["--stanza=demo", f"--config={one}"], {}).process_max == 1
    both = ["--stanza=demo", f"--config={main}", f"--config-include-path={base}/conf.d"]
    assert load("backup", both, {}).process_max == 3
    assert load("backup", ["--stanza=demo", "--no-config", "--pg1-path=/pg"], {}).process_max == 1
    environ = {"PGBACKREST_CONFIG": str(one), "PGBACKREST_STANZA": "demo"}
    assert load("backup", [], environ).config_file == str(one)


def test_a_file_that_is_named_must_be_there(tmp_path):
    with pytest.raises(errors.FileMissingError, match="unable to open missing file '/nowhere/x'"):
        load("backup", ["--stanza=demo", "--config=/nowhere/x"], {})
    with pytest.raises(errors.PathMissingError):
        load("backup", ["--stanza=demo", "--no-config", "--config-include-path=/nowhere"], {})
    with pytest.raises(errors.FileOpenError):
        load("backup", ["--stanza=demo", f"--config={tmp_path}"], {})
    with pytest.raises(errors.OptionInvalidValueError, match="must begin with /"):
        load("backup", ["--stanza=demo", "--config=x.conf"], {})


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


def test_older_names(conf):
    options = conf("[demo]\ndb-path=/pg\n[global]\nrepo-path=/r\nretention-full=3\n")
    assert (options.pg.path, options.repo().path) == ("/pg", "/r")
    assert options.repo().retention_full == 3
    assert conf("[demo]\ndb1-path=/pg\ndb2-host=x\ndb2-path=/q\n").pgs[1].host == "x"


def test_several_repositories(conf):
    text = MINIMAL + "repo1-path=/a\nrepo3-path=/b\n"
    assert [repo.key for repo in conf(text).repos] == [1, 3]
    assert conf(text, "--repo=3").repo().path == "/b"


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
