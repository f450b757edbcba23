# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The third-party libraries, Python's and the system's, each loaded only when something needs it.

A command pays for the libraries that it uses: ``archive-push`` through a resident archiver loads
none of them. A missing one is reported by name, with the packages that bring it.
"""

from __future__ import annotations

import contextlib
import sys
import typing as t

from .errors import ServiceError

if t.TYPE_CHECKING:
    import ctypes
    from types import ModuleType


# Every library that some command needs; the distributions' packages have the same names behind
# ``python3-``.
LIBRARIES = ("cryptography", "numpy", "paramiko", "psycopg2", "zstandard")


def _missing(name: str, cause: ImportError) -> ServiceError:
    """The error for one library; it names all that are missing, so that one look is enough."""
    missing = sorted({name, *(other for other in LIBRARIES if _is_missing(other))})
    packages = " ".join(f"python3-{other}" for other in missing)
    return ServiceError(
        f"python library '{name}' cannot be imported: {cause}",
        hint=f"install the distribution package{'s' if len(missing) > 1 else ''} {packages} or, in"
        f" the engine's venv, {' '.join(missing)}.",
    )


def expect(*names: str) -> None:
    """Raise for a library that is not there, and load none: one that is may still fail to load."""
    for name in names:
        if _is_missing(name):
            raise _missing(name, ImportError(f"No module named '{name}'"))


def _is_missing(name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return True


# What ``need_soon`` was told and is not loaded yet.
_soon: list[t.Callable[[], object]] = []


def need_soon(*loading: t.Callable[[], object]) -> None:
    """Have libraries loaded, by functions of this module, while this process waits for a server, if
    it does before it needs them: some take as long as a login.
    """
    _soon.extend(loading)


def load_needed() -> None:
    """Load what will be needed soon: there is an answer to wait for."""
    while _soon:
        # What is wrong with it is told to whoever uses it.
        with contextlib.suppress(Exception):
            _soon.pop()()


def paramiko() -> ModuleType:
    """The SSH library.

    It does without ``invoke``, which only the file ssh_config has a use for, and which takes a
    third of the time.
    """
    # Where it is loaded already, the import is nothing.
    absent = "invoke" not in sys.modules and "paramiko" not in sys.modules
    if absent:
        # For an import statement that is a module that is not there.
        sys.modules["invoke"] = t.cast("ModuleType", None)
    try:
        import paramiko as library
    except ImportError as cause:
        raise _missing("paramiko", cause) from cause
    finally:
        if absent:
            # Another thread may have done the same meanwhile.
            sys.modules.pop("invoke", None)
    return library


def psycopg2() -> ModuleType:
    """The PostgreSQL driver."""
    try:
        import psycopg2 as library
    except ImportError as cause:
        raise _missing("psycopg2", cause) from cause
    return library


def zstandard() -> ModuleType:
    """The zstd binding."""
    try:
        import zstandard as library
    except ImportError as cause:
        raise _missing("zstandard", cause) from cause
    return library


def numpy() -> ModuleType:
    """Arrays, for page checksums."""
    try:
        import numpy as library
    except ImportError as cause:
        raise _missing("numpy", cause) from cause
    return library


class Ciphers(t.NamedTuple):
    """Block ciphers of the cryptography library."""

    cipher: t.Any
    """The class of a key with its mode."""
    algorithms: ModuleType
    modes: ModuleType


def ciphers() -> Ciphers:
    """Block ciphers of the cryptography library."""
    try:
        # Each by its name: before 37 the package alone does not load the other two.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as cause:
        raise _missing("cryptography", cause) from cause
    return Ciphers(Cipher, algorithms, modes)


def serialization() -> ModuleType:
    """Forms of keys of the cryptography library."""
    try:
        from cryptography.hazmat.primitives import serialization as library
    except ImportError as cause:
        raise _missing("cryptography", cause) from cause
    return library


def lz4() -> ctypes.CDLL:
    """The LZ4 library of the system; its package manager needs it, too, so that it is there."""
    try:
        return _shared("liblz4.so.1")
    except OSError as cause:
        raise ServiceError(
            f"library liblz4 cannot be loaded: {cause}",
            hint="install the distribution package liblz4-1 (Debian) or lz4-libs (Red Hat).",
        ) from cause


def xxhash() -> ctypes.CDLL | None:
    """The xxHash library of the system; None where it is not installed, which costs only speed."""
    try:
        return _shared("libxxhash.so.0")
    except OSError:
        return None


def _shared(name: str) -> ctypes.CDLL:
    import ctypes

    # A handle of our own: prototypes that are set on it are nobody else's.
    return ctypes.CDLL(name)
