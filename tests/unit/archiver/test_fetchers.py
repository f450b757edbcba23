# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes that fetch WAL have in common."""

from __future__ import annotations

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine.archiver import (
    fetcher,
    fetchers,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.config.options import (
    Options,
    RepoOptions,
    SftpOptions,
)


def test_a_rate_limit_is_of_all_of_them_together(monkeypatch, tmp_path):
    repo = RepoOptions(type="sftp", sftp=SftpOptions("sftp-srv", "u", rate_limit=1 << 20))
    options = Options(command="archive-get", stanza="demo", repos=(repo,), spool_path=str(tmp_path))
    used = []
    monkeypatch.setattr(fetcher, "prepare", lambda repo, **found: used.append(found["limit"]))
    monkeypatch.setattr(fetcher._Fetcher, "run", lambda self: None)

    class Inbox:
        def recv(self):
            raise EOFError

        def send(self, message):
            raise BrokenPipeError

    def in_this_process(life, in_child):
        monkeypatch.setattr(fetcher, "_receive", lambda *_: None)
        life(Inbox())

    monkeypatch.setattr(fetchers, "fork", in_this_process)
    made = fetchers.Fetchers(options, lambda: None)
    made._start()
    made._start()
    first, second = used
    assert first is second is not None


@pytest.mark.parametrize("rate", [None, 0])
def test_no_limit(tmp_path, rate):
    repo = RepoOptions(type="sftp", sftp=SftpOptions("sftp-srv", "u", rate_limit=rate))
    options = Options(command="archive-get", stanza="demo", repos=(repo,), spool_path=str(tmp_path))
    assert fetchers.Fetchers(options, lambda: None)._limits == {1: None}


def test_a_spool_that_cannot_be_emptied_does_not_end_the_service(tmp_path, caplog):
    options = Options(command="archive-get", stanza="demo", spool_path=str(tmp_path))
    some = fetchers.Fetchers(options, lambda: None)
    # No directory can be made there, whoever tries.
    (tmp_path / "archive").write_bytes(b"in the way")
    some._asked = 1.0
    some.feed(1.0 + 2 * fetchers.IDLE + 2 * options.archive_timeout)
    assert "unable to use the spool" in caplog.text
    assert some._asked == 0.0
