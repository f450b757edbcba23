# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``scram_verifier``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scram_verifier
author:
  - The pgsftp authors (@pgsftp)
version_added: 0.1.0
short_description: What PostgreSQL keeps of a password
description:
  - >-
    Returns the SCRAM-SHA-256 verifier of a password, which C(ALTER ROLE ... PASSWORD) takes in its
    place.
  - So the server never sees the password, and its log cannot show it.
options:
  _input:
    description: The password.
    type: str
    required: true
  current:
    description:
      - The verifier that the server has.
      - It is returned as it is when it belongs to the password, which makes a task idempotent.
    type: str
    default: ""
  iterations:
    description: Rounds of a new verifier.
    type: int
    default: 4096
"""

EXAMPLES = r"""
- name: Compute a verifier that the server does not have yet
  ansible.builtin.set_fact:
    verifier: "{{ password | pgsftp.backup.scram_verifier(current=found.stdout) }}"
"""

RETURN = r"""
_value:
  description: The verifier.
  type: str
"""

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

_FORM = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+")

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013) as PostgreSQL applies it: what it prohibits is taken as it stands."""
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in password
        if not stringprep.in_table_b1(char)
    )
    text = unicodedata.normalize("NFKC", mapped)
    right_to_left = [stringprep.in_table_d1(char) for char in text]
    mixed = any(right_to_left) and (
        any(stringprep.in_table_d2(char) for char in text)
        or not (right_to_left[0] and right_to_left[-1])
    )
    if not text or mixed or any(test(char) for char in text for test in _PROHIBITED):
        return password.encode()
    return text.encode()


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


def scram_verifier(password: str, current: str = "", iterations: int = 4096) -> str:
    """The verifier of a password; ``current`` itself when it belongs to the password."""
    found = _FORM.fullmatch(current.strip())
    if found:
        same = _verifier(password, base64.b64decode(found[2]), int(found[1]))
        if hmac.compare_digest(same, current.strip()):
            return same
    return _verifier(password, secrets.token_bytes(16), iterations)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, object]:
        """The filters of this file by name."""
        return {"scram_verifier": scram_verifier}
