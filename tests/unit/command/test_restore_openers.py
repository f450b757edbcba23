# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which repositories a restore may ask, before anything of the data directory is touched."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.restore.run import (
    openers_of,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
    Secret,
    SftpOptions,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import ServiceError
from ansible_collections.pgsftp.backup.tests.support.sshd import keygen


@pytest.fixture
def opened(tmp_path):
    """Open two repositories, the second one with other options, beside an archiver that lends."""
    keygen(tmp_path / "id", "ed25519")
    (tmp_path / "demo.sock").touch()
    right = {"host": "sftp-srv", "user": "u", "private_key_file": str(tmp_path / "id")}

    def opened(*, anew, alone=False, **changes):
        sftps = [SftpOptions(**right), SftpOptions(**{**right, **changes})]
        repos = [RepoOptions(key, "sftp", sftp=sftp) for key, sftp in enumerate(sftps, 1)]
        options = Options("restore", stanza="demo", archiver_path=str(tmp_path), repos=tuple(repos))
        return openers_of(options, repos[1:] if alone else repos, anew=anew)

    return opened


@pytest.fixture
def protected(tmp_path):
    """A key with a passphrase."""
    keygen(tmp_path / "protected", "ed25519", passphrase="secret")
    return str(tmp_path / "protected")


@pytest.mark.parametrize("anew", [False, True])
def test_what_is_set_up_right_is_opened_with_or_without_files_to_keep(opened, anew, protected):
    secret = Secret("secret")
    openers = opened(anew=anew, private_key_file=protected, private_key_passphrase=secret)
    assert sorted(openers) == [1, 2]
    assert all(opener.borrows for opener in openers.values())


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"private_key_file": "/nowhere/id"}, "unable to read private key '/nowhere/id'"),
        ({"private_key_file": "/etc/passwd"}, "'/etc/passwd' is not a private key"),
        ({"password_file": "/nowhere/password"}, "unable to read password file"),
        ({"private_key_file": "protected"}, "is protected by a passphrase, and none is"),
        (
            {"private_key_file": "protected", "private_key_passphrase": Secret("wrong")},
            "cannot be decrypted with the configured passphrase",
        ),
    ],
)
def test_what_is_not_is_refused_or_left_out_of_several(opened, anew, changes, text, protected):
    if changes.get("private_key_file") == "protected":
        changes = {**changes, "private_key_file": protected}
    with pytest.raises(ServiceError, match=text):
        opened(anew=anew, alone=True, **changes)
    assert sorted(opened(anew=anew, **changes)) == [1]


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("name", ["paramiko", "cryptography"])
def test_a_library_that_is_missing_is_refused(opened, anew, name, monkeypatch):
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] in ("paramiko", "cryptography"):
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ServiceError, match=f"python library '(paramiko|{name})' cannot be"):
        opened(anew=anew, alone=True)


def test_no_library_is_loaded_where_perhaps_nothing_is_fetched(opened, monkeypatch):
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] in ("paramiko", "cryptography"):
            monkeypatch.delitem(sys.modules, loaded)
    opened(anew=False)
    assert not {"paramiko", "cryptography"} & set(sys.modules)
