# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What distance costs: every figure here is a number of sequential round trips.

A figure that grows is a promise broken; one that shrinks may be written down here.
"""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.base import Publish
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import server


def cost(storage, action):
    """Round trips of ``action``, as the storage counts them and as the line has seen them."""
    before, waits = storage.round_trips, storage.line.waits
    result = action()
    counted = storage.round_trips - before
    assert counted == storage.line.waits - waits
    return counted, result


def put(storage, names, data, publish=Publish.RENAME):
    completions = []
    for name in names:
        writer = storage.writer(name, publish=publish)
        writer.write(data)
        completions.append(writer.finish())
    storage.wait(completions)


def test_the_protocol_begins_with_one(sftp):
    storage = sftp()
    assert storage.line.waits == 1
    assert storage.round_trips == 0


def test_one_small_file(sftp):
    storage = sftp()
    # OPEN; WRITE, fsync, CLOSE; rename.
    assert cost(storage, lambda: storage.write("info", b"x"))[0] == 3
    # OPEN; FSTAT, READ; CLOSE is not waited for.
    assert cost(storage, lambda: storage.read("info")) == (2, b"x")


def test_two_info_files_cost_no_more_than_one(sftp):
    storage = sftp()
    storage.write("a", b"1")
    storage.write("b", b"2")

    def both():
        readers = [storage.reader("a"), storage.reader("b")]
        return [reader.read_all() for reader in readers]

    assert cost(storage, both) == (2, [b"1", b"2"])


def test_a_missing_directory_costs_two_more_for_all_files_in_it(sftp):
    storage = sftp()
    names = [f"backup/demo/20261122-110720F/{number}" for number in range(50)]
    assert cost(storage, lambda: put(storage, names, b"x"))[0] == 5


def test_a_hundred_small_files(sftp):
    storage = sftp()
    names = [f"f{number}" for number in range(100)]
    assert cost(storage, lambda: put(storage, names, b"x" * 8192))[0] == 3
    assert cost(storage, lambda: put(storage, names, b"x" * 8192, Publish.DIRECT))[0] == 2

    def get():
        readers = [storage.reader(name) for name in names]
        return {reader.read_all() for reader in readers}

    assert cost(storage, get) == (2, {b"x" * 8192})
    assert cost(storage, lambda: storage.info_many(names))[0] == 1
    # OPENDIR; READDIRs for all names and the end at once.
    assert cost(storage, lambda: len(storage.list(""))) == (2, 100)
    assert cost(storage, lambda: storage.remove_many(names))[0] == 1


def test_ten_thousand_files_need_as_many_handles_as_there_are(sftp):
    storage = sftp()
    names = [f"f{number}" for number in range(3000)]
    counted, _dummy = cost(storage, lambda: put(storage, names, b"x"))
    # 252 files at a time, two round trips each, and one for the last renames.
    assert counted <= 2 * (3000 // 252 + 1) + 1
    assert storage.test_server.most_handles <= 252


def test_large_file(sftp):
    storage = sftp()
    data = b"x" * (24 << 20)
    # 16 MiB are on their way at once.
    assert cost(storage, lambda: put(storage, ["x"], data))[0] <= 5
    # The size comes with the first bytes, then everything at once.
    assert cost(storage, lambda: len(storage.read("x"))) == (3, len(data))
    # Who knows how much to ask for asks for all.
    reader = storage.reader("x", size=len(data))
    assert cost(storage, lambda: len(reader.read_all())) == (2, len(data))


def test_list_many_directories(sftp):
    storage = sftp()
    names = [f"d{number}" for number in range(40)]
    assert cost(storage, lambda: storage.make_paths(names))[0] == 1
    assert cost(storage, lambda: storage.list_many(names))[0] == 2
    assert cost(storage, lambda: storage.make_paths(names))[0] == 0


def test_removing_a_backup(sftp):
    storage = sftp()
    put(storage, [f"b/pg_data/base/{n % 5}/{n}.zst" for n in range(970)], b"x")
    # Down four levels at two each, files, and up again.
    assert cost(storage, lambda: storage.remove_tree("b"))[0] <= 14
    assert storage.list("") == []


def test_a_file_over_a_narrow_window(sftp):
    storage = sftp(window=10_000)
    storage.write("x", b"y" * 100_000)
    assert storage.read("x") == b"y" * 100_000


def test_small_requests_of_one_moment_share_a_segment(sftp):
    storage = sftp()
    names = [f"f{number}" for number in range(200)]
    before = storage.line.segments
    storage.info_many(names)
    # The first go at once, since the line is free; the others are 20 KiB together.
    assert storage.line.segments - before <= 10


def test_files_whose_names_come_in_order_cost_one_for_each_name(sftp):
    storage = sftp()

    def chain():
        writers = [storage.writer(f"f{n}", publish=Publish.RENAME) for n in range(5)]
        for writer in writers:
            writer.write(b"x")
        last = []
        for writer in writers:
            last = [writer.finish(after=last)]
        last[0].wait()

    # OPEN; WRITE, fsync, CLOSE; the renames.
    assert cost(storage, chain)[0] == 2 + 5
    assert storage.test_server.count("posix-rename@openssh.com") == 5


def test_twins_get_their_names_together_where_that_takes_one_step(sftp):
    storage = sftp()
    # The first rename of a session shows that files are replaced in one step.
    storage.write("warm", b"")

    def both():
        first = storage.writer("info", publish=Publish.RENAME)
        second = storage.writer("info.copy", publish=Publish.RENAME)
        end = first.finish()
        storage.wait([end, second.finish(twin=end)])

    assert cost(storage, both)[0] == 3


@pytest.mark.parametrize(
    ("milliseconds", "mebibytes"), [(0, 4), (1, 4), (20, 6), (50, 15), (95, 28.5), (500, 32)]
)
def test_what_is_asked_for_ahead_fills_the_line_and_not_the_server(milliseconds, mebibytes):
    assert server.read_ahead(milliseconds / 1000) == pytest.approx(mebibytes * 2**20, rel=0.01)
