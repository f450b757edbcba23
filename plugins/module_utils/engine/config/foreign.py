# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of pgBackRest that the engine does not honour.

They are known by name, so that each can be refused with the right words instead of being taken for
a typing error. One that says what the engine does anyway is let through, and so is one that steers
how pgBackRest does something for which the engine has a way of its own. The text of an option says
why, in a sentence.
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

_OTHERWISE = Support.OTHERWISE

B, S, C, P = Kind.BOOLEAN, Kind.STRING, Kind.CHOICE, Kind.PATH
N, Z, T, L, H = Kind.INTEGER, Kind.SIZE, Kind.TIME, Kind.LIST, Kind.HASH


# What a refusal, or the help, says of them.
_ARCHIVER = (
    "the resident archiver works ahead; without one each file is pushed when it is asked for."
)
_LOST = "a session that is lost is replaced for five minutes, and its jobs are done again."
_ALIVE = "SSH asks every four seconds whether the server is there."
_PLACES = "a repository lies in a directory or at an SFTP server."
_NODE = "the other node is reached by SSH; what its command needs is in pg-host-config."
_NO_SERVER = "nodes are reached by SSH: there is no TLS server."
_NO_TLS = "nothing is reached over TLS."


# fmt: off
def _of_command_line() -> list[Option]:
    return [
        Option("archive-expire-before", S,
               "WAL goes by retention alone; repo-retention-archive says how much stays.",
               commands=frozenset({"expire"})),
        Option("detail-level", S, "info tells everything; --set tells it of one backup.",
               default="full", commands=frozenset({"info"})),
        Option("pg", N, "the first cluster that is configured is taken.",
               commands=frozenset({"backup", "manifest"})),
        Option("report", B, "run check without it.", default="n", commands=frozenset({"check"})),
    ]


def _of_archive() -> list[Option]:
    return [
        Option("archive-async", B, _ARCHIVER, default="n", commands=_ARCHIVE, support=_OTHERWISE),
        Option("archive-push-batch-size", Z, _ARCHIVER, commands=_PUSH, support=_OTHERWISE),
        Option("archive-missing-retry", B, "the archive is asked anew each time.",
               default="y", commands=_GET, support=_OTHERWISE),
    ]


def _of_backup_and_restore() -> list[Option]:
    return [
        Option("page-header-check", B, "a page is valid by its checksum, or if it is all zero.",
               default="y", commands=_BACKUP),
    ]


def _general() -> list[Option]:
    return [
        Option("beta", B, "nothing here is for a test only.", default="n",
               support=Support.NO_EFFECT),
        Option("job-retry", N, _LOST, commands=_REPO, support=_OTHERWISE),
        Option("job-retry-interval", T, _LOST, commands=_REPO, support=_OTHERWISE),
        Option("priority", N, "start the command with nice, or set Nice= in its unit."),
        Option("sck-block", B, "sockets wait as long as io-timeout says.", default="n",
               commands=_REPO, support=Support.NO_EFFECT),
        Option("sck-keep-alive", B, _ALIVE, default="y", commands=_REPO, support=_OTHERWISE),
        *(
            Option(f"tcp-keep-alive-{name}", N, _ALIVE, commands=_REPO, support=_OTHERWISE)
            for name in ("count", "idle", "interval")
        ),
        Option("tls-cipher-12", S, _NO_TLS, commands=_REPO, support=Support.NO_EFFECT),
        Option("tls-cipher-13", S, _NO_TLS, commands=_REPO, support=Support.NO_EFFECT),
        Option("tls-server-address", S, _NO_SERVER, commands=_SERVER),
        Option("tls-server-auth", H, _NO_SERVER, commands=_SERVER),
        Option("tls-server-ca-file", P, _NO_SERVER, commands=_SERVER),
        Option("tls-server-cert-file", P, _NO_SERVER, commands=_SERVER),
        Option("tls-server-key-file", P, _NO_SERVER, commands=_SERVER),
        Option("tls-server-port", N, _NO_SERVER, commands=_SERVER),
    ]


def _of_cluster() -> list[Option]:
    host = Condition("pg-host")
    tls = Condition("pg-host-type", ("tls",))
    return [
        *(
            Option(f"pg-host-{name}", S, _NO_SERVER, commands=_HOST, condition=tls)
            for name in ("ca-file", "ca-path", "cert-file", "key-file")
        ),
        Option("pg-host-config-include-path", P, _NODE, commands=_HOST, condition=host),
        Option("pg-host-config-path", P, _NODE, commands=_HOST, condition=host),
        Option("pg-local", B, _NODE, default="n", commands=_HOST),
    ]


def _of_repository() -> list[Option]:
    return [
        Option("repo-hardlink", B, "a backup refers to files of earlier ones, and links to none.",
               default="n", commands=_BACKUP, aliases=("hardlink",), support=Support.NO_EFFECT),
        Option("repo-local", B, _PLACES, default="n", commands=_REPO),
        Option("repo-host", S, _PLACES, commands=_REPO, aliases=("backup-host",)),
        *(
            Option(f"repo-host-{name}", S, _PLACES, commands=_REPO,
                   condition=Condition("repo-host"))
            for name in ("ca-file", "ca-path", "cert-file", "cmd", "config", "config-include-path",
                         "config-path", "key-file", "port", "type", "user")
        ),
        *(
            Option(f"repo-storage-{name}", S, _PLACES, commands=_REPO, condition=_CLOUD)
            for name in ("ca-file", "ca-path", "host", "port", "prefetch", "read-over", "tag",
                         "upload-chunk-size", "verify-tls")
        ),
        *(
            Option(f"repo-azure-{name}", S, _PLACES, commands=_REPO, condition=_AZURE,
                   secret=name in ("account", "key"))
            for name in ("account", "container", "endpoint", "key", "key-type", "uri-style")
        ),
        *(
            Option(f"repo-gcs-{name}", S, _PLACES, commands=_REPO, condition=_GCS,
                   secret=name == "key")
            for name in ("bucket", "endpoint", "key", "key-type", "user-project")
        ),
        *(
            Option(f"repo-s3-{name}", S, _PLACES, commands=_REPO, condition=_S3,
                   secret=name in ("key", "key-secret", "sse-customer-key", "token"))
            for name in ("bucket", "endpoint", "key", "key-secret", "key-type", "kms-key-id",
                         "process-cmd", "region", "requester-pays", "role", "service",
                         "sse-customer-key", "sts-host", "token", "uri-style")
        ),
        Option("repo-target-time", S, "a repository is read as it is now.", commands=_REPO),
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
        "the version is read from pg_control.",
        section=Section.STANZA,
        support=Support.NOT_YET,
        field="-",
        internal=True,
    ),
)
