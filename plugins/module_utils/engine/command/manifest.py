# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""manifest: what a backup holds, and for one file what a restore of it reads."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ..config.options import Options
from ..errors import BackupSetInvalidError, OptionInvalidValueError
from ..repository import backup_info, blockmap, manifest
from ..repository.blockmap import Chain, SuperBlock
from ..repository.contents import Manifest, ManifestFile
from ..repository.report_text import size_text
from ..repository.stored import stored
from ..storage.base import Storage
from ..storage.open import open_storage
from .cipher import cipher_pass


class BlockDelta(t.NamedTuple):
    """What a restore of one file reads out of one backup; sizes in bytes."""

    reference: int
    path: str
    """Without the stanza's directory."""
    reads: int
    read_size: int
    super_blocks: int
    super_block_size: int
    blocks: int


@dataclass(frozen=True)
class ManifestResult:
    """A backup's content, as pgBackRest's JSON has it, and as text."""

    content: t.Mapping[str, object]
    text: str
    """In the form that the option ``output`` asks for."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return dict(self.content)


def run(options: Options) -> ManifestResult:
    """Show a backup: the newest unless ``set`` names another.

    ``filter`` is the name of one file, of which everything is told; ``reference`` limits the list
    to what that backup holds. Raises BackupSetInvalidError and OptionInvalidValueError.
    """
    stanza = options.require_stanza()
    repo = options.repo()
    with open_storage(repo, io_timeout=options.io_timeout) as storage:
        info = backup_info.load(storage, stanza, cipher_pass(repo))
        label = options.set
        if label in (None, "latest"):
            label = max(info.backups, default=None)
        if label is None or label not in info.backups:
            raise BackupSetInvalidError(
                "no backup set found" if label is None else f"backup set {label} is not valid",
                hint="the info command lists the backups that there are.",
            )
        contents = manifest.load(storage, stanza, label, info.cipher_pass)
        files = _selected(contents, options)
        deltas: dict[str, list[BlockDelta]] = {}
        if options.filter is not None:
            for file in files:
                if file.block is not None:
                    deltas[file.name] = _delta(storage, stanza, contents, file)
    content = report(contents, files, deltas)
    if options.output == "json":
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    else:
        text = render(contents, files, deltas)
    return ManifestResult(content, text)


def _selected(contents: Manifest, options: Options) -> list[ManifestFile]:
    files = sorted(contents.files)
    if options.filter is not None:
        files = [file for file in files if file.name == options.filter]
        if not files:
            raise OptionInvalidValueError(
                f"no file '{options.filter}' in backup {contents.backup.label}",
                hint="filter is a name as the list shows it, such as pg_data/global/pg_control.",
            )
    if options.reference is not None:
        label = contents.backup.label
        wanted = label if options.reference == "latest" else options.reference
        files = [file for file in files if (file.reference or label) == wanted]
    return files


def _delta(
    storage: Storage, stanza: str, contents: Manifest, file: ManifestFile
) -> list[BlockDelta]:
    chain = Chain.of(stanza, contents)
    place = stored(stanza, contents, file)
    if file.block is None or place is None:
        return []
    size = file.block.map_size
    offset = place.offset + place.size - size
    with storage.reader(place.path, offset=offset, size=size) as reader:
        stored_map = reader.read_all()
        entries = blockmap.load_map(chain, file.name, file.block, stored_map, file.size)
    deltas = []
    for reference in sorted({entry.super_block.reference for entry in entries}):
        own = [entry for entry in entries if entry.super_block.reference == reference]
        units = sorted({entry.super_block for entry in own}, key=lambda unit: unit.offset)
        path = blockmap.super_block_path(chain, file.name, units[0])
        deltas.append(
            BlockDelta(
                reference,
                path.split("/", 2)[2],
                _reads(units),
                sum(unit.stored_size for unit in units),
                len(units),
                sum(unit.size for unit in units),
                len(own),
            )
        )
    return deltas


def _reads(units: t.Sequence[SuperBlock]) -> int:
    """How many ranges they are."""
    ends = [unit.offset + unit.stored_size for unit in units]
    return 1 + sum(1 for end, unit in zip(ends, units[1:]) if unit.offset != end)


def report(
    contents: Manifest,
    files: t.Iterable[ManifestFile],
    deltas: t.Mapping[str, t.Sequence[BlockDelta]],
) -> dict[str, object]:
    """pgBackRest's JSON (pure)."""
    facts = contents.backup
    return {
        "label": facts.label,
        "reference": list(facts.references),
        "type": facts.backup_type,
        "time": {
            "start": facts.timestamp_start,
            "copy": facts.timestamp_copy_start,
            "stop": facts.timestamp_stop,
        },
        "bundle": {"bundle": facts.bundle, "raw": facts.bundle_raw},
        "block": {"block": facts.block_incr},
        "fileList": [_file(file, deltas.get(file.name, ())) for file in files],
    }


