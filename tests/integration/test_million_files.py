# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parent of a backup needs for a million files: the scan, the plan, what the workers say
of each file, and the manifest, in the functions of a backup. The files and the workers are left
out, which would take an hour: ``test_many_files.py`` has those, for fewer.
"""

from __future__ import annotations

import json
import os
import stat
import time
import traceback
import typing as t

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup import (
    copying,
    plan,
    record,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.begin import (
    Chosen,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.copy import (
    CopiedFile,
    Outcome,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.backup.finish import (
    Copied,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.postgres import datadir
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository import manifest
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.backup_info import (
    BackupDb,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.repository.bundle import (
    BundleRule,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    Framing,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.pipeline import (
    Encoding,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

MIB = 1024 * 1024
BEGIN = 1767225600
LABEL = "20260101-000000F"
NEXT = "20260101-000000F_20260102-000000I"
REPO = RepoOptions(bundle=True)


class Cost(t.NamedTuple):
    """MiB that the process had at most, and seconds of the processor."""

    memory: float
    seconds: float


class Status(t.NamedTuple):
    """What is looked at of a file."""

    st_size: int
    st_mtime_ns: int
    st_mode: int = stat.S_IFREG | 0o600
    st_uid: int = 0
    st_gid: int = 0


def scanned(root, files, monkeypatch):
    """A scan of a directory with so many files, which need not be there."""
    there = datadir._entries

    def entries(path):
        yield from there(path)
        if path.endswith("/base/5"):
            for number in range(100_000, 100_000 + files):
                yield str(number), Status(8192 * (1 + number % 8), (BEGIN - number) * 10**9)

    monkeypatch.setattr(datadir, "_entries", entries)
    return datadir.scan(str(root), online=False, version="15", catalog_version=202209061)


def backed_up(data, backup_type, label, prior):
    """The pieces of the manifest of a backup; each file is copied, or unchanged."""
    references = (LABEL,) if prior is None else (LABEL, NEXT)
    store = plan.Layout(
        "demo",
        label,
        Encoding("zst", 3, None),
        BundleRule(REPO.bundle_size, REPO.bundle_limit),
        Framing.RAW,
        references,
    )
    planned = plan.plan(
        data, store, primary=1, standby=None, pages=plan.Pages(8192, 131072), prior=prior,
        delta=False, processes=2,
    )  # fmt: skip
    copied = {}
    while planned.jobs.get(1):
        job = planned.jobs[1].popleft()
        # As they come from a worker: everything is new but what stands for many.
        said = [
            CopiedFile(
                str(file.name), Outcome.COPIED, file.size, os.urandom(20).hex(), 57,
                bundle_id=job.bundle_id or 0, bundle_offset=57 * number, page_valid=True,
            )
            for number, file in enumerate(job.files)
        ]  # fmt: skip
        copied.update((row.name, row) for row in copying._sharing(job, said))
    made = record.Record(
        Options("backup", stanza="demo"),
        REPO,
        BackupDb(1, 7, "15", 202209061, 1300),
        Chosen(backup_type, label, prior, None, BEGIN),
        store,
        checksum_page=True,
        standby=False,
    ).whole(
        Copied(data, planned, copied, set()),
        [],
        record.Begun(None, BEGIN + 2, delta=False),
        record.Ended(None, BEGIN + 9, []),
    )
    manifest.validate(made)
    return manifest.render_pieces(made)


def cost(work):
    """What it costs in a process of its own, which begins with what this one has imported."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
                stream.write("5")  # the most that it had is what it has now
            started = time.process_time()
            work()
            with open("/proc/self/status", encoding="ascii") as stream:
                (most,) = [line.split()[1] for line in stream if line.startswith("VmHWM:")]
            os.write(write, json.dumps([int(most) / 1024, time.process_time() - started]).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with open(read, encoding="ascii") as stream:
        said = stream.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return Cost(*json.loads(said))


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """Of a full backup and of an incremental one on it, with nothing changed, for two numbers."""
    root = tmp_path_factory.mktemp("million")
    (root / "data/base/5").mkdir(parents=True)
    found = {}
    for files in (100_000, 1_000_000):
        text = root / f"manifest-{files}"

        def full(files=files, text=text):
            with pytest.MonkeyPatch.context() as patch:
                data = scanned(root / "data", files, patch)
            with text.open("w", encoding="utf-8") as stream:
                stream.writelines(backed_up(data, "full", LABEL, None))

        def incr(files=files, text=text):
            with text.open(encoding="utf-8") as stream:
                prior = manifest.parse_pieces(iter(lambda: stream.read(MIB), ""))
            with pytest.MonkeyPatch.context() as patch:
                data = scanned(root / "data", files, patch)
            lines = 0
            for piece in backed_up(data, "incr", NEXT, prior):
                lines += piece.count(f'"reference":"{LABEL}"')
            assert lines == files

        found[files] = [cost(full), cost(incr)]
        assert text.stat().st_size > 100 * files
    return found


@pytest.mark.parametrize("files, most", [(100_000, 250), (1_000_000, 900)])
def test_memory_is_bounded(costs, files, most):
    for one in costs[files]:
        assert 50 < one.memory < most, costs


def test_time_is_linear(costs):
    """Of the processor, which a busy machine changes little."""
    for few, many in zip(costs[100_000], costs[1_000_000]):
        assert many.seconds < 13 * few.seconds, costs
