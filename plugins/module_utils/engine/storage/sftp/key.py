# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key that authenticates us, read once: with a passphrase or with RSA that takes as
long as many round trips.

What is wrong with a key is told from its file, not from how a library stumbles over it: no file,
not readable, not a private key, a passphrase missing, a passphrase that does not fit.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import struct
import typing as t

from ... import dependency
from ...config.options import Secret
from ...errors import ServiceError

if t.TYPE_CHECKING:
    import paramiko

_FILE_HINT = "check repo-sftp-private-key-file in the configuration."
_PASSPHRASE_HINT = "check repo-sftp-private-key-passphrase in the configuration."

_ARMOR = re.compile(r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\s(.*?)-----END", re.DOTALL)
_OPENSSH_MAGIC = b"openssh-key-v1\0"

_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)


class KeyForm(t.NamedTuple):
    """What the text of a private key says without being deciphered; type '' for PKCS #8."""

    type: str
    encrypted: bool
    openssh: bool


def inspect(text: str) -> KeyForm | None:
    """The form of a private key in OpenSSH or PEM armor; None when it is neither."""
    armor = _ARMOR.search(text)
    if armor is None:
        return None
    label, body = armor.group(1).strip(), armor.group(2)
    if label == "OPENSSH":
        return _inspect_openssh(body)
    encrypted = label == "ENCRYPTED" or "ENCRYPTED" in body
    types = {"RSA": "ssh-rsa", "EC": "ecdsa-sha2-nistp256", "DSA": "ssh-dss"}
    return KeyForm(types.get(label, ""), encrypted, openssh=False)


def _inspect_openssh(body: str) -> KeyForm | None:
    # OpenSSH's file PROTOCOL.key: magic, cipher, kdf, kdf options, number of keys, public key, ...
    try:
        data = base64.b64decode("".join(body.split()))
        if not data.startswith(_OPENSSH_MAGIC):
            return None
        position = len(_OPENSSH_MAGIC)
        cipher, position = _string(data, position)
        _dummy, position = _string(data, position)
        _dummy, position = _string(data, position)
        public = _string(data, position + 4)[0]
        name = _string(public, 0)[0]
        return KeyForm(name.decode("ascii"), cipher != b"none", openssh=True)
    except (binascii.Error, struct.error, UnicodeDecodeError):
        return None


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from(">I", data, position)
    end = position + 4 + size
    if end > len(data):
        raise struct.error("string is cut short")
    return data[position + 4 : end], end


def load(path: str, passphrase: Secret | None) -> paramiko.PKey:
    """The private key in file ``path`` (``~/`` is the home of who runs this).

    Raises ServiceError that says what is wrong with the file or with the passphrase.
    """
    file, text, form = _usable(path, passphrase)
    secret = passphrase.reveal() if passphrase is not None and form.encrypted else None
    try:
        return _parse(text, form, secret)
    except Exception as cause:  # paramiko's, cryptography's and plain ValueErrors
        if form.encrypted:
            raise ServiceError(
                f"private key '{file}' cannot be decrypted with the configured passphrase",
                hint=_PASSPHRASE_HINT,
            ) from None
        raise ServiceError(f"private key '{file}' is damaged: {cause}", hint=_FILE_HINT) from cause


def check(path: str, passphrase: Secret | None) -> KeyForm:
    """Raise what ``load`` raises, as far as that shows without deciphering; needs no library."""
    return _usable(path, passphrase)[2]


def _usable(path: str, passphrase: Secret | None) -> tuple[str, str, KeyForm]:
    """The file, what is in it, and its form."""
    file = os.path.expanduser(path)
    text = _read(file)
    form = inspect(text)
    if form is None:
        what = "is a public key" if _is_public(text) else "is not a private key"
        raise ServiceError(f"'{file}' {what} in OpenSSH or PEM form", hint=_FILE_HINT)
    if form.encrypted and passphrase is None:
        raise ServiceError(
            f"private key '{file}' is protected by a passphrase, and none is configured",
            hint="set repo-sftp-private-key-passphrase in the configuration.",
        )
    if form.type and form.type not in _TYPES:
        raise ServiceError(
            f"private key '{file}' is of type {form.type}, which is not supported",
            hint="use an ed25519, ecdsa or rsa key.",
        )
    return file, text, form


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as stream:
            return stream.read(1024 * 1024)
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise ServiceError(
            f"unable to read private key '{file}': {reason}",
            hint="the key must be readable by the user who runs this, and by no one else.",
        ) from cause


def _is_public(text: str) -> bool:
    return (
        text.startswith(("ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC")) or "PUBLIC KEY" in text
    )


def _parse(text: str, form: KeyForm, secret: str | None) -> paramiko.PKey:
    """The key as paramiko wants it. Its own reader is not asked: it knows no PKCS #8, and stumbles
    over keys of OpenSSH that happen to need no padding.
    """
    library = dependency.paramiko()
    serialization = dependency.serialization()
    password = secret.encode() if secret is not None else None
    if form.openssh:
        key = serialization.load_ssh_private_key(text.encode("ascii"), password)
    else:
        key = serialization.load_pem_private_key(text.encode("ascii"), password)
    kind = type(key).__name__
    if "RSA" in kind:
        found = library.RSAKey(key=key)
    elif "Elliptic" in kind or "ECPrivate" in kind:
        found = library.ECDSAKey(vals=(key, key.public_key()))
    elif "Ed25519" in kind:
        plain = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        found = library.Ed25519Key.from_private_key(io.StringIO(plain.decode("ascii")))
    else:
        raise ValueError(f"its type {kind} is not supported")
    return t.cast("paramiko.PKey", found)
