# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server is trusted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import SftpOptions
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.errors import ServiceError
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp import hostkey
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.hostkey import (
    HostKeyCheck,
    Verdict,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.storage.sftp.known_hosts import (
    HostKey,
)

SUPPORTED = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
    "ssh-dss",
)


def key(kind="ssh-ed25519", seed=b"1"):
    name = kind.encode()
    return HostKey(kind, len(name).to_bytes(4, "big") + name + hashlib.sha256(seed).digest())


def hashed(name, salt=b"0123456789abcdefghij"):
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A check for ``sftp-srv`` with these lines of known_hosts."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def make(*lines, rule="strict", port=22, fingerprint=None, hash_type="sha256", host="sftp-srv"):
        file = tmp_path / "known_hosts"
        file.write_text("".join(line if line.endswith("\n") else line + "\n" for line in lines))
        options = SftpOptions(
            host=host,
            user="pgbackrest",
            private_key_file="~/.ssh/id",
            port=port,
            key_check_type=rule,
            key_hash_type=hash_type,
            fingerprint=fingerprint,
            known_hosts=(str(tmp_path / "missing"), str(file)),
        )
        return HostKeyCheck(options)

    return make


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("sftp-srv", 22),
        ("SFTP-SRV", 22),
        ("other,sftp-srv", 22),
        ("sftp-*", 22),
        ("sftp-sr?", 22),
        (hashed("sftp-srv"), 22),
        ("[sftp-srv]:2222", 2222),
        (hashed("[sftp-srv]:2222"), 2222),
        ("sftp-srv", 2222),
    ],
)
def test_names_that_match(check, name, port):
    found = check("# comment", "", key().line(name), port=port)
    assert found.verify(key()) is Verdict.TRUSTED


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("other", 22),
        ("[sftp-srv]:2222", 22),
        ("[sftp-srv]:2223", 2222),
        ("*,!sftp-srv", 22),
        ("!sftp-srv,*", 22),
        (hashed("other"), 22),
        ("|1|broken", 22),
        ("@cert-authority sftp-srv", 22),
    ],
)
def test_names_that_do_not(check, name, port):
    with pytest.raises(ServiceError, match="is unknown") as raised:
        check(key().line(name), port=port).verify(key())
    assert key().fingerprint in raised.value.message
    assert "known_hosts" in raised.value.message


def test_a_hashed_name_is_hashed_in_lower_case(check):
    found = check(key().line(hashed("sftp-srv")), host="SFTP-srv")
    assert found.verify(key()) is Verdict.TRUSTED
    found = check(key().line(hashed("[sftp-srv]:2222")), host="SFTP-srv", port=2222)
    assert found.verify(key()) is Verdict.TRUSTED


def test_the_bare_name_does_not_count_beside_the_one_with_a_port(check):
    bare, own = key(seed=b"bare"), key(seed=b"own")
    lines = (bare.line("sftp-srv"), own.line("[sftp-srv]:2222"))
    for rule in ("strict", "accept-new"):
        assert check(*lines, rule=rule, port=2222).verify(own) is Verdict.TRUSTED
        with pytest.raises(ServiceError, match="has changed") as raised:
            check(*lines, rule=rule, port=2222).verify(bare)
        assert bare.fingerprint not in raised.value.message.partition(", the server")[0]


def test_a_revoked_key_is_one_by_either_name(check):
    bare, own = key(seed=b"bare"), key(seed=b"own")
    for name in ("sftp-srv", "[sftp-srv]:2222"):
        lines = ("@revoked " + bare.line(name), own.line("[sftp-srv]:2222"))
        with pytest.raises(ServiceError, match="is revoked"):
            check(*lines, port=2222).verify(bare)
    # What is revoked by the name with the port does not hide what the bare name has.
    lines = ("@revoked " + own.line("[sftp-srv]:2222"), bare.line("sftp-srv"))
    assert check(*lines, port=2222).verify(bare) is Verdict.TRUSTED


def test_a_pattern_for_both_names_is_one_entry(check):
    with pytest.raises(ServiceError, match="has changed") as raised:
        check(key().line("*"), port=2222).verify(key(seed=b"2"))
    assert raised.value.message.count("known_hosts:1") == 1


def test_a_fingerprint_as_openssh_shows_it():
    shown = base64.b64encode(hashlib.sha256(key().blob).digest()).decode().rstrip("=")
    assert key().fingerprint == f"SHA256:{shown}"


