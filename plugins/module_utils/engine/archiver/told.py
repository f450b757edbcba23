# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command line and its environment say, as far as an archiver may be told it.

Loaded by all that PostgreSQL starts for every segment, so that it imports next to nothing: no
option table. What it does not know is for the long way.
"""

from __future__ import annotations

# As typing has it, which would be half of what is loaded.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

PREFIX = "PGBACKREST_"


def told(
    words: Sequence[str],
    environ: Mapping[str, str],
    known: Collection[str],
    flags: Collection[str] = (),
) -> tuple[dict[str, str], list[str]] | None:
    """The options by name, and the other words: the command and its parameters.

    None where there is an option that is neither ``known`` nor one of the ``flags``, which take no
    value, or a text that does not fit into a question, which has tabs between its words.
    """
    given = {
        variable[len(PREFIX) :].lower().replace("_", "-"): value
        for variable, value in environ.items()
        if variable.startswith(PREFIX)
    }
    plain = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            plain.append(word)
            continue
        name, equal, value = word[2:].partition("=")
        if not word.startswith("--") or (not equal and name not in flags and not rest):
            return None
        if not equal and name not in flags:
            value = rest.pop(0)
        given[name] = value
    if not all(name in known or name in flags for name in given):
        return None
    if any("\t" in text or "\n" in text for text in (*given.values(), *plain)):
        return None
    return given, plain