def _file(file: ManifestFile, deltas: t.Sequence[BlockDelta]) -> dict[str, object]:
    row: dict[str, object] = {"name": file.name}
    if file.reference is not None:
        row["reference"] = file.reference
    row.update(size=file.size, checksum=file.checksum, repo={"size": file.repo_size})
    if file.bundle_id:
        row["bundle"] = {"id": file.bundle_id, "offset": file.bundle_offset}
    if file.block is not None:
        block_map: dict[str, object] = {"size": file.block.map_size}
        if deltas:
            block_map["delta"] = [
                {
                    "reference": delta.reference,
                    "read": {"total": delta.reads, "size": delta.read_size},
                    "superBlock": {"total": delta.super_blocks, "size": delta.super_block_size},
                    "block": {"total": delta.blocks},
                }
                for delta in deltas
            ]
        row["block"] = {
            "size": file.block.size,
            "map": block_map,
            "checksum": {"size": file.block.checksum_size},
        }
    return row


def render(
    contents: Manifest,
    files: t.Iterable[ManifestFile],
    deltas: t.Mapping[str, t.Sequence[BlockDelta]],
) -> str:
    """pgBackRest's text (pure); times are those of the host."""
    facts = contents.backup
    lines = [
        f"label: {facts.label}",
        f"reference: {', '.join(facts.references)}",
        f"type: {facts.backup_type}",
        f"time: start: {_time(facts.timestamp_start)}, stop: {_time(facts.timestamp_stop)}, "
        f"duration: {_duration(facts.timestamp_stop - facts.timestamp_start)}",
        f"bundle: {_flag(facts.bundle)}",
        f"block: {_flag(facts.block_incr)}",
        "",
        "file list:",
    ]
    texts = ["\n".join(_lines(file, deltas.get(file.name, ()))) for file in files]
    return "\n".join(lines) + "\n" + "\n\n".join(texts) + "\n"


def _lines(file: ManifestFile, deltas: t.Sequence[BlockDelta]) -> t.Iterator[str]:
    yield f"  - {file.name}"
    if file.reference is not None:
        yield f"      reference: {file.reference}"
    yield f"      size: {size_text(file.size)}, repo {size_text(file.repo_size)}"
    yield f"      checksum: {file.checksum}"
    if file.bundle_id:
        yield f"      bundle: {file.bundle_id}"
    if file.block is None:
        return
    yield (
        f"      block: size {size_text(file.block.size)}, "
        f"map size {size_text(file.block.map_size)}, "
        f"checksum size {size_text(file.block.checksum_size)}"
    )
    if not deltas:
        return
    yield "      block delta:"
    for delta in deltas:
        yield f"        reference: {delta.path}, {_totals([delta], file.block.size)}"
    yield f"        total {_totals(deltas, file.block.size)}"


def _totals(deltas: t.Sequence[BlockDelta], block_size: int) -> str:
    blocks = sum(delta.blocks for delta in deltas)
    parts = (
        ("read", sum(row.reads for row in deltas), sum(row.read_size for row in deltas)),
        (
            "superBlock",
            sum(row.super_blocks for row in deltas),
            sum(row.super_block_size for row in deltas),
        ),
        ("block", blocks, blocks * block_size),
    )
    return ", ".join(f"{name}: {number}/{size_text(size)}" for name, number, size in parts)


def _time(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp).strftime("%Y-%m-%d %H:%M:%S")


def _duration(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _flag(value: bool) -> str:
    return "true" if value else "false"
