# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is restored archives, by what has archived from there and who says so."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import archiving
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.load import load
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import home
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.contents import (
    ManifestDb,
)

SYSTEM = 7300000000000000001


def of(version="15"):
    """The cluster that was backed up."""
    return ManifestDb(1, SYSTEM, version, 202209061, 1300)


class Host:
    """A host whose configuration names the cluster in /pg/main."""

    def __init__(self, root):
        self.spool = str(root / "spool")
        self.conf = root / "pgbackrest.conf"
        self.configure()

    def configure(self, *more):
        self.conf.write_text("\n".join(["[demo]", "pg1-path=/pg/main", *more]) + "\n")

    def archives(self, pg_data="/pg/main", system_id=SYSTEM):
        home.note(self.spool, "demo", pg_data, system_id)

    def options(self, *arguments):
        words = (f"--config={self.conf}", "--stanza=demo", "--repo1-path=/repo")
        return load("restore", [*words, f"--spool-path={self.spool}", *arguments], {})

    def mode(self, *arguments, version="15"):
        return archiving.decided(self.options(*arguments), of(version)).archive_mode


@pytest.fixture(name="host")
def fixture_host(tmp_path):
    return Host(tmp_path)


def test_the_cluster_itself_archives(host):
    host.archives()
    assert host.mode() == "preserve"
    assert host.mode("--pg1-path=/pg/main/") == "preserve"
    assert host.mode("--type=none") == "preserve"


def test_the_same_place_of_another_host_is_a_copy(host):
    assert host.mode() == "off"
    assert host.mode("--archive-mode=preserve") == "preserve"
    assert host.mode("--type=standby") == "preserve"


def test_another_directory_is_a_copy(host):
    host.archives()
    assert host.mode("--pg1-path=/pg/copy") == "off"
    assert host.mode("--pg1-path=/pg/copy", "--archive-mode=preserve") == "preserve"
    assert host.mode("--pg1-path=/pg/copy", "--type=standby") == "preserve"


def test_another_cluster_that_archived_from_there_says_nothing(host):
    """A host for tests that has one of its own, and gets the configuration of another."""
    host.archives(system_id=SYSTEM + 1)
    assert host.mode() == "off"


def test_the_cluster_may_have_moved(host):
    """The backups are of the old place; what counts is where it has archived from."""
    host.archives("/pg/new")
    assert host.mode("--pg1-path=/pg/new") == "preserve"


def test_whoever_says_so_is_obeyed(host):
    host.archives()
    assert host.mode("--archive-mode=off") == "off"
    assert host.mode() == "preserve"


def test_a_mode_that_is_taken_back_is_not_set(host):
    host.configure("archive-mode=preserve")
    assert host.mode() == "preserve"
    assert host.mode("--reset-archive-mode") == "off"


def test_what_cannot_be_switched_off_is_warned_of(host, caplog):
    assert host.mode(version="11") == "preserve"
    assert "set archive_mode to 'off' before it is started" in caplog.text


def test_where_the_settings_stay_somebody_has_to_say_it(host):
    with pytest.raises(errors.OptionRequiredError, match="requires option: archive-mode"):
        host.mode("--type=preserve")
    assert host.mode("--type=preserve", "--archive-mode=preserve") == "preserve"
    host.archives()
    assert host.mode("--type=preserve") == "preserve"


def test_off_cannot_be_said_where_settings_are_left_as_they_are(host):
    for pg_data in ("/pg/main", "/pg/copy"):
        host.archives()
        with pytest.raises(errors.OptionInvalidError) as refused:
            host.mode("--type=preserve", "--archive-mode=off", f"--pg1-path={pg_data}")
        assert "archive-mode" in refused.value.message


def test_a_standby_takes_the_place_of_the_cluster(host):
    host.archives()
    archiving.forget_if_standby(host.options("--type=immediate"), of())
    assert host.mode() == "preserve"
    archiving.forget_if_standby(host.options("--type=standby"), of())
    assert host.mode() == "off"
