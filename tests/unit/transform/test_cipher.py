# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cipher stream is OpenSSL's, with and without its magic."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import dependency
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import CryptoError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform import cipher
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.transform.compression import (
    Framing,
)

PASS = "sécret".encode()
SALT = bytes.fromhex("0123456789abcdef")

# printf 'the quick brown fox\n' |
#     openssl enc -aes-256-cbc -md sha1 -S 0123456789abcdef -pass pass:sécret
OPENSSL = bytes.fromhex("722e434db668e7ec52f2a8d8f4a952643bf4709268ac509663bb5cb976da2c96")


def encrypt(data: bytes, framing: Framing = Framing.WHOLE, step: int = 1 << 20) -> bytes:
    stream = cipher.Encryptor(PASS, framing=framing)
    parts = [stream.update(data[start : start + step]) for start in range(0, len(data), step)]
    return b"".join(parts) + stream.finish()


def decrypt(
    data: bytes, framing: Framing = Framing.WHOLE, step: int = 1 << 20, passphrase: bytes = PASS
) -> bytes:
    stream = cipher.Decryptor(passphrase, framing=framing)
    parts = [
        stream.update(memoryview(data)[start : start + step]) for start in range(0, len(data), step)
    ]
    return b"".join(parts) + stream.finish()


def test_openssl_agrees() -> None:
    stream = cipher.Encryptor(PASS, salt=SALT)
    ours = stream.update(b"the quick brown fox\n") + stream.finish()
    assert ours == b"Salted__" + SALT + OPENSSL
    assert decrypt(ours) == b"the quick brown fox\n"


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("step", [1, 15, 16, 17, 4096])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
def test_what_goes_in_comes_out(framing: Framing, step: int, size: int) -> None:
    data = bytes(range(256)) * 4
    data = data[:size]
    stored = encrypt(data, framing, step)
    assert len(stored) == (size // 16 + 1) * 16 + (16 if framing is Framing.WHOLE else 8)
    assert stored.startswith(b"Salted__") == (framing is Framing.WHOLE)
    assert decrypt(stored, framing, step) == data


def test_every_stream_has_its_own_salt() -> None:
    assert encrypt(b"same") != encrypt(b"same")


def test_a_plain_file_is_refused() -> None:
    with pytest.raises(CryptoError, match="cipher header invalid"):
        decrypt(b"[backrest]\nbackrest-format=5\n")
    with pytest.raises(CryptoError, match="cipher header invalid"):
        decrypt(b"[back")


@pytest.mark.parametrize("size", [0, 3, 15])
def test_a_file_without_a_whole_header_is_refused(size: int) -> None:
    with pytest.raises(CryptoError, match="cipher header missing"):
        decrypt(encrypt(b"data")[:size])


def test_a_cut_stream_is_refused() -> None:
    stored = encrypt(bytes(100))
    for size in (16, 17, 31, len(stored) - 1):
        with pytest.raises(CryptoError, match="ends inside a block"):
            decrypt(stored[:size])


def test_a_wrong_pass_is_refused() -> None:
    stream = cipher.Encryptor(PASS, salt=SALT)
    stored = stream.update(b"the quick brown fox\n") + stream.finish()
    with pytest.raises(CryptoError, match="unable to decrypt") as caught:
        decrypt(stored, passphrase=b"wrong")
    assert "wrong" not in str(caught.value)


def test_sub_keys_are_long_and_different() -> None:
    assert len(cipher.new_sub_key()) == 64
    assert cipher.new_sub_key() != cipher.new_sub_key()


def test_a_library_that_loads_its_parts_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cryptography before 37, which Ubuntu 22.04 and Enterprise Linux 9 have."""
    ciphers = tmp_path / "cryptography/hazmat/primitives/ciphers"
    ciphers.mkdir(parents=True)
    (ciphers / "__init__.py").write_text("class Cipher: pass\n", encoding="utf-8")
    (ciphers / "algorithms.py").write_text("class AES: pass\n", encoding="utf-8")
    (ciphers / "modes.py").write_text("class CBC: pass\n", encoding="utf-8")
    for path in (ciphers.parent, ciphers.parents[1], ciphers.parents[2]):
        (path / "__init__.py").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        library = dependency.ciphers()
        named = (library.cipher.__name__, library.algorithms.AES.__name__)
        assert (*named, library.modes.CBC.__name__) == ("Cipher", "AES", "CBC")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
            del sys.modules[name]
