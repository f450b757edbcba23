# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of pgBackRest that the engine does not honour (yet).

They are known by name, so that each can be refused with the right words instead of being taken for
a typing error. One that says what the engine does anyway is let through.
"""

from __future__ import annotations

from .schema import Condition, Kind, Option, Section, Support, words

_REPO = words(
    "annotate archive-get archive-push backup check expire info manifest repo-get repo-ls repo-rm"
    " restore stanza-create stanza-delete stanza-upgrade verify"
)
_HOST = words("backup check stanza-create stanza-delete stanza-upgrade")
_BACKUP = frozenset({"backup"})
_ARCHIVE = frozenset({"archive-get", "archive-push"})
_GET = frozenset({"archive-get"})
_PUSH = frozenset({"archive-push"})
_SERVER = frozenset({"server", "server-ping"})
_CLOUD = Condition("repo-type", ("azure", "gcs", "s3"))
_AZURE = Condition("repo-type", ("azure",))
_GCS = Condition("repo-type", ("gcs",))
_S3 = Condition("repo-type", ("s3",))

B, S, C, P = Kind.BOOLEAN, Kind.STRING, Kind.CHOICE, Kind.PATH
N, Z, T, L, H = Kind.INTEGER, Kind.SIZE, Kind.TIME, Kind.LIST, Kind.HASH


# fmt: off
def _of_command_line() -> list[Option]:
    return [
        Option("archive-expire-before", S, "", commands=frozenset({"expire"})),
        Option("detail-level", S, "", default="full", commands=frozenset({"info"})),
        Option("pg", N, "", commands=frozenset({"backup", "manifest"})),
        Option("report", B, "", default="n", commands=frozenset({"check"})),
    ]


def _of_archive() -> list[Option]:
    return [
        Option("archive-async", B, "", default="n", commands=_ARCHIVE),
        # The queues of an asynchronous run; where there is none they steer nothing.
        Option("archive-push-batch-size", Z, "", commands=_PUSH, support=Support.NO_EFFECT),
        Option("archive-missing-retry", B, "", default="y", commands=_GET),
    ]


def _of_backup_and_restore() -> list[Option]:
    return [
        Option("compress", B, "", default="y", commands=frozenset({"archive-push", "backup"})),
        Option("page-header-check", B, "", default="y", commands=_BACKUP),
    ]


def _general() -> list[Option]:
    return [
        Option("beta", B, "", default="n", support=Support.NO_EFFECT),
        Option("job-retry", N, "", commands=_REPO),
        Option("job-retry-interval", T, "", commands=_REPO),
        Option("priority", N, ""),
        Option("sck-block", B, "", default="n", commands=_REPO, support=Support.NO_EFFECT),
        Option("sck-keep-alive", B, "", default="y", commands=_REPO),
        Option("tcp-keep-alive-count", N, "", commands=_REPO),
        Option("tcp-keep-alive-idle", N, "", commands=_REPO),
        Option("tcp-keep-alive-interval", N, "", commands=_REPO),
        Option("tls-cipher-12", S, "", commands=_REPO, support=Support.NO_EFFECT),
        Option("tls-cipher-13", S, "", commands=_REPO, support=Support.NO_EFFECT),
        Option("tls-server-address", S, "", commands=_SERVER),
        Option("tls-server-auth", H, "", commands=_SERVER),
        Option("tls-server-ca-file", P, "", commands=_SERVER),
        Option("tls-server-cert-file", P, "", commands=_SERVER),
        Option("tls-server-key-file", P, "", commands=_SERVER),
        Option("tls-server-port", N, "", commands=_SERVER),
    ]


def _of_cluster() -> list[Option]:
    host = Condition("pg-host")
    tls = Condition("pg-host-type", ("tls",))
    return [
        Option("pg-host-ca-file", S, "", commands=_HOST, condition=tls),
        Option("pg-host-ca-path", S, "", commands=_HOST, condition=tls),
        Option("pg-host-cert-file", S, "", commands=_HOST, condition=tls),
        Option("pg-host-key-file", S, "", commands=_HOST, condition=tls),
        Option("pg-host-config-include-path", P, "", commands=_HOST, condition=host),
        Option("pg-host-config-path", P, "", commands=_HOST, condition=host),
        Option("pg-local", B, "", default="n", commands=_HOST),
    ]


def _of_repository() -> list[Option]:
    return [
        Option("repo-hardlink", B, "", default="n", commands=_BACKUP, aliases=("hardlink",)),
        Option("repo-local", B, "", default="n", commands=_REPO),
        Option("repo-host", S, "", commands=_REPO, aliases=("backup-host",)),
        *(
            Option(f"repo-host-{name}", S, "", commands=_REPO, condition=Condition("repo-host"))
            for name in ("ca-file", "ca-path", "cert-file", "cmd", "config", "config-include-path",
                         "config-path", "key-file", "port", "type", "user")
        ),
        *(
            Option(f"repo-storage-{name}", S, "", commands=_REPO, condition=_CLOUD)
            for name in ("ca-file", "ca-path", "host", "port", "prefetch", "read-over", "tag",
                         "upload-chunk-size", "verify-tls")
        ),
        *(
            Option(f"repo-azure-{name}", S, "", commands=_REPO, condition=_AZURE,
                   secret=name in ("account", "key"))
            for name in ("account", "container", "endpoint", "key", "key-type", "uri-style")
        ),
        *(
            Option(f"repo-gcs-{name}", S, "", commands=_REPO, condition=_GCS, secret=name == "key")
            for name in ("bucket", "endpoint", "key", "key-type", "user-project")
        ),
        *(
            Option(f"repo-s3-{name}", S, "", commands=_REPO, condition=_S3,
                   secret=name in ("key", "key-secret", "sse-customer-key", "token"))
            for name in ("bucket", "endpoint", "key", "key-secret", "key-type", "kms-key-id",
                         "process-cmd", "region", "requester-pays", "role", "service",
                         "sse-customer-key", "sts-host", "token", "uri-style")
        ),
        Option("repo-target-time", S, "", commands=_REPO),
    ]

# fmt: on


def _placed(option: Option, section: Section) -> Option:
    group = option.name.split("-")[0]
    return option._replace(
        section=section,
        group=group if group in ("repo", "pg") and "-" in option.name else None,
        support=Support.NOT_YET if option.support is Support.HONOURED else option.support,
        field="-",
        internal=True,
    )


OPTIONS = (
    *(_placed(option, Section.COMMAND_LINE) for option in _of_command_line()),
    *(_placed(option, Section.GLOBAL) for option in _of_archive()),
    *(_placed(option, Section.GLOBAL) for option in _of_backup_and_restore()),
    *(_placed(option, Section.GLOBAL) for option in _general()),
    *(_placed(option, Section.STANZA) for option in _of_cluster()),
    *(
        _placed(option, Section.GLOBAL)._replace(
            group=None if option.name == "repo-target-time" else "repo"
        )
        for option in _of_repository()
    ),
    Option(
        "pg-version-force",
        S,
        "",
        section=Section.STANZA,
        support=Support.NOT_YET,
        field="-",
        internal=True,
    ),
)
