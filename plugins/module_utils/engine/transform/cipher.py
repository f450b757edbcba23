# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AES-256-CBC as the repository format uses it (repository reference, section 4).

The stream is that of ``openssl enc -aes-256-cbc -md sha1``: magic, salt, ciphertext with PKCS#7
padding; the raw framing leaves the magic out. There is no authentication: a wrong pass shows up as
bad padding, or as garbage that the next layer refuses.
"""

from __future__ import annotations

import base64
import hashlib
import os
import typing as t

from .. import dependency
from ..errors import CryptoError
from .compression import Buffer, Framing

_MAGIC = b"Salted__"
_SALT_SIZE = 8
_BLOCK = 16
_KEY_SIZE = 32


def key_and_iv(passphrase: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """OpenSSL's EVP_BytesToKey with SHA-1 and one iteration: 32 bytes of key, 16 of IV."""
    digest = derived = b""
    while len(derived) < _KEY_SIZE + _BLOCK:
        # Not a choice of ours: the format fixes SHA-1 here.
        digest = hashlib.sha1(digest + passphrase + salt).digest()
        derived += digest
    return derived[:_KEY_SIZE], derived[_KEY_SIZE : _KEY_SIZE + _BLOCK]


def new_sub_key() -> str:
    """A pass for one level further down: 48 random bytes in base64, used as text."""
    return base64.b64encode(os.urandom(48)).decode("ascii")


class Encryptor:
    """A stream of plaintext to ciphertext, with a salt of its own."""

    def __init__(
        self, passphrase: bytes, *, framing: Framing = Framing.WHOLE, salt: bytes | None = None
    ) -> None:
        salt = os.urandom(_SALT_SIZE) if salt is None else salt
        self._stream = _cipher(passphrase, salt).encryptor()
        self._head = (_MAGIC if framing is Framing.WHOLE else b"") + salt
        self._size = 0

    def update(self, data: Buffer) -> bytes:
        """Encrypt; whole blocks come back, the rest is kept."""
        self._size += len(data)
        head, self._head = self._head, b""
        output = self._stream.update(data)
        return head + output if head else t.cast(bytes, output)

    def finish(self) -> bytes:
        """The last block with its padding; call once."""
        count = _BLOCK - self._size % _BLOCK
        output = self._stream.update(bytes((count,)) * count) + self._stream.finalize()
        return self._head + t.cast(bytes, output)


class Decryptor:
    """A stream of ciphertext to plaintext."""

    def __init__(self, passphrase: bytes, *, framing: Framing = Framing.WHOLE) -> None:
        self._passphrase = passphrase
        self._magic = _MAGIC if framing is Framing.WHOLE else b""
        self._stream: t.Any = None
        self._pending = b""

    def update(self, data: Buffer) -> bytes:
        """Decrypt; the last block is kept, since only ``finish`` can tell that it is padding."""
        view = memoryview(self._pending + data if self._pending else data)
        if self._stream is None:
            head = bytes(view[: len(self._magic) + _SALT_SIZE])
            if not head.startswith(self._magic[: len(head)]):
                raise CryptoError("cipher header invalid")
            if len(head) < len(self._magic) + _SALT_SIZE:
                self._pending = head
                return b""
            salt = head[len(self._magic) :]
            self._stream = _cipher(self._passphrase, salt).decryptor()
            view = view[len(head) :]
        ready = max(len(view) - 1, 0) // _BLOCK * _BLOCK
        self._pending = bytes(view[ready:])
        return t.cast(bytes, self._stream.update(view[:ready]))

    def finish(self) -> bytes:
        """The last block without its padding; CryptoError for a wrong pass or a cut stream."""
        if self._stream is None:
            raise CryptoError("cipher header missing")
        if len(self._pending) != _BLOCK:
            raise CryptoError("encrypted stream ends inside a block")
        block = self._stream.update(self._pending) + self._stream.finalize()
        count = block[-1]
        if not 1 <= count <= _BLOCK or block[-count:] != block[-1:] * count:
            raise CryptoError(
                "unable to decrypt the end of the stream",
                hint="is the cipher pass right, and the file complete?",
            )
        return t.cast(bytes, block[:-count])


def _cipher(passphrase: bytes, salt: bytes) -> t.Any:
    library = dependency.ciphers()
    key, vector = key_and_iv(passphrase, salt)
    return library.cipher(library.algorithms.AES(key), library.modes.CBC(vector))
