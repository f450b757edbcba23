# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files: which are read, what their lines may say, and what is refused and where."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import file
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.tests.support.configuration import MINIMAL


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
    assert caught.value.hint
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
    with pytest.raises(errors.FileMissingError, match="/nowhere/x' for read\nHINT: is the"):
        load("backup", ["--stanza=demo", "--config=/nowhere/x"], {})
    with pytest.raises(errors.PathMissingError, match="HINT: is config-include-path right"):
        load("backup", ["--stanza=demo", "--no-config", "--config-include-path=/nowhere"], {})
    with pytest.raises(errors.FileOpenError, match="HINT: is the option config right"):
        load("backup", ["--stanza=demo", f"--config={tmp_path}"], {})
    with pytest.raises(errors.OptionInvalidValueError, match="must begin with /"):
        load("backup", ["--stanza=demo", "--config=x.conf"], {})
