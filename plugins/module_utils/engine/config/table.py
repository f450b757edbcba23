# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option as data, the one source of parser, help and documentation.

Names, types, defaults, ranges and the commands are pgBackRest's (repository reference, sections 20
and 21). Options of pgBackRest that the engine does not honour are in `foreign.py`.
"""

from __future__ import annotations

from . import foreign
from .schema import Condition, Kind, Option, Section, Support, words

_REPO = words(
    "annotate archive-get archive-push backup check expire info manifest repo-get repo-ls repo-rm"
    " restore stanza-create stanza-delete stanza-upgrade verify"
)
_PG = words(
    "archive-get archive-push backup check manifest remote restore stanza-create stanza-delete"
    " stanza-upgrade"
)
_DB = words("backup check remote stanza-create stanza-delete stanza-upgrade")
_HOST = words("backup check stanza-create stanza-delete stanza-upgrade")
_WORK = _REPO | frozenset({"remote"})
_PARALLEL = words("archive-get archive-push backup restore verify")
# pgBackRest lets them have options that they have no use for, as a script may give them.
_CALLED = words("check info repo-get repo-ls stanza-create stanza-delete stanza-upgrade")
_LOCK = words(
    "annotate archive-get archive-push backup expire info remote restore stanza-create"
    " stanza-delete stanza-upgrade start stop"
)
_STANZA = _REPO | frozenset({"remote", "start", "stop"})
_NEED_STANZA = _STANZA - words("info repo-get repo-ls repo-rm start stop")
_ARCHIVER = words(
    "archive-get archive-push archiver backup check expire info restore stanza-create verify"
)
_BACKUP = frozenset({"backup"})
_RESTORE = frozenset({"restore"})
_RETAIN = frozenset({"backup", "expire"})
_BLOCK = Condition("repo-block", ("y",))
_SFTP = Condition("repo-type", ("sftp",))
_TARGETED = ("lsn", "name", "time", "xid")
_LEVELS = ("off", "error", "warn", "info", "detail", "debug", "trace")

# What a level of compression may be depends on the type (repository reference, section 5).
COMPRESS_LEVELS = {"bz2": (1, 9), "gz": (-1, 9), "lz4": (-5, 12), "zst": (-7, 22)}

B, S, C, P = Kind.BOOLEAN, Kind.STRING, Kind.CHOICE, Kind.PATH
N, Z, T, L, H = Kind.INTEGER, Kind.SIZE, Kind.TIME, Kind.LIST, Kind.HASH

# fmt: off
_COMMAND_LINE = (
    Option("config", P, "Configuration file.", default="/etc/pgbackrest/pgbackrest.conf",
           field="-"),
    Option("config-include-path", P, "Directory of further configuration files, *.conf.",
           default="/etc/pgbackrest/conf.d", field="-"),
    Option("config-path", P, "Directory from which the two above are derived.",
           default="/etc/pgbackrest", field="-"),
    Option("stanza", S, "The cluster's name in the configuration and in the repository.",
           commands=_STANZA, required=_NEED_STANZA),
    Option("repo", N, "The repository to use, by its number.", low="1", high="256",
           commands=_REPO - frozenset({"archive-push", "check", "stanza-create", "stanza-upgrade"}),
           field="selected_repo"),
    Option("type", C, "Type of backup (full, diff, incr) or of recovery.",
           commands=frozenset({"backup", "info", "restore"}),
           per_command={"backup": "incr", "restore": "default"},
           choices=("full", "diff", "incr"),
           per_command_choices={"restore": (
               "default", "preserve", "immediate", "standby", "none", "name", "time", "lsn",
               "xid")}),
    Option("set", S, "Label of a backup.",
           commands=frozenset({"annotate", "expire", "info", "manifest", "restore", "verify"}),
           required=frozenset({"annotate"}), condition=Condition("stanza")),
    Option("output", C, "Form of the output.", default="text", choices=("text", "json"),
           commands=frozenset({"archiver", "check", "info", "manifest", "repo-ls", "verify"}),
           per_command={"verify": "none"},
           per_command_choices={"verify": ("none", "text", "json")}),
    Option("force", B, "Go on where the command would refuse for safety.", default="n",
           commands=frozenset({"backup", "restore", "stanza-create", "stanza-delete", "stop"})),
    Option("online", B, "The cluster runs (no: it is stopped).", default="y",
           commands=frozenset({"backup", "stanza-create", "stanza-upgrade"})),
    Option("dry-run", B, "Say what would be done, and do nothing.", default="n",
           commands=frozenset({"expire"})),
    Option("oldest", B, "Expire the oldest full backup, whatever retention says.", default="n",
           commands=frozenset({"expire"})),
    Option("verbose", B, "Show also what is in order.", default="n",
           commands=frozenset({"verify"})),
    Option("filter", S, "Show only what matches a regular expression (manifest: one file).",
           commands=frozenset({"manifest", "repo-ls"})),
    Option("recurse", B, "Include all directories below.", default="n",
           commands=frozenset({"repo-ls", "repo-rm"})),
    Option("sort", C, "Order of the names.", default="asc", choices=("asc", "desc", "none"),
           commands=frozenset({"repo-ls"})),
    Option("raw", B, "Give the file as it is stored, without decrypting it.", default="n",
           commands=frozenset({"repo-get"})),
    Option("ignore-missing", B, "End quietly with 1 when there is no such file.", default="n",
           commands=frozenset({"repo-get"})),
    Option("reference", S, "Show only files that this backup holds (latest: the backup itself).",
           commands=frozenset({"manifest"})),
    Option("target", S, "Where recovery ends.", commands=_RESTORE,
           condition=Condition("type", _TARGETED)),
    Option("target-action", C, "What happens at the target.", default="pause", commands=_RESTORE,
           choices=("pause", "promote", "shutdown"), unmet="pause",
           condition=Condition("type", (*_TARGETED, "immediate"))),
    Option("target-exclusive", B, "Stop just before the target.", default="n", unmet="n",
           commands=_RESTORE, condition=Condition("type", ("lsn", "time", "xid"))),
    Option("target-timeline", S, "Timeline to recover along.", commands=_RESTORE,
           condition=Condition("type", ("default", "standby", *_TARGETED))),
    Option("preflight", B, "Try in a scratch directory what the repository's server can do.",
           default="y", commands=frozenset({"check"})),
    Option("exec-id", S, "Identity of this run in locks and logs.", internal=True),
    Option("archiver-path", P, "Directory of the resident archiver's socket.",
           default="/run/pgsftp", commands=_ARCHIVER),
    Option("archiver-metrics-path", P, "Directory for metrics in Prometheus' text format.",
           commands=frozenset({"archiver"})),
)

_GENERAL = (
    Option("allow-root", B, "Let commands run as root.", default="n",
           per_command={"restore": "y"}),
    Option("buffer-size", Z, "Size of the buffers for reading and writing.", default="1MiB",
           choices=("16KiB", "32KiB", "64KiB", "128KiB", "256KiB", "512KiB", "1MiB", "2MiB",
                    "4MiB", "8MiB", "16MiB"), commands=_WORK),
    Option("cmd", S, "How PostgreSQL is told to call this command.",
           commands=_PARALLEL | _CALLED),
    Option("cmd-ssh", S, "The SSH client's command.", default="ssh",
           commands=_HOST | _PARALLEL | _CALLED),
    Option("compress", B, "Older than compress-type, which counts where both are given.",
           default="y", commands=frozenset({"archive-push", "backup"}), field="-", internal=True),
    Option("compress-level", N, "Level of compression.",
           commands=frozenset({"archive-push", "backup"}),
           condition=Condition("compress-type", tuple(COMPRESS_LEVELS))),
    Option("compress-level-network", N, "Level of compression between hosts.", default="1",
           low="-5", high="12", support=Support.NO_EFFECT,
           commands=_REPO),
    Option("compress-type", C, "How files are compressed.", default="gz",
           choices=("none", "bz2", "gz", "lz4", "zst"),
           commands=frozenset({"archive-push", "backup"})),
    Option("db-timeout", T, "How long a query may take.", default="30m", low="100ms", high="7d",
           commands=_DB | words("archive-get archive-push repo-get repo-ls")),
    Option("delta", B, "Compare by checksum, and copy only what differs.", default="n",
           commands=frozenset({"backup", "restore"})),
    Option("io-timeout", T, "How long reading or writing may be silent.", default="1m",
           low="100ms", high="1h", commands=_WORK),
    Option("lock-path", P, "Directory of the lock and stop files.", default="/tmp/pgbackrest",
           commands=_LOCK),
    Option("neutral-umask", B, "Ignore the umask, so that modes in the repository are uniform.",
           default="y"),
    Option("process-max", N, "How many processes work in parallel.", default="1", low="1",
           high="999", commands=_PARALLEL),
    Option("protocol-timeout", T, "How long the other node may be silent.", default="31m",
           low="100ms", high="7d", commands=_WORK),
    Option("spool-path", P, "Directory of what is on its way to or from the archive.",
           default="/var/spool/pgbackrest",
           commands=frozenset({"archive-get", "archive-push", "restore"})),
)

_LOG = (
    Option("log-level-console", C, "What is shown on the terminal.", default="warn",
           choices=_LEVELS),
    Option("log-level-file", C, "What is written to the log file.", default="info",
           choices=_LEVELS),
    Option("log-level-stderr", C, "What is written to standard error.", default="off",
           choices=_LEVELS),
    Option("log-path", P, "Directory of the log files.", default="/var/log/pgbackrest"),
    Option("log-subprocess", B, "Log files of worker processes.", default="n",
           support=Support.NO_EFFECT),
    Option("log-timestamp", B, "Begin each line of the log with the time.", default="y"),
)

_ARCHIVE = (
    Option("archive-timeout", T, "How long to wait for WAL to arrive in the archive.",
           default="1m", low="100ms", high="1d",
           commands=frozenset({"archive-get", "archive-push", "backup", "check"})),
    Option("archive-get-queue-max", Z, "How much WAL the archiver fetches ahead of a recovery.",
           default="128MiB", low="0B", high="4PiB", commands=frozenset({"archive-get"})),
    Option("archive-check", B, "Check that the WAL a backup needs is in the archive.",
           default="y", unmet="n", commands=frozenset({"archive-push", "backup", "check"}),
           condition=Condition("online", ("y",))),
    Option("archive-copy", B, "Store the WAL that a backup needs in the backup, too.",
           default="n", unmet="n", commands=_BACKUP, condition=Condition("archive-check", ("y",))),
    Option("archive-header-check", B, "Check that a WAL file belongs to this cluster.",
           default="y", commands=frozenset({"archive-push"})),
    Option("archive-mode-check", B, "Check the server's archive_mode.", default="y", unmet="n",
           commands=frozenset({"archive-push", "backup", "check"}),
           condition=Condition("archive-check", ("y",))),
    Option("archive-push-queue-max", Z,
           "Drop WAL when more than this waits for the archive; unset, never.",
           low="0", high="4PiB", commands=frozenset({"archive-push"}),
           aliases=("archive-queue-max",)),
)

_BACKUPS = (
    Option("annotation", H, "A remark on the backup, key=value.",
           commands=frozenset({"annotate", "backup"}), required=frozenset({"annotate"})),
    Option("backup-standby", C, "Take the backup from the standby (prefer: where it can).",
           default="n", choices=("n", "y", "prefer"), commands=frozenset({"backup", "check"})),
    Option("checksum-page", B, "Check the pages' checksums; unset, where the cluster has them.",
           commands=_BACKUP),
    Option("exclude", L, "Leave out a path relative to the data directory.", commands=_BACKUP),
    Option("expire-auto", B, "Expire after a backup.", default="y", commands=_BACKUP),
    Option("manifest-save-threshold", Z, "How much is copied between two saves of the manifest.",
           default="1GiB", low="1B", high="1TiB", commands=_BACKUP),
    Option("resume", B, "Go on with a full backup that was interrupted.", default="y",
           commands=_BACKUP),
    Option("start-fast", B, "Start with an immediate checkpoint.", default="n",
           commands=_BACKUP),
    Option("stop-auto", B, "Without meaning since PostgreSQL has only non-exclusive backups.",
           default="n", commands=_BACKUP, support=Support.NO_EFFECT, internal=True),
)

_RESTORES = (
    Option("archive-mode", C, "Whether the restored cluster archives.", default="preserve",
           choices=("preserve", "off"), commands=_RESTORE),
    Option("db-exclude", L, "A database of which only the directory is restored.",
           commands=_RESTORE),
    Option("db-include", L, "The only databases to restore, apart from the system's.",
           commands=_RESTORE),
    Option("link-all", B, "Restore every symbolic link as a link.", default="n",
           commands=_RESTORE),
    Option("link-map", H, "Where a symbolic link leads, link=destination.", commands=_RESTORE),
    Option("recovery-option", H, "A setting for recovery, such as primary_conninfo=...",
           commands=_RESTORE,
           condition=Condition("type", ("default", "immediate", "standby", *_TARGETED))),
    Option("tablespace-map", H, "Where a tablespace is restored, name or oid=path.",
           commands=_RESTORE),
    Option("tablespace-map-all", S, "Directory in which all tablespaces are restored, by name.",
           commands=_RESTORE),
)

_CLUSTERS = (
    Option("pg-path", P, "Data directory.", group="pg", section=Section.STANZA, commands=_PG,
           required=_PG - frozenset({"archive-push", "manifest"}), aliases=("db-path", "db?-path")),
    Option("pg-database", S, "Database to connect to.", group="pg", section=Section.STANZA,
           default="postgres", commands=_DB),
    Option("pg-port", N, "Port of the server.", group="pg", section=Section.STANZA,
           default="5432", low="0", high="65535", commands=_DB, aliases=("db-port", "db?-port")),
    Option("pg-socket-path", S, "Directory of the server's socket.", group="pg",
           section=Section.STANZA, commands=_DB, aliases=("db-socket-path", "db?-socket-path")),
    Option("pg-user", S, "Database user; unset, the user who runs the command.", group="pg",
           section=Section.STANZA, commands=_DB),
    Option("pg-host", S, "Host of the cluster, reached by SSH; unset, this host.", group="pg",
           section=Section.STANZA, commands=_PG, aliases=("db-host", "db?-host")),
    Option("pg-host-cmd", S, "The command on that host; unset, the same path as here.",
           group="pg", section=Section.STANZA, commands=_PG, condition=Condition("pg-host"),
           aliases=("db-cmd", "db?-cmd")),
    Option("pg-host-config", P, "Configuration file on that host.", group="pg",
           section=Section.STANZA, commands=_PG, condition=Condition("pg-host"),
           aliases=("db-config", "db?-config")),
    Option("pg-host-port", N, "SSH port of that host; unset, as SSH is configured.", group="pg",
           section=Section.STANZA, low="0", high="65535", commands=_PG,
           condition=Condition("pg-host"), aliases=("db-ssh-port", "db?-ssh-port")),
    Option("pg-host-type", C, "How that host is reached.", group="pg", default="ssh",
           choices=("ssh",), foreign_choices=("tls",), commands=_PG,
           condition=Condition("pg-host"), field="-"),
    Option("pg-host-user", S, "User on that host.", group="pg", section=Section.STANZA,
           default="postgres", commands=_PG, condition=Condition("pg-host"), unmet="postgres",
           aliases=("db-user", "db?-user")),
)

_REPOSITORIES = (
    Option("repo-type", C, "Where the repository lies.", group="repo", default="posix",
           choices=("posix", "sftp"), foreign_choices=("azure", "cifs", "gcs", "s3"),
           commands=_REPO, aliases=("repo-type",)),
    Option("repo-path", P, "Directory of the repository.", group="repo",
           default="/var/lib/pgbackrest", commands=_REPO, aliases=("repo-path",)),
    Option("repo-cipher-type", C, "How the repository is encrypted.", group="repo",
           default="none", choices=("none", "aes-256-cbc"), commands=_REPO,
           aliases=("repo-cipher-type",)),
    Option("repo-cipher-pass", S, "Passphrase of the repository.", group="repo", secret=True,
           commands=_REPO, required=_REPO, aliases=("repo-cipher-pass",),
           condition=Condition("repo-cipher-type", ("aes-256-cbc",))),
    Option("repo-bundle", B, "Store small files together.", group="repo", default="n",
           commands=_BACKUP),
    Option("repo-bundle-size", Z, "About how much goes into one bundle.", group="repo",
           default="20MiB", low="1MiB", high="1PiB", commands=_BACKUP,
           condition=Condition("repo-bundle", ("y",)), unmet="20MiB"),
    Option("repo-bundle-limit", Z, "Files up to this size go into bundles.", group="repo",
           default="2MiB", low="8KiB", high="1PiB", commands=_BACKUP,
           condition=Condition("repo-bundle", ("y",)), unmet="2MiB"),
    Option("repo-block", B, "Store of large files only the blocks that changed.", group="repo",
           default="n", commands=_BACKUP, condition=Condition("repo-bundle", ("y",)), unmet="n"),
    Option("repo-block-size-map", H, "Block size by size of file, such as 16MiB=64KiB.",
           group="repo", commands=_BACKUP, condition=_BLOCK, internal=True),
    Option("repo-block-age-map", H, "Multiplier of the block size by days since a change, 7=2.",
           group="repo", commands=_BACKUP, condition=_BLOCK, internal=True),
    Option("repo-block-checksum-size-map", H, "Bytes of a block's checksum by block size.",
           group="repo", commands=_BACKUP, condition=_BLOCK, internal=True),
    Option("repo-block-size-super", Z, "About how much of changed blocks is stored together.",
           group="repo", default="256KiB", low="32KiB", high="16MiB", commands=_BACKUP,
           condition=_BLOCK, unmet="256KiB", internal=True),
    Option("repo-block-size-super-full", Z, "The same in a full backup.", group="repo",
           default="1MiB", low="32KiB", high="16MiB", commands=_BACKUP, condition=_BLOCK,
           unmet="1MiB", internal=True),
    Option("repo-symlink", B, "Make the link latest, where the repository has links.",
           group="repo", default="y", commands=_RETAIN),
    Option("repo-retention-full", N, "How many full backups are kept, or for how many days.",
           group="repo", low="1", high="9999999", commands=_RETAIN, aliases=("retention-full",)),
    Option("repo-retention-full-type", C, "Whether full backups are kept by count or by days.",
           group="repo", default="count", choices=("count", "time"), commands=_RETAIN),
    Option("repo-retention-diff", N, "How many differential backups are kept.", group="repo",
           low="1", high="9999999", commands=_RETAIN, aliases=("retention-diff",)),
    Option("repo-retention-archive", N, "For how many backups WAL is kept.", group="repo",
           low="1", high="9999999", commands=_RETAIN, aliases=("retention-archive",)),
    Option("repo-retention-archive-type", C, "Which backups count for that.", group="repo",
           default="full", choices=("full", "diff", "incr"), commands=_RETAIN,
           aliases=("retention-archive-type",)),
    Option("repo-retention-history", N,
           "For how many days manifests of former backups are kept; unset, for ever.",
           group="repo", low="0", high="9999999", commands=_RETAIN),
    Option("repo-sftp-host", S, "Host of the repository.", group="repo", commands=_REPO,
           required=_REPO, condition=_SFTP, field="sftp.host"),
    Option("repo-sftp-host-port", N, "SSH port of that host.", group="repo", default="22",
           low="1", high="65535", commands=_REPO, condition=_SFTP, field="sftp.port"),
    Option("repo-sftp-host-user", S, "User on that host.", group="repo", commands=_REPO,
           required=_REPO, condition=_SFTP, field="sftp.user"),
    Option("repo-sftp-private-key-file", S, "Private key; ~/ is the home directory.",
           group="repo", commands=_REPO, condition=_SFTP, field="sftp.private_key_file"),
    Option("repo-sftp-private-key-passphrase", S, "Passphrase of the private key.", group="repo",
           secret=True, commands=_REPO, condition=_SFTP, field="sftp.private_key_passphrase"),
    Option("repo-sftp-public-key-file", S, "Public key; not needed.", group="repo",
           commands=_REPO, condition=_SFTP, field="sftp.public_key_file"),
    Option("repo-sftp-agent", B, "Offer the keys of the SSH agent, too.", group="repo",
           default="n", commands=_REPO, condition=_SFTP, unmet="n", field="sftp.agent"),
    Option("repo-sftp-password-file", P,
           "File, readable by nobody else, with a password for servers that want one.",
           group="repo", commands=_REPO, condition=_SFTP, field="sftp.password_file"),
    Option("repo-sftp-rate-limit", Z,
           "Bytes per second over all connections of a command together; 0 or unset, no limit.",
           group="repo", low="0", high="4PiB", commands=_REPO, condition=_SFTP,
           field="sftp.rate_limit"),
    Option("repo-sftp-host-key-check-type", C, "How the host's key is checked.", group="repo",
           default="strict", choices=("strict", "accept-new", "fingerprint", "none"),
           commands=_REPO, condition=_SFTP, field="sftp.key_check_type"),
    Option("repo-sftp-host-key-hash-type", C, "The hash of a fingerprint.", group="repo",
           default="sha256", choices=("md5", "sha1", "sha256"), commands=_REPO, condition=_SFTP,
           field="sftp.key_hash_type"),
    Option("repo-sftp-host-fingerprint", S, "Hash of the host's key, in hexadecimal.",
           group="repo", commands=_REPO, condition=_SFTP, field="sftp.fingerprint"),
    Option("repo-sftp-known-host", L, "File of known host keys, instead of the usual ones.",
           group="repo", commands=_REPO, field="sftp.known_hosts",
           condition=Condition("repo-sftp-host-key-check-type", ("strict", "accept-new"))),
)
# fmt: on

HONOURED = (
    *_COMMAND_LINE,
    *_GENERAL,
    *_LOG,
    *_ARCHIVE,
    *_BACKUPS,
    *_RESTORES,
    *_CLUSTERS,
    *_REPOSITORIES,
)


def _of_archiver(option: Option) -> Option:
    """The archiver does the work of both commands, and takes what they take."""
    if not option.commands & {"archive-get", "archive-push"}:
        return option
    required = option.required
    if "archive-push" in required or option.name == "pg-path":
        required = required | {"archiver"}
    return option._replace(commands=option.commands | {"archiver"}, required=required)


OPTIONS = {
    option.name: _of_archiver(option)
    for option in (
        *(option._replace(section=Section.COMMAND_LINE) for option in _COMMAND_LINE),
        *HONOURED[len(_COMMAND_LINE) :],
        *foreign.OPTIONS,
    )
}