def test_a_changed_key_shows_both(check):
    found = check(key(seed=b"old").line("sftp-srv"))
    with pytest.raises(ServiceError, match="has changed") as raised:
        found.verify(key(seed=b"new"))
    assert key(seed=b"old").fingerprint in raised.value.message
    assert key(seed=b"new").fingerprint in raised.value.message
    assert "known_hosts:1" in raised.value.message
    assert raised.value.code == 101


def test_one_of_several_keys_is_enough(check):
    found = check(key(seed=b"a").line("sftp-srv"), key(seed=b"b").line("sftp-srv"))
    assert found.verify(key(seed=b"b")) is Verdict.TRUSTED


def test_a_revoked_key(check):
    line = "@revoked " + key().line("*")
    for rule in ("strict", "accept-new"):
        with pytest.raises(ServiceError, match="is revoked"):
            check(line, key().line("sftp-srv"), rule=rule).verify(key())
    assert check(line, key(seed=b"2").line("sftp-srv")).verify(key(seed=b"2")) is Verdict.TRUSTED


def test_only_types_on_record_are_offered(check):
    found = check(key("ssh-rsa").line("sftp-srv"))
    assert found.algorithms(SUPPORTED) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]
    found = check(key("ssh-ed25519").line("sftp-srv"), key("ecdsa-sha2-nistp256").line("sftp-srv"))
    assert found.algorithms(SUPPORTED) == ["ecdsa-sha2-nistp256", "ssh-ed25519"]
    assert check(rule="none").algorithms(SUPPORTED) == [
        name for name in hostkey.PREFERENCE if name in SUPPORTED
    ]


def test_a_server_without_the_types_on_record_may_have_them_the_next_time(check):
    found = check(key().line("sftp-srv"))
    first = found.begin()
    assert first.offer_any_type()
    assert len(first.algorithms(SUPPORTED)) > 1
    assert found.begin().algorithms(SUPPORTED) == ["ssh-ed25519"]


def test_damaged_and_ancient_lines_are_passed_over(check):
    lines = ["sftp-srv 1024 35 1234567", "sftp-srv ssh-ed25519 !!!", "sftp-srv ssh-ed25519 AAAA"]
    assert check(*lines, key().line("sftp-srv")).verify(key()) is Verdict.TRUSTED


def test_accept_new_writes_it_down(check, tmp_path):
    found = check(rule="accept-new", port=2222)
    assert found.verify(key()) is Verdict.TRUSTED
    file = tmp_path / "home/.ssh/known_hosts"
    assert file.read_text() == key().line("[sftp-srv]:2222")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    # The same check, and another one, know it now.
    for known in (found, check(rule="accept-new", port=2222)):
        assert known.verify(key()) is Verdict.TRUSTED
        with pytest.raises(ServiceError, match="has changed"):
            known.verify(key(seed=b"2"))
    assert file.read_text() == key().line("[sftp-srv]:2222")


def test_accept_new_does_not_take_another_type_for_a_known_host(check):
    with pytest.raises(ServiceError, match="has changed"):
        check(key().line("sftp-srv"), rule="accept-new").verify(key("ecdsa-sha2-nistp256"))


def test_what_another_worker_accepted_counts(check, tmp_path):
    """Both were forked before either had met the server."""
    first, second, third = (check(rule="accept-new") for _dummy in range(3))
    assert first.verify(key()) is Verdict.TRUSTED
    with pytest.raises(ServiceError, match="has changed") as raised:
        second.verify(key(seed=b"2"))
    assert key().fingerprint in raised.value.message
    assert third.verify(key()) is Verdict.TRUSTED
    assert (tmp_path / "home/.ssh/known_hosts").read_text() == key().line("sftp-srv")


@pytest.mark.parametrize("seed", [b"1", b"2"])
def test_two_workers_that_meet_a_new_host_at_once(check, tmp_path, monkeypatch, seed):
    found, other = check(rule="accept-new"), check(rule="accept-new")
    append = hostkey.append_known_host

    def late(*told):
        monkeypatch.setattr(hostkey, "append_known_host", append)
        other.verify(key())
        return append(*told)

    monkeypatch.setattr(hostkey, "append_known_host", late)
    if seed == b"1":
        assert found.verify(key()) is Verdict.TRUSTED
    else:
        with pytest.raises(ServiceError, match="has changed"):
            found.verify(key(seed=seed))
    assert (tmp_path / "home/.ssh/known_hosts").read_text() == key().line("sftp-srv")


