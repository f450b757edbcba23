# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to store a repository, each begun by either tool, and which of them run every time."""

from __future__ import annotations

import itertools
import typing as t

import pytest

OURS, PEER = "ours", "peer"

FIRST = (OURS, PEER)
COMPRESS = ("none", "gz", "lz4", "zst", "bz2")
LAYOUTS = ("files", "bundles", "block")
CIPHERS = ("plain", "aes")

# Characters that mean something in a configuration file, in JSON and in UTF-8.
CIPHER_PASS = "pass=wörd #1"

_LAYOUT = {
    "files": {"repo1-bundle": "n"},
    "bundles": {"repo1-bundle": "y"},
    # Neither tool takes block incremental without bundles.
    "block": {"repo1-bundle": "y", "repo1-block": "y"},
}
_CIPHER = {
    "plain": {},
    "aes": {"repo1-cipher-type": "aes-256-cbc", "repo1-cipher-pass": CIPHER_PASS},
}
_EXTENSION = {"none": "", "gz": ".gz", "lz4": ".lz4", "zst": ".zst", "bz2": ".bz2"}


class Combination(t.NamedTuple):
    """One way to store a repository, and who begins it."""

    first: str
    compress: str
    layout: str
    cipher: str

    def __str__(self) -> str:
        return f"{self.first}-first-{self.compress}-{self.layout}-{self.cipher}"

    @property
    def options(self) -> dict[str, str]:
        """What the configuration file says of it."""
        return {"compress-type": self.compress, **_LAYOUT[self.layout], **_CIPHER[self.cipher]}

    @property
    def extension(self) -> str:
        """Of a stored file that is in no bundle."""
        return _EXTENSION[self.compress]

    def assert_stored(self, paths: t.Sequence[str], backups: t.Sequence[dict[str, t.Any]]) -> None:
        """The files below ``backup/STANZA``, and what ``info`` says, are of this way indeed."""
        full = [path for path in paths if path.startswith(f"{backups[0]['label']}/")]
        assert any("/pg_data/backup_label" + self.extension in path for path in full), full
        assert any("/bundle/" in path for path in full) == (self.layout != "files"), full
        assert any(path.endswith(".pgbi") for path in paths) == (self.layout == "block"), paths
        for backup in backups:
            assert ("delta-map" in backup["info"]["repository"]) == (self.layout == "block")


MATRIX = tuple(itertools.starmap(Combination, itertools.product(FIRST, COMPRESS, LAYOUTS, CIPHERS)))


def _pairwise() -> frozenset[Combination]:
    """Every compression with every layout; and any two values of two columns in some row."""
    rows = set()
    for (i, compress), (j, layout) in itertools.product(enumerate(COMPRESS), enumerate(LAYOUTS)):
        first = i + 1 if layout == "block" else i // 2 + j
        rows.add(Combination(FIRST[first % 2], compress, layout, CIPHERS[(i + j) % 2]))
    return frozenset(rows)


FAST = _pairwise()


def drop_templates(psql: t.Callable[[str], str]) -> None:
    """Leave a cluster the databases that a story is about.

    Two thirds of the files of a new one are the templates', the same each time; a story stores
    and restores them again and again, and the peer pays several round trips for each.
    """
    psql("update pg_database set datistemplate = false")
    for name in ("template0", "template1"):
        psql(f"drop database {name}")


def stories(*layouts: str, spared: t.Container[str] = ()) -> list[t.Any]:
    """The rows of these layouts as parameters of a test.

    Slow is what is not in the fast slice, and what has a compression that is spared there.
    """
    return [
        pytest.param(
            row,
            id=str(row),
            marks=[] if row in FAST and row.compress not in spared else [pytest.mark.slow],
        )
        for row in MATRIX
        if row.layout in layouts
    ]
