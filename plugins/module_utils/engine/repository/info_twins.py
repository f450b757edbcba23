# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How ``archive.info`` and ``backup.info`` are kept: as twins, encrypted with the user's pass."""

from __future__ import annotations

import typing as t

from ..transform.pipeline import Decoder, Encoding, encode
from . import infofile
from .twins import Loading, save_twins

if t.TYPE_CHECKING:
    from ..storage.base import Completion, Storage

InfoT = t.TypeVar("InfoT")


class InfoFile(t.Generic[InfoT]):
    """One of the two; ``path`` gives its place by stanza, ``hint`` is for one that is not there."""

    def __init__(
        self,
        path: t.Callable[[str], str],
        parse: t.Callable[[str], InfoT],
        render: t.Callable[[InfoT], str],
        *,
        hint: str,
    ) -> None:
        self._path = path
        self._parse = parse
        self._render = render
        self._hint = hint

    def load(self, storage: Storage, stanza: str, cipher_pass: str | None) -> InfoT:
        """Read it from a repository; ``cipher_pass`` is the user's."""
        return self.begin(storage, stanza, cipher_pass).result()

    def begin(self, storage: Storage, stanza: str, cipher_pass: str | None) -> Loading[InfoT]:
        """``load``, as far as it goes without waiting."""
        encoding = Encoding(cipher_pass=cipher_pass)

        def decode(chunks: t.Iterable[bytes]) -> InfoT:
            return self._parse("".join(infofile.text_pieces(Decoder(encoding).stream(chunks))))

        return Loading(storage, self._path(stanza), decode, hint=self._hint)

    def save(self, storage: Storage, stanza: str, info: InfoT, cipher_pass: str | None) -> None:
        """Write it and its copy; ``cipher_pass`` is the user's."""
        storage.wait(self.begin_save(storage, stanza, info, cipher_pass))

    def begin_save(
        self,
        storage: Storage,
        stanza: str,
        info: InfoT,
        cipher_pass: str | None,
        *,
        after: t.Sequence[Completion] = (),
    ) -> list[Completion]:
        """``save`` without waiting; nothing gets its name before ``after`` is complete."""
        data = encode(infofile.to_bytes(self._render(info)), Encoding(cipher_pass=cipher_pass))
        return save_twins(storage, self._path(stanza), data, after=after)
