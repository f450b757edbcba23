# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command as data: pgBackRest's, and ``archiver`` and ``remote``, which are ours.

A command stands here also when the engine does not have it yet, since a configuration file may hold
a section for it.
"""

from __future__ import annotations

from .schema import Command

# fmt: off
_ROWS = (
    Command("archive-get", "Get a WAL file from the archive.",
            parameters="<name> <destination>"),
    Command("archive-push", "Push a WAL file to the archive.",
            parameters="<path>"),
    Command("archiver", "Push WAL as PostgreSQL writes it, or say how that goes.",
            parameters="[status]", quiet=True),
    Command("annotate", "Add, change or remove annotations of a backup."),
    Command("backup", "Take a backup of the cluster.", log_file=True),
    Command("check", "Check the configuration, the repository and archiving."),
    Command("expire", "Remove backups and WAL that retention no longer keeps.", log_file=True),
    Command("help", "Show help.", parameters="[command [option]]", quiet=True, root=True),
    Command("info", "Show what the repository holds.", quiet=True, root=True),
    Command("manifest", "Show what a backup holds.", quiet=True),
    Command("remote", "Serve the other node, over standard input and output.",
            quiet=True, internal=True),
    Command("repo-get", "Write a file of the repository to standard output.",
            parameters="<path>", quiet=True),
    Command("repo-ls", "List a directory of the repository.", parameters="[path]", quiet=True),
    Command("repo-rm", "Remove from the repository.", parameters="<path>", quiet=True,
            internal=True),
    Command("restore", "Restore a cluster.", log_file=True, root=True),
    Command("server", "Serve over TLS.", log_file=True),
    Command("server-ping", "Ask whether a TLS server answers.", parameters="[host]"),
    Command("stanza-create", "Create what a stanza needs in the repository.", log_file=True),
    Command("stanza-delete", "Remove a stanza from the repository.", log_file=True),
    Command("stanza-upgrade", "Tell the stanza of a new version of the cluster.", log_file=True),
    Command("start", "Allow commands of a stanza again.", log_file=True),
    Command("stop", "Keep commands of a stanza from running.", log_file=True),
    Command("verify", "Check every file of the repository.", log_file=True),
    Command("version", "Show the version.", quiet=True, root=True),
)
# fmt: on

COMMANDS = {row.name: row for row in _ROWS}
