# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks whether a file is in the repositories at the moment at which archive_command says so."""

from __future__ import annotations

import threading

from .engine import own

# Whoever may read the repositories is asked to look, before PostgreSQL hears of it.
SCRIPT = """\
#!/bin/sh
{command} archive-push "$1" || exit
name=${{1##*/}}
: > {acks}/"$name.asked"
while [ ! -e {acks}/"$name.seen" ]; do sleep 0.02; done
"""


class Witness:
    """PostgreSQL archives before it; ``early`` are the files it was told of too early.

    It looks at names, and not at their times: whoever was killed after its file was sent may have
    left a request with the server, which puts the same content into the same place once more.
    """

    def __init__(self, site, archiver, *others):
        self._repositories = [site.repo, *others]
        self._acks = site.root / "acks"
        self.script = site.root / "witness.sh"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._seen = set()
        self.early = set()
        command = " ".join([str(site.command), *archiver.words])
        self._acks.mkdir()
        self.script.write_text(SCRIPT.format(command=command, acks=self._acks))
        self.script.chmod(0o755)
        for path in (self._acks, self.script):
            own(path)
        site.cluster.configure(archive_command=f"{self.script} %p")
        site.cluster.reload()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_failure):
        self._over.set()
        self._thread.join()

    def saw(self, name):
        """Whether archive_command said that the file is there, and it was looked for."""
        return name in self._seen

    def _look(self):
        while not self._over.wait(0.02):
            for path in self._acks.glob("*.asked"):
                if path.stem not in self._seen:
                    if not all(_has(repository, path.stem) for repository in self._repositories):
                        self.early.add(path.stem)
                    self._seen.add(path.stem)
                    path.with_suffix(".seen").touch()


def _has(repository, name):
    found = repository.glob(f"archive/demo/**/{name}*")
    return any(not path.name.endswith(".pgbackrest.tmp") for path in found)
