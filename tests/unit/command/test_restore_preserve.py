# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore of the type preserve neither removes nor restores, by version."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore import run
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.choice import (
    Chosen,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.reuse import (
    Reuse,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Given,
    Options,
    PgOptions,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres.goal import Goal
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import contents

LABEL = "20260101-000000F"
NAMES = ("postgresql.auto.conf", "recovery.conf", "recovery.signal", "standby.signal")


def backup_of(version):
    owner = ("postgres", "postgres")
    return contents.Manifest(
        backup=contents.BackupFacts(LABEL, "full", 1, 2, 3, (LABEL,)),
        db=contents.ManifestDb(1, 2, version, 3, 4),
        options=contents.ManifestOptions(compress_type="none"),
        targets=[contents.Target("pg_data", "path", "/origin")],
        files=[
            contents.ManifestFile(
                "pg_data/postgresql.auto.conf", 3, 3, 1, 0o600, *owner, checksum="0" * 40
            )
        ],
        paths=[contents.ManifestPath("pg_data", 0o700, *owner)],
    )


@pytest.mark.parametrize(
    ("version", "kind", "kept", "restored"),
    [
        ("15", "preserve", {"postgresql.auto.conf", "recovery.signal", "standby.signal"}, False),
        ("15", "default", {"postgresql.auto.conf"}, True),
        # Recovery is configured in a file of its own; the other one has settings like any other.
        ("11", "preserve", {"postgresql.auto.conf", "recovery.conf"}, True),
        ("11", "default", {"postgresql.auto.conf"}, True),
    ],
)
def test_by_version(tmp_path, version, kind, kept, restored):
    for name in NAMES:
        (tmp_path / name).write_text("own")
    options = Options(
        "restore",
        stanza="demo",
        type=kind,
        pgs=(PgOptions(path=str(tmp_path)),),
        explicit=(Given("archive-mode", "preserve", "argument"),),
    )
    chosen = Chosen(RepoOptions(1), None, backup_of(version), None)
    ready = run.prepared(options, chosen, Goal(kind), Reuse(delta=True, force=False))
    removed = ready.target.superfluous(preserve=ready.preserved)
    assert set(NAMES) - {path.rpartition("/")[2] for path in removed} == kept
    assert bool(list(ready.work.files)) == restored


def test_what_the_server_gets_is_the_target_that_was_looked_at(tmp_path):
    options = Options(
        "restore",
        stanza="demo",
        type="time",
        target=" 2026-11-22 12:00:00+00\n",
        pgs=(PgOptions(path=str(tmp_path)),),
        repos=(RepoOptions(key=1),),
    )
    aim = run.aim_of(options, "time")
    chosen = Chosen(options.repos[0], None, backup_of("15"), None)
    ready = run.prepared(options, chosen, aim, Reuse(False, False))
    assert ready.options.target == "2026-11-22 12:00:00+00"