@pytest.mark.parametrize("rule", ["strict", "accept-new"])
def test_a_corrected_file_counts_at_once(check, tmp_path, rule):
    found = check(key(seed=b"old").line("sftp-srv"), rule=rule)
    with pytest.raises(ServiceError, match="has changed"):
        found.verify(key())
    (tmp_path / "known_hosts").write_text(key().line("sftp-srv"))
    assert found.verify(key()) is Verdict.TRUSTED


def test_a_new_way_reads_the_files_anew(check, tmp_path):
    found = check(key().line("sftp-srv"))
    (tmp_path / "known_hosts").write_text(
        "@revoked " + key().line("*") + key("ssh-rsa").line("sftp-srv")
    )
    again = found.begin()
    assert again.algorithms(SUPPORTED) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]
    with pytest.raises(ServiceError, match="is revoked"):
        again.verify(key())


@pytest.mark.parametrize("hash_type", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("rule", ["fingerprint", "strict"])
def test_a_pinned_fingerprint(check, hash_type, rule):
    pinned = hashlib.new(hash_type, key().blob).hexdigest()
    assert check(rule=rule, fingerprint=pinned, hash_type=hash_type).verify(key()) is (
        Verdict.TRUSTED
    )
    with_colons = ":".join(pinned[at : at + 2] for at in range(0, len(pinned), 2)).upper()
    assert check(rule=rule, fingerprint=with_colons, hash_type=hash_type).verify(key()) is (
        Verdict.TRUSTED
    )


def test_the_pinned_key_may_be_of_another_type(check):
    pinned = hashlib.sha256(key("ssh-rsa").blob).hexdigest()
    found = check(rule="fingerprint", fingerprint=pinned)
    assert found.algorithms(SUPPORTED)[0] == "ecdsa-sha2-nistp256"
    assert found.verify(key("ecdsa-sha2-nistp256")) is Verdict.TRY_OTHER
    assert "ecdsa-sha2-nistp256" not in found.algorithms(SUPPORTED)
    assert found.verify(key("ssh-ed25519")) is Verdict.TRY_OTHER
    assert found.algorithms(SUPPORTED) == [
        "ecdsa-sha2-nistp384",
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ssh-rsa",
    ]
    assert found.verify(key("ssh-rsa")) is Verdict.TRUSTED
    # The next connection asks for it at once.
    assert found.algorithms(SUPPORTED) == ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]


def test_a_fingerprint_that_no_key_has(check):
    found = check(rule="fingerprint", fingerprint="00" * 32)
    found.verify(key("ssh-rsa"))
    found.verify(key("ssh-ed25519"))
    error = found.exhausted()
    assert "00" * 32 in error.message
    for kind in ("ssh-rsa", "ssh-ed25519"):
        assert f"{kind} {hashlib.sha256(key(kind).blob).hexdigest()}" in error.message


def test_a_changed_key_of_the_type_that_was_trusted_is_not_asked_for_again(check):
    pinned = hashlib.sha256(key().blob).hexdigest()
    found = check(rule="fingerprint", fingerprint=pinned)
    assert found.verify(key()) is Verdict.TRUSTED
    found = found.begin()
    assert found.algorithms(SUPPORTED) == ["ssh-ed25519"]
    assert found.verify(key(seed=b"2")) is Verdict.TRY_OTHER
    assert "ssh-ed25519" not in found.algorithms(SUPPORTED)
    assert "ecdsa-sha2-nistp256" in found.algorithms(SUPPORTED)


def test_a_server_that_insists_on_a_refused_key_is_not_asked_for_ever(check):
    # One that was asked for another curve may send this one all the same.
    found = check(rule="fingerprint", fingerprint="00" * 32)
    found.verify(key("ecdsa-sha2-nistp384"))
    with pytest.raises(ServiceError, match="does not match the configured"):
        found.verify(key("ecdsa-sha2-nistp384"))


def test_what_was_refused_once_may_be_right_the_next_time(check):
    pinned = hashlib.sha256(key().blob).hexdigest()
    found = check(rule="fingerprint", fingerprint=pinned)
    first = found.begin()
    first.verify(key(seed=b"2"))
    assert first.refused
    again = found.begin()
    assert not again.refused
    assert again.verify(key()) is Verdict.TRUSTED


def test_a_check_by_fingerprint_without_one(check):
    with pytest.raises(ServiceError, match="needs repo-sftp-host-fingerprint") as raised:
        check(rule="fingerprint").verify(key())
    assert hashlib.sha256(key().blob).hexdigest() in raised.value.hint


def test_no_check_trusts_everything(check):
    assert check(rule="none").verify(key(seed=os.urandom(8))) is Verdict.TRUSTED
