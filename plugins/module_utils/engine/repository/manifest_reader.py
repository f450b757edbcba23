# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a manifest to its values (repository reference, section 8)."""

from __future__ import annotations

import sys
import typing as t

from ..errors import JsonFormatError
from . import infofile
from .contents import (
    BLOCK_CHECKSUM_SIZE,
    BLOCK_UNIT,
    EMPTY_SHA1,
    BackupFacts,
    Block,
    Database,
    Defaults,
    Manifest,
    ManifestDb,
    ManifestFile,
    ManifestLink,
    ManifestOptions,
    ManifestPath,
    Owner,
    PageErrors,
    Target,
)
from .fields import Fields

if t.TYPE_CHECKING:
    from collections.abc import Iterable

# How many different numbers are remembered, lest that takes more than it saves.
_SHARED = 1 << 14

# Stands in an entry for what a default section says: those come after the entries.
_DEFAULT: t.Any = object()


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
    make_file = _FileParser().parse
    for section, key, value in infofile.lines(pieces):
        if section == "target:file":
            files.append(make_file(key, value))
        elif section == "target:path":
            user, group, mode = _owner(key, value)
            paths.append(ManifestPath(key, mode, user, group))
        elif section == "target:link":
            user, group, mode = _owner(key, value)
            destination = Fields(key, value).text("destination")
            links.append(ManifestLink(key, destination, user, group))
        elif section == "backup:target":
            targets.append(_parse_target(key, value))
        elif section == "db":
            fields = Fields(key, value)
            oid, last = fields.integer("db-id"), fields.integer("db-last-system-id")
            databases.append(Database(key, oid, last))
        else:
            small.setdefault(section, {})[key] = value
    defaults = Defaults(
        _default(small, "target:file:default"),
        _default(small, "target:link:default"),
        _default(small, "target:path:default"),
    )
    _resolve(files, defaults.file)
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


_Entry = t.TypeVar("_Entry", ManifestFile, ManifestPath, ManifestLink)


def _resolve(entries: list[_Entry], default: Owner) -> None:
    """Put the defaults where entries do not say otherwise."""
    for index, entry in enumerate(entries):
        changes: dict[str, t.Any] = {}
        if entry.user is _DEFAULT:
            changes["user"] = default.user
        if entry.group is _DEFAULT:
            changes["group"] = default.group
        if not isinstance(entry, ManifestLink) and entry.mode is _DEFAULT:
            if default.mode is None:
                raise JsonFormatError(f"'{entry.name}': there is no mode and no default")
            changes["mode"] = default.mode
        if changes:
            entries[index] = entry._replace(**changes)


def _default(sections: dict[str, dict[str, t.Any]], name: str) -> Owner:
    owner = _owner(name, sections.get(name, {}))
    return Owner(*(None if value is _DEFAULT else value for value in owner))


def _owner(name: str, values: t.Any) -> tuple[t.Any, t.Any, t.Any]:
    if not isinstance(values, dict):
        raise JsonFormatError(f"'{name}': expected an object")
    user = group = mode = _DEFAULT
    if "user" in values:
        user = _name(name, values["user"])
    if "group" in values:
        group = _name(name, values["group"])
    if "mode" in values:
        mode = _mode(name, values["mode"])
    return user, group, mode


def _name(what: str, value: object) -> str | None:
    # false stands for an owner that had no name.
    if isinstance(value, str):
        return sys.intern(value)
    if value is False:
        return None
    raise JsonFormatError(f"'{what}': an owner is neither a string nor false")


def _mode(what: str, value: object) -> int:
    try:
        return int(t.cast(str, value), 8)
    except (TypeError, ValueError):
        raise JsonFormatError(f"'{what}': invalid mode '{value}'") from None


