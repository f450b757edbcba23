# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verifiers are PostgreSQL's."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.filter.scram_verifier import scram_verifier

# Read from pg_authid after ALTER ROLE ... PASSWORD with these passwords, PostgreSQL 17.
FROM_POSTGRESQL = {
    # plain
    "mypwd": (
        "SCRAM-SHA-256$4096:xdvwuDSPmCIykq0RUPbwNA==$/yD+qPyPyd4X/0+xe7Ggnbeu87oxuQ0VEbtI8v2HhGU=:"
        "fqm9sUl2d/7/Dpv8vbGMLHhaE8ZcJ3I1wLCfBlJcW4g="
    ),
    # a character that is mapped to nothing
    "I\u00adX": (
        "SCRAM-SHA-256$4096:x80xyAeZL8S10q3G4hY0Sw==$I4wW5f0OORvnULf25CyFUyPkUx66OTvTPhyz1O7tkDE=:"
        "3eWQkFu40hOvYKZ8eciZXCc3mEBnJOpUxjZGxrkDgKU="
    ),
    # compatibility characters and another space
    "\u2168 \u00a0\u00e9": (
        "SCRAM-SHA-256$4096:o+doXtC6MlqhfEd/w/AvNA==$Q/+bjK8PdQO4x3XtH/N7wxdWdvVlrWQ3fWF1PXvdb0U=:"
        "RHyfcIzTxtzlCW2AnxA/6q5ruVz+Ijxt5JmswXPzNqs="
    ),
    # a control character, but ASCII
    "a\x07b": (
        "SCRAM-SHA-256$4096:Sdnsv8uChC2JQ2XySPjqsw==$miK21gBGXGtQgPT2PQXvQ8hEWHkPScV4nEC8CRV5Zqo=:"
        "PCQTlzWMfpu9acuBmLSJ73TbGj1VfOHbvqzI1M6wbI8="
    ),
    # another number of rounds
    "p:a\\ss 'quote": (
        "SCRAM-SHA-256$10000:nWdcT4txfXnJlb8ZWQQ5/w==$Myi/URRIp6Kdu90HttGw9pAPPycGl5+pMvp0z7gBXiY=:"
        "U2vIJPdMzzEQ/uKyONd/luibO2izIaEHUxArXFvmuz8="
    ),
    # prohibited: right to left, but does not end so
    "\u06271": (
        "SCRAM-SHA-256$10000:NTNxave2BMJ+FQx8gHPdsg==$ulAaeVPNk7LNu0JiETu5MmShYCXAN4IZnabNLdbH5mg=:"
        "F2J/Gqvu6/P7OfNNntypdNEl3Eh8+7af8bLmnAFqIi4="
    ),
}


@pytest.mark.parametrize("password", FROM_POSTGRESQL)
def test_postgresql_s_verifier_is_recognised(password: str) -> None:
    verifier = FROM_POSTGRESQL[password]
    assert scram_verifier(password, verifier) == verifier
    assert scram_verifier(password, verifier + "\n") == verifier


@pytest.mark.parametrize("password", FROM_POSTGRESQL)
def test_another_password_gets_a_verifier_of_its_own(password: str) -> None:
    assert scram_verifier(password + "x", FROM_POSTGRESQL[password]) != FROM_POSTGRESQL[password]


@pytest.mark.parametrize(
    "current", ["", "md5e8a48653851e28c69d0506508fb27fc5", "SCRAM-SHA-256$4096:x"]
)
def test_anything_else_is_replaced(current: str) -> None:
    made = scram_verifier("secret", current)
    assert made.startswith("SCRAM-SHA-256$4096:")
    assert scram_verifier("secret", made) == made


def test_two_verifiers_of_one_password_differ() -> None:
    assert scram_verifier("secret") != scram_verifier("secret")
