# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a manifest to its values (repository reference, section 8)."""

from __future__ import annotations

import typing as t

from ..errors import FormatError, JsonFormatError
from ..transform.compression import TYPES
from . import infofile
from .contents import (
    LEVELS,
    BackupFacts,
    Database,
    Defaults,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestLink,
    ManifestOptions,
    ManifestPath,
    Owner,
    Target,
)
from .fields import Fields
from .manifest_entries import DEFAULT, FileParser, owner, target
from .manifest_names import Names

if t.TYPE_CHECKING:
    from collections.abc import Iterable


def parse(text: str) -> Manifest:
    """Read the plain text; raises FormatError, ChecksumError and JsonFormatError."""
    return parse_pieces((text,))


def parse_pieces(pieces: Iterable[str]) -> Manifest:
    """``parse`` of a text that comes in pieces."""
    files: list[ManifestFile] = []
    paths: list[ManifestPath] = []
    links: list[ManifestLink] = []
    targets: list[Target] = []
    databases: list[Database] = []
    small: dict[str, dict[str, t.Any]] = {}
    names = Names()
    check_file = names.file
    make_file = FileParser().parse
    for section, key, value in infofile.lines(pieces):
        if section == "target:file":
            check_file(key)
            files.append(make_file(key, value))
        elif section == "target:path":
            names.path(key)
            user, group, mode = owner(key, value)
            paths.append(ManifestPath(key, mode, user, group))
        elif section == "target:link":
            names.link(key)
            user, group, mode = owner(key, value)
            destination = Fields(key, value).text("destination")
            links.append(ManifestLink(key, destination, user, group))
        elif section == "backup:target":
            targets.append(target(key, value))
        elif section == "db":
            fields = Fields(key, value)
            oid, last = fields.natural("db-id"), fields.natural("db-last-system-id")
            databases.append(Database(key, oid, last))
        else:
            small.setdefault(section, {})[key] = value
    names.targets(targets)
    defaults = Defaults(
        _default(small, "target:file:default"),
        _default(small, "target:link:default"),
        _default(small, "target:path:default"),
    )
    _resolve_files(files, defaults.file)
    _resolve(paths, defaults.path)
    _resolve(links, defaults.link)
    backup = _parse_backup(Fields("backup", small.get("backup", {})), files)
    return Manifest(
        backup=backup,
        db=_parse_db(Fields("backup:db", small.get("backup:db", {}))),
        options=_parse_options(Fields("backup:option", small.get("backup:option", {}))),
        targets=targets,
        files=files,
        paths=paths,
        links=links,
        databases=databases,
        annotation=Fields("metadata", small.get("metadata", {})).text_map("annotation"),
        cipher_pass=Fields("cipher", small.get("cipher", {})).optional_text("cipher-pass"),
        defaults=defaults,
        writer_version=Fields("backrest", small.get("backrest", {})).text("backrest-version"),
    )


_Entry = t.TypeVar("_Entry", ManifestPath, ManifestLink)


def _resolve(entries: list[_Entry], default: Owner) -> None:
    """Put the defaults where entries do not say otherwise."""
    for index, entry in enumerate(entries):
        changes: dict[str, t.Any] = {}
        if entry.user is DEFAULT:
            changes["user"] = default.user
        if entry.group is DEFAULT:
            changes["group"] = default.group
        if not isinstance(entry, ManifestLink) and entry.mode is DEFAULT:
            changes["mode"] = _mode_of(entry.name, default)
        if changes:
            entries[index] = entry._replace(**changes)


def _resolve_files(files: list[ManifestFile], default: Owner) -> None:
    """The same for files, a million times: most say nothing of their own."""
    for index, file in enumerate(files):
        mode, user, group = file[4:7]
        if mode is DEFAULT:
            mode = _mode_of(file.name, default)
        if user is DEFAULT:
            user = default.user
        if group is DEFAULT:
            group = default.group
        files[index] = ManifestFile._make((*file[:4], mode, user, group, *file[7:]))


def _mode_of(name: str, default: Owner) -> int:
    if default.mode is None:
        raise JsonFormatError(f"'{name}': there is no mode and no default")
    return default.mode


def _default(sections: dict[str, dict[str, t.Any]], name: str) -> Owner:
    values = owner(name, sections.get(name, {}))
    return Owner(*(None if value is DEFAULT else value for value in values))


def _parse_backup(row: Fields, files: Iterable[ManifestFile]) -> BackupFacts:
    label = row.label("backup-label")
    chain = row.joined_labels("backup-reference")
    if chain is None:
        # Writers before 2.42 left it out.
        held = {file.reference for file in files if file.reference is not None}
        chain = (*sorted(held - {label}), label)
    return BackupFacts(
        label=label,
        backup_type=row.text("backup-type"),
        timestamp_start=row.moment("backup-timestamp-start"),
        timestamp_copy_start=row.moment("backup-timestamp-copy-start"),
        timestamp_stop=row.moment("backup-timestamp-stop"),
        references=chain,
        prior=row.optional_label("backup-prior"),
        archive_start=row.optional_segment("backup-archive-start"),
        archive_stop=row.optional_segment("backup-archive-stop"),
        lsn_start=row.optional_position("backup-lsn-start"),
        lsn_stop=row.optional_position("backup-lsn-stop"),
        bundle=row.optional_flag("backup-bundle") or False,
        bundle_raw=row.optional_flag("backup-bundle-raw") or False,
        block_incr=row.optional_flag("backup-block-incr") or False,
    )


def _parse_db(row: Fields) -> ManifestDb:
    return ManifestDb(
        row.natural("db-id"),
        row.natural("db-system-id"),
        row.version("db-version"),
        row.natural("db-catalog-version"),
        row.natural("db-control-version"),
    )


def _level(row: Fields, key: str) -> int | None:
    """A level of compression; see LEVELS."""
    value = row.optional_integer(key)
    return value if value is None or value < LEVELS // 2 else value - LEVELS


def _parse_options(row: Fields) -> ManifestOptions:
    # Writers before the key existed knew only gz.
    compress_type = row.optional_text("option-compress-type")
    if compress_type is None:
        compress_type = "gz" if row.flag("option-compress") else "none"
    if compress_type not in TYPES:
        raise FormatError(f"manifest has the compression type {compress_type!r}, which is none")
    return ManifestOptions(
        archive_check=row.flag("option-archive-check"),
        archive_copy=row.flag("option-archive-copy"),
        backup_standby=row.optional_flag("option-backup-standby"),
        buffer_size=row.optional_integer("option-buffer-size"),
        checksum_page=row.optional_flag("option-checksum-page"),
        compress_level=_level(row, "option-compress-level"),
        compress_level_network=_level(row, "option-compress-level-network"),
        compress_type=compress_type,
        delta=row.optional_flag("option-delta"),
        hardlink=row.flag("option-hardlink"),
        online=row.flag("option-online"),
        process_max=row.optional_integer("option-process-max"),
    )
