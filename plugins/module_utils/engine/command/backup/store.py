# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a backup stores its files: as the options say, or as the backup does that it builds on."""

from __future__ import annotations

from ... import log
from ...config.options import Options, RepoOptions
from ...repository import label, layout
from ...repository.block_size import Rules
from ...repository.contents import PG_CONTROL
from ...storage.base import parent
from ...transform.compression import Framing, compress_type
from ...transform.pipeline import Encoding
from ..cipher import new_sub_key
from .begin import Chosen
from .plan import Layout, bundle_rule


def store_of(options: Options, repo: RepoOptions, chosen: Chosen, *, checksum_page: bool) -> Layout:
    """The layout of a backup; warns of every option that cannot be what it says, since the backup
    builds on one that was made otherwise.
    """
    prior = chosen.prior
    if prior is None:
        level = options.compress_level
        if level is None:
            level = compress_type(options.compress_type).level
        key = chosen.resumed.cipher_pass if chosen.resumed is not None else new_sub_key(repo)
        encoding = Encoding(options.compress_type, level, key)
        framing = Framing.RAW if repo.block else Framing.WHOLE
    else:
        encoding, framing = prior.encoding, prior.bundle_framing
        before = prior.backup.label
        if encoding.compress_type != options.compress_type:
            _warn_of_fixed("compress-type", options.compress_type, before)
        elif options.compress_level not in (None, encoding.compress_level):
            _warn_of_fixed("compress-level", options.compress_level, before)
        if options.checksum_page not in (None, checksum_page):
            _warn_of_fixed("checksum-page", "ny"[bool(options.checksum_page)], before)
    return Layout(
        options.require_stanza(),
        chosen.label,
        encoding,
        bundle_rule(repo),
        framing,
        (*prior.backup.references, chosen.label) if prior is not None else (chosen.label,),
        blocks=Rules.of(repo) if repo.block else None,
        started=chosen.begin,
    )


def directories(store: Layout, backup_type: str) -> list[str]:
    """What the backup will need of directories: to find out that each is missing, when the first
    file is put there, would take round trips of its own.
    """
    control = layout.data_path(store.stanza, store.label, PG_CONTROL, "")
    paths = [parent(control)]
    if store.bundle is not None and backup_type == label.FULL:
        paths.append(parent(layout.bundle_path(store.stanza, store.label, 1)))
    return paths


def _warn_of_fixed(option: str, wanted: object, label_of_prior: str) -> None:
    log.warn(
        "diff/incr backup cannot alter %s option to '%s', reset to value in %s",
        option,
        wanted,
        label_of_prior,
    )
