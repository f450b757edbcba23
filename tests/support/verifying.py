# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify of a repository that stock pgBackRest wrote."""

from __future__ import annotations

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.command.verify import (
    run as verify,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config import load


def configuration(repository, tmp_path):
    path = tmp_path / "pgbackrest.conf"
    lines = [
        "[global]",
        f"repo1-path={repository.path}",
        f"lock-path={tmp_path}/lock",
        f"spool-path={tmp_path}/spool",
        f"log-path={tmp_path}",
    ]
    if repository.cipher_pass is not None:
        lines += ["repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={repository.cipher_pass}"]
    lines += ["[demo]", f"pg1-path={tmp_path}/restore/data", ""]
    path.write_text("\n".join(lines))
    return path


def run(repository, tmp_path, *arguments):
    config = configuration(repository, tmp_path)
    return verify.run(load.load("verify", [f"--config={config}", "--stanza=demo", *arguments], {}))


def labels(repository):
    return [row["label"] for row in repository.expected["info"][0]["backup"]]
