# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a manifest to its text (repository reference, section 8).

What the real writer wrote is rendered again byte for byte.
"""

from __future__ import annotations

import typing as t

from . import infofile
from .contents import (
    BLOCK_CHECKSUM_SIZE,
    BLOCK_UNIT,
    LEVELS,
    BackupFacts,
    Database,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestLink,
    ManifestOptions,
    ManifestPath,
    Owner,
    Target,
)
from .infofile import dump

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


def render(manifest: Manifest) -> str:
    """The plain text; ``writer_version`` of the manifest is the text of its writer."""
    return "".join(render_pieces(manifest))


def render_pieces(manifest: Manifest) -> Iterator[str]:
    """The plain text in pieces, for large manifests."""
    return infofile.render_lines(_sections(manifest), manifest.writer_version)


def _sections(manifest: Manifest) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    defaults = manifest.resolved_defaults()
    yield "backup", _present(_backup_rows(manifest.backup))
    yield "backup:db", _present(_db_rows(manifest.db))
    yield "backup:option", _present(_option_rows(manifest.options))
    yield "backup:target", ((row.name, _target(row)) for row in _by_name(manifest.targets))
    yield "cipher", _present((("cipher-pass", manifest.cipher_pass),))
    yield "db", ((row.name, _database(row)) for row in _by_name(manifest.databases))
    yield "metadata", _present((("annotation", dict(manifest.annotation) or None),))
    file_line = _FileRenderer(defaults.file).line
    yield "target:file", map(file_line, _by_name(manifest.files))
    yield "target:file:default", _default(defaults.file, manifest.files)
    yield "target:link", ((row.name, _link(row, defaults.link)) for row in _by_name(manifest.links))
    yield "target:link:default", _default(defaults.link, manifest.links)
    yield "target:path", ((row.name, _path(row, defaults.path)) for row in _by_name(manifest.paths))
    yield "target:path:default", _default(defaults.path, manifest.paths)


class _Named(t.Protocol):
    @property
    def name(self) -> str: ...


_N = t.TypeVar("_N", bound=_Named)


def _by_name(rows: Collection[_N]) -> list[_N]:
    # By bytes, as strcmp does; of ASCII that is the order of the texts, which need no copies then.
    if all(row.name.isascii() for row in rows):
        return sorted(rows, key=lambda row: row.name)
    return sorted(rows, key=lambda row: infofile.to_bytes(row.name))


def _present(rows: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    return ((key, dump(value)) for key, value in rows if value is not None)


def _backup_rows(facts: BackupFacts) -> tuple[tuple[str, object], ...]:
    return (
        ("backup-archive-start", facts.archive_start),
        ("backup-archive-stop", facts.archive_stop),
        # Flags are written only when they are set.
        ("backup-block-incr", facts.block_incr or None),
        ("backup-bundle", facts.bundle or None),
        ("backup-bundle-raw", facts.bundle_raw or None),
        ("backup-label", facts.label),
        ("backup-lsn-start", facts.lsn_start),
        ("backup-lsn-stop", facts.lsn_stop),
        ("backup-prior", facts.prior),
        ("backup-reference", ",".join(facts.references)),
        ("backup-timestamp-copy-start", facts.timestamp_copy_start),
        ("backup-timestamp-start", facts.timestamp_start),
        ("backup-timestamp-stop", facts.timestamp_stop),
        ("backup-type", facts.backup_type),
    )


def _db_rows(db: ManifestDb) -> tuple[tuple[str, object], ...]:
    return (
        ("db-catalog-version", db.catalog_version),
        ("db-control-version", db.control_version),
        ("db-id", db.id),
        ("db-system-id", db.system_id),
        ("db-version", db.version),
    )


def _option_rows(options: ManifestOptions) -> tuple[tuple[str, object], ...]:
    return (
        ("option-archive-check", options.archive_check),
        ("option-archive-copy", options.archive_copy),
        ("option-backup-standby", options.backup_standby),
        ("option-buffer-size", options.buffer_size),
        ("option-checksum-page", options.checksum_page),
        ("option-compress", options.compress_type != "none"),
        ("option-compress-level", _level(options.compress_level)),
        ("option-compress-level-network", _level(options.compress_level_network)),
        ("option-compress-type", options.compress_type),
        ("option-delta", options.delta),
        ("option-hardlink", options.hardlink),
        ("option-online", options.online),
        ("option-process-max", options.process_max),
    )


def _level(value: int | None) -> int | None:
    """A level of compression; see LEVELS."""
    return None if value is None else value % LEVELS


def _target(row: Target) -> str:
    value: dict[str, object] = {"path": row.path, "type": row.kind}
    if row.file is not None:
        value["file"] = row.file
    if row.tablespace_id is not None:
        # A string in this place.
        value["tablespace-id"] = str(row.tablespace_id)
        value["tablespace-name"] = row.tablespace_name
    return dump(value)


def _database(row: Database) -> str:
    return dump({"db-id": row.oid, "db-last-system-id": row.last_system_oid})


def _owner_value(name: str | None) -> object:
    return False if name is None else name


def _differing(
    user: str | None, group: str | None, mode: int | None, default: Owner
) -> dict[str, object]:
    value: dict[str, object] = {}
    if group != default.group:
        value["group"] = _owner_value(group)
    if mode is not None and mode != default.mode:
        value["mode"] = f"{mode:04o}"
    if user != default.user:
        value["user"] = _owner_value(user)
    return value


def _link(row: ManifestLink, default: Owner) -> str:
    value = _differing(row.user, row.group, None, default)
    value["destination"] = row.destination
    return dump(value)


def _path(row: ManifestPath, default: Owner) -> str:
    return dump(_differing(row.user, row.group, row.mode, default))


def _default(default: Owner, rows: t.Sequence[object]) -> Iterator[tuple[str, str]]:
    if rows:
        yield "group", dump(_owner_value(default.group))
        if default.mode is not None:
            yield "mode", dump(f"{default.mode:04o}")
        yield "user", dump(_owner_value(default.user))


class _FileRenderer:
    """One line of ``[target:file]``, a million times: keys in ascending order."""

    def __init__(self, default: Owner) -> None:
        self._default = default

    def line(self, file: ManifestFile) -> tuple[str, str]:
        parts: list[str] = []
        add = parts.append
        if file.block is not None:
            add(f'"bi":{file.block.size // BLOCK_UNIT},')
            if file.block.checksum_size != BLOCK_CHECKSUM_SIZE:
                add(f'"bic":{file.block.checksum_size},')
            if file.block.map_size:
                add(f'"bim":{file.block.map_size},')
        if file.bundle_id:
            add(f'"bni":{file.bundle_id},')
            if file.bundle_offset:
                add(f'"bno":{file.bundle_offset},')
        if file.size and file.checksum is not None:
            add(f'"checksum":"{file.checksum}",')
        if file.page_valid is not None:
            add('"checksum-page":true,' if file.page_valid else '"checksum-page":false,')
            if file.page_errors:
                add(f'"checksum-page-error":{dump(file.page_errors)},')
        user, group, mode = self._default
        if file.group != group:
            add(f'"group":{dump(_owner_value(file.group))},')
        if file.mode != mode:
            add(f'"mode":"{file.mode:04o}",')
        # Stored bytes that are the content itself have no digest of their own.
        if file.repo_checksum is not None and file.repo_checksum != file.checksum:
            add(f'"rck":"{file.repo_checksum}",')
        if file.reference is not None:
            add(f'"reference":"{file.reference}",')
        if file.repo_size != file.size:
            add(f'"repo-size":{file.repo_size},')
        add(f'"size":{file.size},')
        if file.original_size is not None and file.original_size != file.size:
            add(f'"szo":{file.original_size},')
        add(f'"timestamp":{file.timestamp}')
        if file.user != user:
            add(f',"user":{dump(_owner_value(file.user))}')
        return file.name, f"{{{''.join(parts)}}}"