class _FileParser:
    """One line of ``[target:file]``, a million times: shared values, few calls."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}
        self._numbers: dict[int, int] = {}

    def parse(self, name: str, values: t.Any) -> ManifestFile:
        try:
            get = values.get
            size = values["size"]
            timestamp = values["timestamp"]
        except (KeyError, AttributeError, TypeError):
            raise JsonFormatError(
                f"file '{name}': required key 'size' or 'timestamp' not found"
            ) from None
        user, group, mode = _owner(name, values)
        reference = get("reference")
        if reference is not None:
            reference = self._labels.setdefault(reference, reference)
        page_errors: PageErrors = ()
        if "checksum-page-error" in values:
            page_errors = _page_errors(name, values["checksum-page-error"])
        block = None
        if "bi" in values:
            block = Block(values["bi"] * BLOCK_UNIT, get("bic", BLOCK_CHECKSUM_SIZE), get("bim", 0))
        if size.__class__ is not int or timestamp.__class__ is not int:
            raise JsonFormatError(f"file '{name}': invalid size or timestamp")
        size, timestamp = self._share(size), self._share(timestamp)
        return ManifestFile(
            name,
            size,
            get("repo-size", size),
            timestamp,
            mode,
            user,
            group,
            get("checksum") if size else EMPTY_SHA1,
            get("rck"),
            reference,
            get("bni", 0),
            get("bno", 0),
            get("checksum-page"),
            page_errors,
            block,
            get("szo"),
        )

    def _share(self, number: int) -> int:
        """The same object for equal numbers: most files have one of a few sizes and times."""
        if len(self._numbers) < _SHARED:
            return self._numbers.setdefault(number, number)
        return self._numbers.get(number, number)


def _page_errors(name: str, value: object) -> PageErrors:
    errors: list[int | tuple[int, int]] = []
    for item in value if isinstance(value, list) else [None]:
        if isinstance(item, int):
            errors.append(item)
        elif isinstance(item, list) and len(item) == 2:
            errors.append((item[0], item[1]))
        else:
            raise JsonFormatError(f"file '{name}': invalid checksum-page-error")
    return tuple(errors)


def _parse_target(name: str, value: object) -> Target:
    row = Fields(f"target '{name}'", value)
    tablespace_id = row.optional_text("tablespace-id")
    if tablespace_id is not None and not tablespace_id.isdigit():
        raise JsonFormatError(f"target '{name}': invalid tablespace-id '{tablespace_id}'")
    return Target(
        name,
        row.text("type"),
        row.text("path"),
        row.optional_text("file"),
        None if tablespace_id is None else int(tablespace_id),
        row.optional_text("tablespace-name"),
    )


def _parse_backup(row: Fields, files: Iterable[ManifestFile]) -> BackupFacts:
    label = row.text("backup-label")
    references = row.optional_text("backup-reference")
    if references is None:
        # Writers before 2.42 left it out.
        held = {file.reference for file in files if file.reference is not None}
        chain = (*sorted(held - {label}), label)
    else:
        chain = tuple(references.split(","))
    return BackupFacts(
        label=label,
        backup_type=row.text("backup-type"),
        timestamp_start=row.integer("backup-timestamp-start"),
        timestamp_copy_start=row.integer("backup-timestamp-copy-start"),
        timestamp_stop=row.integer("backup-timestamp-stop"),
        references=chain,
        prior=row.optional_text("backup-prior"),
        archive_start=row.optional_text("backup-archive-start"),
        archive_stop=row.optional_text("backup-archive-stop"),
        lsn_start=row.optional_text("backup-lsn-start"),
        lsn_stop=row.optional_text("backup-lsn-stop"),
        bundle=row.optional_flag("backup-bundle") or False,
        bundle_raw=row.optional_flag("backup-bundle-raw") or False,
        block_incr=row.optional_flag("backup-block-incr") or False,
    )


def _parse_db(row: Fields) -> ManifestDb:
    return ManifestDb(
        row.integer("db-id"),
        row.integer("db-system-id"),
        row.text("db-version"),
        row.integer("db-catalog-version"),
        row.integer("db-control-version"),
    )


def _parse_options(row: Fields) -> ManifestOptions:
    # Writers before the key existed knew only gz.
    compress_type = row.optional_text("option-compress-type")
    if compress_type is None:
        compress_type = "gz" if row.flag("option-compress") else "none"
    return ManifestOptions(
        archive_check=row.flag("option-archive-check"),
        archive_copy=row.flag("option-archive-copy"),
        backup_standby=row.optional_flag("option-backup-standby"),
        buffer_size=row.optional_integer("option-buffer-size"),
        checksum_page=row.optional_flag("option-checksum-page"),
        compress_level=row.optional_integer("option-compress-level"),
        compress_level_network=row.optional_integer("option-compress-level-network"),
        compress_type=compress_type,
        delta=row.optional_flag("option-delta"),
        hardlink=row.flag("option-hardlink"),
        online=row.flag("option-online"),
        process_max=row.optional_integer("option-process-max"),
    )
