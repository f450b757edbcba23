# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys of every sort that users have, and what is said of those that do not work."""

from __future__ import annotations

import errno
import os
import pathlib
import subprocess

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import Secret
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import ServiceError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import key
from ansible_collections.pgsftp.backup.tests.support.sshd import keygen


def blob(file):
    return pathlib.Path(f"{file}.pub").read_text().split()[1]


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("ed25519", "OPENSSH"),
        ("rsa", "OPENSSH"),
        ("rsa", "PEM"),
        ("rsa", "PKCS8"),
        ("ecdsa", "OPENSSH"),
        ("ecdsa", "PEM"),
        ("ecdsa", "PKCS8"),
    ],
)
def test_every_type_and_form(tmp_path, kind, form, passphrase):
    file = tmp_path / "id"
    arguments = () if form == "OPENSSH" else ("-m", form)
    keygen(file, kind, *arguments, passphrase=passphrase)
    loaded = key.load(str(file), Secret(passphrase) if passphrase else None)
    assert loaded.get_base64() == blob(file)
    assert loaded.can_sign()
    # Users cut the last newline off, or add a passphrase that is not needed.
    file.write_text(file.read_text().rstrip("\n"))
    assert key.load(str(file), Secret(passphrase or "needless")).get_base64() == blob(file)
    if not passphrase:
        return
    with pytest.raises(ServiceError, match="is protected by a passphrase, and none is"):
        key.load(str(file), None)
    with pytest.raises(ServiceError, match="cannot be decrypted with the configured") as raised:
        key.load(str(file), Secret("wrong one"))
    assert "wrong one" not in str(raised.value)


@pytest.mark.parametrize("bits", ["384", "521"])
def test_larger_curves(tmp_path, bits):
    file = tmp_path / "id"
    keygen(file, "ecdsa", "-b", bits)
    assert key.load(str(file), None).get_base64() == blob(file)


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    keygen(tmp_path / "id", "ed25519")
    assert key.load("~/id", None).get_name() == "ssh-ed25519"


def test_a_key_that_is_not_there(tmp_path):
    with pytest.raises(ServiceError, match=r"unable to read private key '.*/id': no such file"):
        key.load(str(tmp_path / "id"), None)
    with pytest.raises(ServiceError, match="is a directory"):
        key.load(str(tmp_path), None)


def test_a_key_that_may_not_be_read(tmp_path, monkeypatch):
    # Root may read everything, so the refusal is the system's only in name.
    def refused(*_arguments, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(ServiceError, match="permission denied"):
        key.load(str(tmp_path / "id"), None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "is not a private key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@here\n", "is a public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is a public key"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "is not a private key",
        ),
        (
            "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n",
            "is of type ssh-dss, which is not supported",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            "is damaged",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is damaged"),
    ],
)
def test_what_is_no_key_we_can_use(tmp_path, text, reason):
    file = tmp_path / "id"
    file.write_text(text)
    with pytest.raises(ServiceError, match=reason) as raised:
        key.load(str(file), None)
    assert raised.value.code == 101
    assert raised.value.hint
    assert str(file) in raised.value.message
    if reason != "is damaged":
        with pytest.raises(ServiceError, match=reason):
            key.check(str(file), None)


@pytest.mark.parametrize("passphrase", ["", "open sesame"])
def test_what_can_be_told_without_deciphering(tmp_path, monkeypatch, passphrase):
    file = tmp_path / "id"
    keygen(file, "ed25519", passphrase=passphrase)
    monkeypatch.setattr(key, "_parse", None)
    for given in (Secret("any"), None):
        if passphrase and given is None:
            with pytest.raises(ServiceError, match="is protected by a passphrase, and none is"):
                key.check(str(file), given)
        else:
            assert key.check(str(file), given).encrypted == bool(passphrase)
    with pytest.raises(ServiceError, match="unable to read private key"):
        key.check(str(tmp_path / "none"), None)


def test_a_damaged_openssh_key(tmp_path):
    file = tmp_path / "id"
    keygen(file, "ed25519")
    lines = file.read_text().splitlines()
    lines[3] = lines[3][::-1]
    file.write_text("\n".join(lines))
    with pytest.raises(ServiceError, match=r"is damaged|is not a private key"):
        key.load(str(file), None)


def test_ed25519_in_pkcs8(tmp_path):
    file = tmp_path / "id"
    try:
        made = subprocess.run(
            ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)], check=False
        )
    except FileNotFoundError:
        pytest.skip("no openssl here")
    if made.returncode:
        pytest.skip("openssl has no ed25519")
    assert key.load(str(file), None).get_name() == "ssh-ed25519"
