# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the archive has a file of WAL whose name carries no checksum: a history or a label.

They are small and never compressed (repository reference, section 6.2), so the stored one is read.
After two standbys were promoted to the same timeline there are two histories of one name: the
second must not take the place of the first, or the WAL of the first would seem to begin elsewhere.
"""

from __future__ import annotations

import typing as t

from ..errors import ArchiveDuplicateError, CryptoError, FileReadError, StorageMissingError
from ..repository import layout
from ..transform.pipeline import Encoding, decode

if t.TYPE_CHECKING:
    from ..config.options import RepoOptions
    from ..repository.archive_info import ArchiveInfo
    from ..storage.base import Reader, Storage

# Bytes by which a file may be longer when it is encrypted: magic, salt and padding.
_MORE = 32


class Asked(t.NamedTuple):
    """The stored file, on its way to be compared with the one at ``source``."""

    reader: Reader
    path: str
    source: str
    cipher_pass: str | None

    def is_stored(self, repo: RepoOptions) -> bool:
        """Whether the archive has the file. One that is empty, as a crash of the server may leave
        it, holds nothing that could be lost, and does not count.

        Raises ArchiveDuplicateError when it has one of that name with other content, damaged ones
        included, and FileReadError when the source cannot be read.
        """
        try:
            with open(self.source, "rb") as file:
                wanted = file.read()
        except OSError as cause:
            raise FileReadError(
                f"unable to read '{self.source}': {cause.strerror}",
                hint="may the user who runs this read it?",
            ) from cause
        stored = self._stored(len(wanted) + _MORE)
        if not stored:
            return False
        name = self.path.rpartition("/")[2]
        try:
            found = decode(stored, Encoding(cipher_pass=self.cipher_pass))
        except CryptoError as cause:
            raise ArchiveDuplicateError(
                f"WAL file '{name}' already exists in the repo{repo.key} archive and is damaged: "
                f"{cause.message}",
                hint=f"if no other primary archives to this stanza, remove '{self.path}' from the"
                " repository: it is pushed again then.",
            ) from cause
        if found != wanted:
            raise ArchiveDuplicateError(
                f"WAL file '{name}' already exists in the repo{repo.key} archive with different"
                " content",
                hint="are multiple primaries archiving to this stanza?"
                f" 'pgsftp --repo={repo.key} repo-get {self.path}' shows the stored one. If the"
                " server that archived it is gone for good, and nobody recovers along its timeline,"
                f" remove '{self.path}' from the repository: this one is pushed then. Take a full"
                " backup after that.",
            )
        return True

    def _stored(self, most: int) -> bytes:
        """What is stored, hardly more than ``most`` bytes of it; nothing when it is not there."""
        data = b""
        try:
            with self.reader:
                for piece in self.reader:
                    data += piece
                    if len(data) > most:
                        break
        except StorageMissingError:
            return b""
        return data


def ask(storage: Storage, stanza: str, archive: ArchiveInfo, source: str, name: str) -> Asked:
    """Ask for the stored file ``name``, to be compared with ``source``; does not wait for it."""
    path = layout.wal_file_path(stanza, archive.current.archive_id, name)
    return Asked(storage.reader(path), path, source, archive.cipher_pass)
