# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XXH3-128 with the library and without it."""

from __future__ import annotations

import random

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import dependency
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform import xxh3
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.xxh3 import Digester

# Of ``content(size)``, computed with libxxhash 0.8.1; every branch of the algorithm and its edges.
KNOWN = {
    1: "a6cd5e9392000f6ac44bdff4074eecdb",
    3: "1cef1b449ba11392c3abf7ae2e250b5a",
    4: "f475185dd40eb68683ff77177049cd39",
    8: "c37b9c609b812e65b97ca908010cab60",
    9: "3d031e2d389ed58d4635f1fc751fe5fd",
    16: "7bf040f53be48d8c0deb840adcd7a040",
    17: "ae2ff3252c52ad5ea10cdcc2393322b0",
    32: "6643637dfa3411e129c819f58a382aa3",
    33: "44b9af2ca6e2680d8e709966900fb0cf",
    64: "f7cde8aaee914e13a76691b003e9f327",
    65: "d1b8865cd4d7202bf8e0cb8f407d03bb",
    96: "8df46119d13fdf0bcaeeb9ec7ece817f",
    97: "1b7969445b26eb2a85d9300268270610",
    128: "ace2e3f98ca779b2f5f648d02c5ea199",
    129: "494edab225dff56e189d01656e6adaee",
    160: "84d7497746394b637f87b509b036a752",
    240: "79eeb64cc139b65a64acbec064796cc2",
    241: "8c10a157d96fb846179ead905bf75a05",
    1024: "b42ec12dd784ee7089afebe614a926d7",
    1025: "2ab8e9872a79e19e6d6273cffcf616f7",
    1088: "cfe3a89d3bd97ac4d92ad48d9c182061",
    8192: "8f8d61a89d3193385e0a1d8f88eba8eb",
    24581: "e4a7b99b7c802daa5e16e40d8fc669a8",
}


def content(size: int) -> bytes:
    return bytes(number * 131 % 251 for number in range(size))


@pytest.fixture(params=["best", "portable"])
def digester(request: pytest.FixtureRequest) -> Digester:
    return Digester.best() if request.param == "best" else Digester()


@pytest.mark.parametrize("size", KNOWN)
def test_known_digests(digester: Digester, size: int) -> None:
    assert [row.hex() for row in digester(content(size), size)] == [KNOWN[size]]


def test_both_agree_for_every_length() -> None:
    if dependency.xxhash() is None:
        pytest.skip("no libxxhash on this machine; the known digests have to do")
    best, portable = Digester.best(), Digester()
    source = random.Random(1)
    for size in [*range(1, 1200), 8191, 8192, 8193, 90112, 1 << 20]:
        data = source.randbytes(size)
        assert best(data, size) == portable(data, size), size


def test_blocks_are_digested_one_by_one(digester: Digester) -> None:
    data = random.Random(2).randbytes(5 * 8192 + 100)
    blocks = [data[start : start + 8192] for start in range(0, len(data), 8192)]
    assert digester(memoryview(data), 8192) == [digester(block, 8192)[0] for block in blocks]
    assert digester(data[:1000], 100) == [
        digester(data[start : start + 100], 100)[0] for start in range(0, 1000, 100)
    ]
    assert digester(b"", 8192) == []


def test_a_system_without_the_library_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", missing)
    assert Digester.best()._digests is xxh3.portable


def test_a_library_that_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def XXH_versionNumber(self) -> int:
            return 704

    monkeypatch.setattr(dependency, "xxhash", Old)
    assert Digester.best()._digests is xxh3.portable
