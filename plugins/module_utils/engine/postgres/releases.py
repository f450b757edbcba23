# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of PostgreSQL that the engine knows, and the numbers by which files betray them.

From catalog/pg_control.h, catalog/catversion.h and access/xlog_internal.h of each release
(repository reference, section 7).
"""

from __future__ import annotations

import typing as t

from ..errors import VersionNotSupportedError


class Release(t.NamedTuple):
    """One major version. Offsets are those in the file pg_control, on little-endian machines."""

    version: str  # '15', '9.6'
    control_version: int
    catalog_version: int
    wal_magic: int  # of a WAL page
    crc: int
    timeline: int = 48
    redo: int = 40
    min_recovery_point: int = 136
    backup_start_point: int = 152
    page_size: int = 216
    wal_segment_size: int = 228
    data_checksums: int = 252

    @property
    def number(self) -> int:
        """Comparable: 90600, 150000."""
        return number(self.version)


# fmt: off
RELEASES = (
    Release("9.6", 960, 201608131, 0xD093, 256, timeline=56, redo=48),
    Release("10", 1002, 201707211, 0xD097, 288, timeline=56, redo=48),
    Release("11", 1100, 201809051, 0xD098, 280, min_recovery_point=128, backup_start_point=144,
            page_size=208, wal_segment_size=220, data_checksums=244),
    Release("12", 1201, 201909212, 0xD101, 288),
    Release("13", 1300, 202007201, 0xD106, 288),
    Release("14", 1300, 202107181, 0xD10D, 288),
    Release("15", 1300, 202209061, 0xD110, 288),
    Release("16", 1300, 202307071, 0xD113, 288),
    Release("17", 1700, 202406281, 0xD116, 288),
    Release("18", 1800, 202506291, 0xD118, 292),
    # Not released: its catalog version still changes.
    Release("19", 1902, 202605131, 0xD121, 304, min_recovery_point=144, backup_start_point=160,
            page_size=224, wal_segment_size=240, data_checksums=264),
)
# fmt: on

_UNRELEASED_CATALOG_END = 202700000

KNOWN = f"PostgreSQL {RELEASES[0].version} to {RELEASES[-1].version} are known"


def number(version: str) -> int:
    """A version as a number to compare: '9.6' is 90600, '15' is 150000."""
    major, _dot, minor = version.partition(".")
    return int(major) * 10000 + int(minor or 0) * 100


def of_control(control_version: int, catalog_version: int) -> Release:
    """The release that wrote a pg_control; VersionNotSupportedError when it is none of ours."""
    for release in RELEASES:
        if release.control_version == control_version and (
            release.catalog_version == catalog_version
            or (
                release is RELEASES[-1]
                and release.catalog_version <= catalog_version < _UNRELEASED_CATALOG_END
            )
        ):
            return release
    raise VersionNotSupportedError(
        f"unexpected control version = {control_version} and catalog version = {catalog_version}",
        hint=f"is this version of PostgreSQL supported? {KNOWN}.",
    )


def of_wal(magic: int) -> Release:
    """The release that wrote a WAL page; VersionNotSupportedError when it is none of ours."""
    for release in RELEASES:
        if release.wal_magic == magic:
            return release
    raise VersionNotSupportedError(
        f"unexpected WAL magic 0x{magic:04X}",
        hint=f"is this version of PostgreSQL supported? {KNOWN}.",
    )


def of_name(version: str) -> Release:
    """The release of that name, such as '15'; VersionNotSupportedError when it is none of ours."""
    for release in RELEASES:
        if release.version == version:
            return release
    raise VersionNotSupportedError(
        f"PostgreSQL version {version} is not supported", hint=f"{KNOWN}."
    )


def of_server(version_num: int) -> Release:
    """The release of a server by its server_version_num, such as 150004 or 90624."""
    if version_num >= 100000:
        return of_name(str(version_num // 10000))
    return of_name(f"{version_num // 10000}.{version_num // 100 % 100}")
