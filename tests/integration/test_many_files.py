# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup of very many files costs: memory is bounded, time grows with their number."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

FILES = 100_000
MIB = 1024


def run(site, *words):
    """Seconds, and KiB that the largest of the command's processes had."""
    pid = os.fork()
    started = time.monotonic()
    if pid == 0:
        try:
            output = os.open(site.root / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(output, 1)
            os.dup2(output, 2)
            line = [str(site.command), f"--config={site.config}", "--stanza=demo", *words]
            if os.geteuid() == 0:
                line = ["runuser", "-u", "postgres", "--", *line]
            os.execvp(line[0], line)
        finally:
            os._exit(127)
    _pid, status, used = os.wait4(pid, 0)
    assert status == 0, (site.root / "said").read_text()
    return time.monotonic() - started, used.ru_maxrss


@pytest.fixture(scope="module")
def costs(sites):
    """Of a few files more, and of all of them: (seconds, KiB) of a full and an incremental."""
    site = sites()
    site.cluster.stop()
    site.run("stanza-create", "--no-online")
    found = {}
    made = site.cluster.data / "base" / "4"
    start = 900_000
    for count in (FILES // 10, FILES):
        for number in range(start, 900_000 + count):
            file = made / str(number)
            file.write_bytes(b"%d" % number)
            own(file)
        start = 900_000 + count
        found[count] = [
            run(site, "backup", "--no-online", f"--type={kind}") for kind in ("full", "incr")
        ]
    yield found
    shutil.rmtree(site.repo)


def test_memory_stays_below_250_mib(costs):
    for _seconds, used in costs[FILES]:
        assert used < 250 * MIB


def test_time_grows_with_the_number_of_files(costs):
    """Not with its square: ten times as many take at most twenty times as long."""
    for few, many in zip(costs[FILES // 10], costs[FILES]):
        assert many[0] < 20 * few[0], costs
