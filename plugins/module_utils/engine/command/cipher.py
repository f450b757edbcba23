# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passes that lead into an encrypted repository."""

from __future__ import annotations

from ..config.options import RepoOptions
from ..errors import OptionRequiredError
from ..transform import cipher


def cipher_pass(repo: RepoOptions) -> str | None:
    """The user's pass for the info files, or None for a repository that is not encrypted."""
    if repo.cipher_type == "none":
        return None
    if repo.cipher_pass is None:
        raise OptionRequiredError(
            f"repo{repo.key}-cipher-type is set, but no repo{repo.key}-cipher-pass",
            hint="set it in the configuration file, which only the cluster's owner may read.",
        )
    return repo.cipher_pass.reveal()


def new_sub_key(repo: RepoOptions) -> str | None:
    """A random key for what lies below; None for a repository that is not encrypted."""
    if repo.cipher_type == "none":
        return None
    return cipher.new_sub_key()
