# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of one command as typed values: what `load` makes and everything else reads.

Names are pgBackRest's with ``_`` for ``-``; sizes are bytes, times are seconds. A default here is
the default of the option table, which a test compares.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..errors import OptionInvalidValueError, OptionRequiredError

MIB = 1024 * 1024

# Where a host key is looked for when no ``repo-sftp-known-host`` is given, in this order. ``~/`` is
# the home directory of the user who runs the command; whoever opens such a file expands it.
DEFAULT_KNOWN_HOSTS = (
    "~/.ssh/known_hosts",
    "~/.ssh/known_hosts2",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
)


class Secret:
    """A text that never shows itself: in logs, tracebacks and reports it reads ``<redacted>``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "<redacted>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<redacted>", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        return (Secret, (self._text,))


class Given(t.NamedTuple):
    """An option that somebody set, as text for a log line or for another command's line.

    The name carries no dashes in front. A list gives one row for each of its values. The value of
    a secret is ``<redacted>``. What a command line takes back (``reset``) has no value, and is not
    set: it is told because a file may set it.
    """

    name: str
    value: str
    source: str  # 'argument', 'environment', 'file', or 'default' for an exec-id of our own
    reset: bool = False


@dataclass(frozen=True)
class SftpOptions:
    """How to reach a repository over SFTP (repository reference, section 21)."""

    host: str
    user: str
    private_key_file: str | None = None
    port: int = 22
    private_key_passphrase: Secret | None = None
    public_key_file: str | None = None
    agent: bool = False
    password_file: str | None = None
    rate_limit: int | None = None  # bytes per second
    key_check_type: str = "strict"  # strict, accept-new, fingerprint, none
    key_hash_type: str = "sha256"  # md5, sha1, sha256: of the fingerprint
    fingerprint: str | None = None
    known_hosts: tuple[str, ...] = DEFAULT_KNOWN_HOSTS


@dataclass(frozen=True)
class RepoOptions:
    """One repository, ``repo<key>-...``."""

    key: int = 1
    type: str = "posix"  # posix, sftp
    path: str = "/var/lib/pgbackrest"
    sftp: SftpOptions | None = None
    bundle: bool = False
    bundle_size: int = 20 * MIB
    bundle_limit: int = 2 * MIB
    block: bool = False
    # Rows by descending first column: file size and block size, days and multiplier, block size and
    # bytes of a checksum. Empty: pgBackRest's own table.
    block_size_map: tuple[tuple[int, int], ...] = ()
    block_age_map: tuple[tuple[int, int], ...] = ()
    block_checksum_size_map: tuple[tuple[int, int], ...] = ()
    block_size_super: int = 256 * 1024
    block_size_super_full: int = MIB
    cipher_type: str = "none"  # none, aes-256-cbc
    cipher_pass: Secret | None = None
    hardlink: bool = False
    symlink: bool = True
    retention_full: int | None = None
    retention_full_type: str = "count"  # count, time (days)
    retention_diff: int | None = None
    retention_archive: int | None = None
    retention_archive_type: str = "full"  # full, diff, incr
    retention_history: int | None = None  # days


@dataclass(frozen=True)
class PgOptions:
    """One PostgreSQL cluster, ``pg<key>-...``; without a host it is on this machine."""

    key: int = 1
    path: str = ""
    port: int = 5432
    socket_path: str | None = None
    user: str | None = None
    database: str = "postgres"
    host: str | None = None
    host_user: str = "postgres"
    host_port: int | None = None
    host_cmd: str | None = None  # None: the same command as here
    host_config: str | None = None


@dataclass(frozen=True)
class Options:
    """Everything that one run of one command was told."""

    command: str
    parameters: tuple[str, ...] = ()
    stanza: str | None = None
    repos: tuple[RepoOptions, ...] = ()
    selected_repo: int | None = None  # --repo
    pgs: tuple[PgOptions, ...] = ()
    config_file: str | None = None  # the file that was read
    explicit: tuple[Given, ...] = ()  # what was set, sorted by name
    warnings: tuple[str, ...] = ()  # what the configuration deserves to be told
    exec_id: str = ""  # of this run, in lock files and logs

    # General.
    process_max: int = 1
    compress_type: str = "gz"  # none, gz, bz2, lz4, zst
    compress_level: int | None = None  # None: the default of the type
    compress_level_network: int = 1
    buffer_size: int = MIB
    delta: bool = False
    dry_run: bool = False
    force: bool = False
    db_timeout: float = 1800.0
    io_timeout: float = 60.0
    protocol_timeout: float = 1860.0
    cmd: str | None = None  # how PostgreSQL is told to call this command; None: as we were called
    cmd_ssh: str = "ssh"
    lock_path: str = "/tmp/pgbackrest"
    spool_path: str = "/var/spool/pgbackrest"
    neutral_umask: bool = True
    allow_root: bool = False

    # Log.
    log_path: str = "/var/log/pgbackrest"
    log_level_console: str = "warn"
    log_level_file: str = "info"
    log_level_stderr: str = "off"
    log_timestamp: bool = True

    # Archive.
    archiver_path: str = "/run/pgsftp"
    archiver_metrics_path: str | None = None
    archive_get_queue_max: int = 128 * MIB
    archive_timeout: float = 60.0
    archive_check: bool = True
    archive_copy: bool = False
    archive_header_check: bool = True
    archive_mode_check: bool = True
    archive_push_queue_max: int | None = None  # bytes; None: nothing is ever dropped

    # Backup.
    type: str | None = None  # `load` fills in the command's default
    start_fast: bool = False
    stop_auto: bool = False
    online: bool = True
    resume: bool = True
    backup_standby: str = "n"  # n, y, prefer
    checksum_page: bool | None = None  # None: as the cluster has it
    exclude: tuple[str, ...] = ()
    annotation: tuple[tuple[str, str], ...] = ()
    expire_auto: bool = True
    manifest_save_threshold: int = 1024 * MIB

    # Restore.
    set: str | None = None  # None: the latest
    target: str | None = None
    target_action: str = "pause"  # pause, promote, shutdown
    target_exclusive: bool = False
    target_timeline: str | None = None
    archive_mode: str = "preserve"  # preserve, off
    recovery_option: tuple[tuple[str, str], ...] = ()
    tablespace_map: tuple[tuple[str, str], ...] = ()
    tablespace_map_all: str | None = None
    link_all: bool = False
    link_map: tuple[tuple[str, str], ...] = ()
    db_include: tuple[str, ...] = ()
    db_exclude: tuple[str, ...] = ()

    # Retention.
    oldest: bool = False

    # Check.
    preflight: bool = True

    # Reports.
    output: str = "text"  # text, json, none
    verbose: bool = False
    filter: str | None = None
    reference: str | None = None
    recurse: bool = False
    sort: str = "asc"  # asc, desc, none
    raw: bool = False
    ignore_missing: bool = False

    def repo(self, key: int | None = None) -> RepoOptions:
        """The repository of that key; without one the selected (``--repo``) or the lowest.

        Raises OptionInvalidValueError for a key that is not configured, OptionRequiredError when
        none is.
        """
        if not self.repos:
            raise OptionRequiredError(f"{self.command} command requires option: repo1-path")
        wanted = self.selected_repo if key is None else key
        if wanted is None:
            return self.repos[0]
        for repo in self.repos:
            if repo.key == wanted:
                return repo
        raise OptionInvalidValueError(
            f"key '{wanted}' is not valid for 'repo' option",
            hint="configured repositories: " + ", ".join(str(repo.key) for repo in self.repos),
        )

    @property
    def pg(self) -> PgOptions:
        """The cluster of the lowest key; OptionRequiredError when none is configured."""
        if not self.pgs:
            raise OptionRequiredError(
                f"{self.command} command requires option: pg1-path",
                hint=f"does section [{self.stanza}] of the configuration file hold pg1-path?",
            )
        return self.pgs[0]

    def is_given(self, name: str) -> bool:
        """Whether somebody set the option, wherever, to whatever value."""
        return any(given.name == name and not given.reset for given in self.explicit)

    def require_stanza(self) -> str:
        """The stanza, or OptionRequiredError."""
        if self.stanza is None:
            raise OptionRequiredError(
                f"{self.command} command requires option: stanza",
                hint="name it with --stanza=NAME: it is a section of the configuration file.",
            )
        return self.stanza
