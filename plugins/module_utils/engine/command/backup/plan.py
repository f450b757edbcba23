# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup has to copy, and what the prior backup already holds (pure)."""

from __future__ import annotations

import collections
import typing as t
from dataclasses import dataclass

from ...config.options import RepoOptions
from ...postgres.entries import DataDirectory, FileEntry, primary_only
from ...repository import bundle
from ...repository.block_size import Rules
from ...repository.bundle import BundleRule, Kind
from ...repository.contents import (
    PG_CONTROL,
    Manifest,
    ManifestFile,
    ManifestLink,
    ManifestPath,
    Target,
)
from ...transform.compression import Framing, compress_type
from ...transform.page_checksum import first_block
from ...transform.pipeline import Encoding
from . import ahead
from .blocks import block_rule
from .copy import CHUNK, CopyJob, PageRule, SourceFile


class Item(t.NamedTuple):
    """A file for the bundle planner."""

    name: str
    size: int
    timestamp: int
    source: SourceFile


@dataclass(frozen=True)
class Layout:
    """How this backup stores its files."""

    stanza: str
    label: str
    encoding: Encoding
    bundle: BundleRule | None
    bundle_framing: Framing
    references: tuple[str, ...] = ()
    """Labels of the chain, this backup last."""
    blocks: Rules | None = None
    """How larger files are stored block by block; None stores all of them whole."""
    started: int = 0
    """When the backup began; the age of files, which decides of their blocks, counts from here."""


class Pages(t.NamedTuple):
    """How the pages of relations lie in their files."""

    size: int  # bytes
    in_segment: int


@dataclass(frozen=True)
class CopyPlan:
    """The jobs, by the key of the cluster that they read from; what needs none is referenced."""

    jobs: t.Mapping[int, collections.deque[CopyJob]]
    """What is left to do; whoever takes a job has it alone, since many files take much memory."""
    referenced: t.Mapping[str, ManifestFile]
    candidates: t.Mapping[str, ManifestFile]
    """What files become that prove unchanged while they are read."""
    size: int
    """Bytes that the jobs read."""
    prior: str | None = None
    """The backup of whose manifest these lines are; None: of an earlier run of this same one."""


class Kept(t.NamedTuple):
    """What an earlier run stored of this same backup."""

    files: t.Mapping[str, ManifestFile]
    candidates: t.Mapping[str, ManifestFile]
    """Kept if the file, which has to be read to know it, still has their checksum."""
    first_bundle_id: int


NOTHING_KEPT = Kept({}, {}, 1)


def bundle_rule(repo: RepoOptions) -> BundleRule | None:
    """The rule of the repository's options."""
    return BundleRule(repo.bundle_size, repo.bundle_limit) if repo.bundle else None


def compare(
    data: DataDirectory, prior: Manifest | None, *, delta: bool
) -> tuple[dict[str, ManifestFile], dict[str, ManifestFile]]:
    """Which files the prior backup already holds (repository reference, section 11).

    Gives its lines of those that are references, and of those that become one if the file, which
    has to be read to know it, still has their checksum. With ``delta`` time stamps are not trusted.
    """
    referenced: dict[str, ManifestFile] = {}
    candidates: dict[str, ManifestFile] = {}
    if prior is None:
        return referenced, candidates
    before = {file.name: file for file in prior.files}
    for number, entry in enumerate(data.files):
        old = before.get(entry.name)
        if old is None or entry.name == PG_CONTROL or old.size != entry.size:
            continue
        if entry.size == 0:
            # A bundled backup does not store empty files, so there is nothing to refer to.
            if not prior.backup.bundle:
                referenced[entry.name] = old
        elif not delta and old.timestamp == entry.mtime and not ahead.is_doubtful(old, prior):
            referenced[old.name] = old
            # The same again, but the two lists share what they have in common.
            data.files[number] = entry._replace(name=old.name, size=old.size, mtime=old.timestamp)
        elif old.checksum is not None and (
            delta or entry.size <= CHUNK or old.block is not None or _likely_same(entry, old)
        ):
            candidates[entry.name] = old
    return referenced, candidates


def _likely_same(entry: FileEntry, old: ManifestFile) -> bool:
    """Whether a file is looked at only because of what its copy may lack: a time was recorded for
    it that it does not have. To read a large one twice is then worth it.
    """
    return entry.mtime - 1 <= old.timestamp <= entry.mtime


