# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user can cause says what to do next: an error has a hint where it is made, or by class."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils import engine
from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors

ROOT = Path(engine.__file__).resolve().parents[1]

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, errors.EngineError)
}

# Mistakes of the program, or of what it speaks with: there is nothing that a user could do.
INTERNAL = {"AssertError", "JsonFormatError", "ProtocolError", "TermError"}

# Damage below the name of a file: what reads the file says which it is, and what to do.
DAMAGE = {"ChecksumError", "CryptoError", "FormatError", "FileReadError"}

# The connection ended: the command goes on over a new one, and only the last cause is shown.
RETRIED = {"HostBusyError", "TransportLostError"}

# Made in places where no user sees them alone.
SITES = {
    # Whoever waits for the line to the other host makes them an error of that host, with a hint.
    ("engine/postgres/frames.py", "HostConnectError"),
    ("engine/postgres/remote.py", "HostConnectError"),
    # Refuses what this engine never asks for.
    ("engine/postgres/node.py", "DbMismatchError"),
    # Other refusals of what only a mistake of the program can do.
    ("engine/storage/posix_calls.py", "StorageError"),
    ("engine/storage/posix_files.py", "StorageError"),
    ("engine/storage/sftp/writer.py", "StorageError"),
    ("engine/postgres/connection.py", "DbQueryError"),
    # Something that is made into the answer for the other host.
    ("engine/postgres/service.py", "FileMissingError"),
    # Rewritten where it is known what the path is for.
    ("engine/storage/base.py", "StorageMissingError"),
    ("engine/storage/sftp/paths.py", "StorageError"),
    ("engine/command/preflight.py", "StorageError"),
    # An archiver's own, which it answers with only when it has no better one.
    ("engine/archiver/source.py", "HostConnectError"),
    # What the compression library says of its own buffers.
    ("engine/transform/lz4_frame.py", "ServiceError"),
}


def _without_hint(path: Path) -> t.Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in CLASSES or CLASSES[name].usual_hint is not None:
            continue
        if not any(word.arg == "hint" for word in node.keywords):
            yield node.lineno, name


def test_what_a_user_can_cause_has_a_hint() -> None:
    exempt = INTERNAL | DAMAGE | RETRIED
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        short = str(path.relative_to(ROOT))
        for line, name in _without_hint(path):
            if name not in exempt and (short, name) not in SITES:
                found.append(f"{short}:{line} {name}")
    assert found == []


def test_every_exception_to_it_is_one() -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in ROOT.rglob("*.py")
        for _line, name in _without_hint(path)
    }
    assert found >= SITES
    assert {name for _path, name in found} >= INTERNAL | DAMAGE | RETRIED


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_hint_of_a_class_is_one_sentence(name: str) -> None:
    hint = CLASSES[name].usual_hint
    assert hint is None or hint[-1] in ".?"


def test_a_hint_given_is_preferred_to_that_of_the_class() -> None:
    usual = errors.OptionInvalidError("the cause", hint=None)
    assert str(usual) == f"the cause\nHINT: {errors.OptionInvalidError.usual_hint}"
    assert errors.OptionInvalidError("the cause", hint="do this.").hint == "do this."
    assert errors.EngineError("the cause").hint is None