def reference(entry: FileEntry, old: ManifestFile, prior: str) -> ManifestFile:
    """The prior backup's entry with today's time and owner; it names the holder of the bytes."""
    return old._replace(
        timestamp=entry.mtime,
        mode=entry.mode,
        user=entry.user,
        group=entry.group,
        reference=old.reference or prior,
    )


def plan(
    data: DataDirectory,
    store: Layout,
    *,
    primary: int,
    standby: int | None,
    pages: Pages | None,
    prior: Manifest | None,
    delta: bool,
    kept: Kept = NOTHING_KEPT,
    replayed_from: int | None = None,
    fresh: t.Container[int] = (),
    processes: int = 1,
) -> CopyPlan:
    """Divide what has to be read into jobs.

    ``primary`` and ``standby`` are the keys of the clusters; ``pages`` None leaves them
    unchecked, and ``replayed_from`` is where the WAL of the backup begins. pg_control is not among
    the jobs: it is copied when all else is. Bundles are such that all ``processes`` have work, of
    which one alone reads from a primary beside a standby. Files whose time is one of ``fresh`` have
    jobs of their own, behind the others.
    """
    referenced, candidates = compare(data, prior, delta=delta)
    referenced.update(kept.files)
    candidates.update(kept.candidates)
    blocks = prior is not None and store.blocks is not None
    before = {file.name: file for file in prior.files} if prior is not None and blocks else {}
    items: dict[tuple[int, bool], list[Item]] = {}
    rules: dict[int, PageRule] = {}
    for entry in data.files:
        if entry.name in referenced or entry.name == PG_CONTROL:
            continue
        check = None
        if entry.page_check and pages is not None:
            first = first_block(entry.name, pages.in_segment)
            check = rules.setdefault(first, PageRule(pages.size, first, replayed_from))
            if entry.name in candidates and candidates[entry.name].page_valid is None:
                # Its pages were not found good: to have the same bytes is not enough.
                del candidates[entry.name]
        source = SourceFile(
            entry.name,
            entry.path,
            entry.size,
            entry.size if entry.fixed_size else None,
            check,
            candidates[entry.name].checksum if entry.name in candidates else None,
            block_rule(
                store.stanza, entry, store.started, prior, before.get(entry.name), store.blocks
            )
            if store.blocks is not None
            else None,
        )
        from_primary = standby is None or primary_only(entry.name)
        node = primary if from_primary or standby is None else standby
        group = (node, entry.mtime in fresh)
        items.setdefault(group, []).append(Item(entry.name, entry.size, entry.mtime, source))
    jobs: dict[int, collections.deque[CopyJob]] = {}
    next_bundle = kept.first_bundle_id
    for (node, late), files in sorted(items.items()):
        sharing = 1 if standby is not None and node == primary else processes
        rule = None if store.bundle is None else bundle.shared(files, store.bundle, sharing)
        planned = bundle.plan(files, rule, first_bundle_id=next_bundle)
        next_bundle += sum(1 for job in planned if job.kind is Kind.BUNDLE)
        jobs.setdefault(node, collections.deque()).extend(
            _copy_job(job, node, store, fresh=late) for job in planned
        )
    size = sum(job.size for group in jobs.values() for job in group)
    label = prior.backup.label if prior is not None else None
    return CopyPlan(jobs, referenced, candidates, size, label)


def _copy_job(job: bundle.Job[Item], node: int, store: Layout, *, fresh: bool) -> CopyJob:
    bundled = job.kind is Kind.BUNDLE
    return CopyJob(
        node,
        store.stanza,
        store.label,
        compress_type(store.encoding.compress_type).extension,
        store.encoding,
        store.bundle_framing if bundled else Framing.WHOLE,
        job.bundle_id,
        store.bundle is None,
        tuple(item.source for item in job.files),
        store.references,
        fresh,
    )


def manifest_paths(data: DataDirectory) -> list[ManifestPath]:
    """The directories for the manifest."""
    return [ManifestPath(path.name, path.mode, path.user, path.group) for path in data.paths]


def manifest_links(data: DataDirectory) -> list[ManifestLink]:
    """The symlinks for the manifest."""
    return [ManifestLink(link.name, link.destination, link.user, link.group) for link in data.links]


def manifest_targets(data: DataDirectory) -> list[Target]:
    """The targets for the manifest."""
    return [
        Target(
            target.name,
            target.kind,
            target.path,
            target.file,
            target.tablespace_id,
            target.tablespace_name,
        )
        for target in data.targets
    ]
