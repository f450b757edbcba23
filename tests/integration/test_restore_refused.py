# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that cannot succeed touches nothing; one that fails leaves nothing that starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import time

import pytest

from ansible_collections.pgsftp.backup.tests.support.engine import own

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(sites, new_cluster):
    """Two backups with WAL between and after them; the cluster is stopped."""
    made = sites(new_cluster("--wal-segsize=1"))
    made.configure(repo1_bundle="n", compress_type="none")
    made.archive()
    cluster = made.cluster
    made.run("stanza-create")
    cluster.psql(
        "create table big as select i, repeat('x', 500) t from generate_series(1, 40000) i"
    )
    for name in ("shop", "blog"):
        cluster.psql(f"create database {name}")
        cluster.psql("create table own as select 1 i", database=name)
    out = made.run("backup", "--type=full").stdout
    made.label = next(line for line in out.splitlines() if "new backup label" in line).split()[-1]
    made.segments = []
    for number in range(6):
        made.segments.append(
            cluster.psql(f"create table t{number} (); select pg_walfile_name(pg_switch_wal())")
        )
    made.run("check")
    cluster.stop()
    return made


@pytest.fixture
def without(site):
    """Take a segment out of the archive, for one test."""
    taken = []

    def take(name):
        (path,) = site.repo.glob(f"archive/demo/*/*/{name}-*")
        hidden = site.root / path.name
        os.rename(path, hidden)
        taken.append((hidden, path))

    yield take
    for hidden, path in taken:
        os.rename(hidden, path)


@pytest.fixture
def used(site):
    """A directory with files that a restore would remove; they stay when it is refused."""
    copy = site.restored(f"used{time.monotonic_ns()}")
    copy.data.mkdir(mode=0o700)
    (copy.data / "PG_VERSION").write_text("15\n")
    (copy.data / "precious").write_text("data")
    (copy.data / "global").mkdir()
    (copy.data / "global" / "pg_control").write_text("control")
    for path in (copy.data, *copy.data.rglob("*")):
        own(path)
    yield copy
    assert (copy.data / "precious").read_text() == "data"
    assert (copy.data / "global" / "pg_control").read_text() == "control"
    assert len(list(copy.data.rglob("*"))) in (4, 5)


def refused(site, copy, *arguments, code):
    done = site.run("restore", "--delta", f"--pg1-path={copy.data}", *arguments, code=code)
    return done.stdout + done.stderr


def test_wal_that_the_backup_needs(site, used, without):
    manifest = (site.repo / "backup/demo" / site.label / "backup.manifest").read_text()
    (start,) = (
        line.split("=")[1].strip('"')
        for line in manifest.splitlines()
        if line.startswith("backup-archive-start")
    )
    without(start)
    said = refused(site, used, code=55)
    assert f"backup set {site.label} cannot be made consistent" in said
    assert f"1 is not in the archive: {start}" in said


def test_a_gap_would_silently_end_the_recovery(site, used, without):
    without(site.segments[2])
    without(site.segments[3])
    said = refused(site, used, code=55)
    assert "2 WAL segments are missing in the archive" in said
    assert f"{site.segments[2]}, {site.segments[3]}" in said
    assert "--type=immediate" in said
    # The way out that the hint names is one.
    (word,) = (word for word in said.split() if word.startswith("--target="))
    copy = site.restored("before-gap")
    site.run(
        "restore", f"--pg1-path={copy.data}", "--type=lsn", word.rstrip(","),
        "--target-action=promote",
    )  # fmt: skip
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    assert copy.psql("select count(*) from pg_class where relname ~ '^t[0-9]$'") in ("1", "2", "3")
    copy.stop("immediate")


def test_a_position_beyond_a_gap(site, used, without):
    without(site.segments[3])
    number = int(site.segments[4][16:], 16)
    said = refused(site, used, "--type=lsn", f"--target=0/{number:X}00080", code=55)
    assert f"1 is not in the archive: {site.segments[3]}" in said


def test_a_time_beyond_a_gap(site, used, without):
    without(site.segments[3])
    # The segment before the gap came long before the target.
    (path,) = site.repo.glob(f"archive/demo/*/*/{site.segments[2]}-*")
    before = path.stat().st_mtime
    os.utime(path, (before - 86400, before - 86400))
    target = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(before + 1))
    while time.time() < before + 2:
        time.sleep(0.1)
    try:
        said = refused(
            site, used, "--type=time", f"--target={target}", f"--set={site.label}", code=82
        )
    finally:
        os.utime(path, (before, before))
    assert f"the last WAL segment before a gap, {site.segments[2]}, was archived" in said
    assert f"missing after it: {site.segments[3]}" in said


def test_an_unknown_timeline(site, used):
    said = refused(site, used, "--target-timeline=7", code=58)
    assert "'00000007.history' is not in the archive" in said


def test_a_server_that_runs_is_refused_even_with_force(site, used):
    pid = used.data / "postmaster.pid"
    # What the kernel calls it is the name of the program, by which other users know it.
    program = used.root / "postgres"
    program.symlink_to(shutil.which("sleep"))
    with subprocess.Popen([str(program), "600"], cwd=used.data) as server:
        pid.write_text(f"{server.pid}\n")
        try:
            said = refused(site, used, "--force", code=38)
        finally:
            server.kill()
    assert f"process {server.pid} ('postgres') is running: stop the server first" in said
    pid.write_text(f"{os.getpid()}\n")
    said = refused(site, used, "--force", code=38)
    assert f"names process {os.getpid()}, which is another one" in said
    gone = subprocess.Popen(["true"])
    gone.wait()
    pid.write_text(f"{gone.pid}\n{used.data}\n")
    said = refused(site, used, code=38)
    assert "remove the file and try again" in said
    pid.unlink()


def test_a_directory_that_is_not_empty(site, used):
    done = site.run("restore", f"--pg1-path={used.data}", code=40)
    assert "--delta" in done.stdout + done.stderr


def test_a_directory_that_is_none_of_postgresql(site):
    place = site.root / "home"
    place.mkdir()
    own(place)
    (place / "letters").write_text("dear")
    done = site.run("restore", "--delta", "--force", f"--pg1-path={place}", code=40)
    assert "unable to find 'PG_VERSION' or 'backup.manifest'" in done.stdout + done.stderr
    assert (place / "letters").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems and is not let in")
def test_what_does_not_fit_and_where_nobody_lets_it_in(site, used):
    small = site.root / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        own(small)
        place = small / "data"
        done = site.run("restore", f"--pg1-path={place}", code=64)
        assert f"unable to restore to '{small}'" in done.stdout + done.stderr
        assert "are needed there, but only" in done.stdout + done.stderr
        assert not place.exists()
        said = refused(site, used, f"--link-map=base={small}/base", code=64)
        assert "are needed there" in said
    finally:
        subprocess.run(["umount", small], check=True)
    small.chmod(0o700)
    os.chown(small, 0, 0)
    for link in (f"pg_wal={small}/x/wal", f"postgresql.conf={small}/x/postgresql.conf"):
        said = refused(site, used, f"--link-map={link}", code=53)
        assert f"HINT: '{small}' belongs to root, and postgres runs this" in said
    used.data.chmod(0o300)
    said = refused(site, used, code=53)
    assert f"unable to look into '{used.data}'" in said
    used.data.chmod(0o700)
    (used.data / "deep").mkdir(mode=0o700)
    try:
        said = refused(site, used, code=53)
        assert f"unable to look into '{used.data}/deep'" in said
        assert f"'{used.data}/deep' belongs to root" in said
    finally:
        (used.data / "deep").rmdir()


def assert_does_not_start(copy):
    assert not (copy.data / "global" / "pg_control").exists()
    if (copy.data / "postgresql.conf").exists():
        copy.configure(unix_socket_directories=str(copy.socket))
    words = "could not start server|is not a database cluster directory"
    with pytest.raises(AssertionError, match=words):
        copy.start()


# Large files come first: with the last one damaged all the others are there.
@pytest.mark.parametrize("which", [0, -1], ids=["smallest", "largest"])
def test_one_flipped_byte_names_the_file_and_leaves_nothing_that_starts(site, which):
    copy = site.restored(f"flipped{which}")
    files = sorted(
        (site.repo / "backup/demo" / site.label / "pg_data/base").rglob("*"),
        key=lambda path: path.stat().st_size,
    )
    path = [path for path in files if path.is_file() and path.stat().st_size][which]
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    try:
        done = site.run("restore", f"--pg1-path={copy.data}", "--type=immediate", code=26)
    finally:
        path.write_bytes(data)
    assert f"base/{path.parent.name}/{path.name}" in done.stdout + done.stderr
    assert_does_not_start(copy)
    complete(site, copy)


def test_a_restore_that_was_killed_leaves_nothing_that_starts(site):
    copy = site.restored("killed")
    words = [site.command, f"--config={site.config}", "--stanza=demo", "restore",
             f"--pg1-path={copy.data}", "--process-max=1"]  # fmt: skip
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    process = subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **owner
    )
    deadline = time.monotonic() + 60
    while not any((copy.data / "base").glob("*/*")):
        assert process.poll() is None and time.monotonic() < deadline
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (copy.data / "backup.manifest").exists()
    assert_does_not_start(copy)
    complete(site, copy)


def complete(site, copy):
    """The second run fetches what is missing, and the server has everything."""
    site.run(
        "restore", f"--pg1-path={copy.data}", "--delta", "--type=immediate",
        "--target-action=promote",
    )  # fmt: skip
    assert not (copy.data / "backup.manifest").exists()
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    assert copy.psql("select count(*) from big") == "40000"
    copy.stop()
    copy.run(copy.bin / "pg_checksums", "--check", "--pgdata", copy.data)


def test_one_database_only(site):
    copy = site.restored("selective")
    arguments = ("restore", f"--pg1-path={copy.data}", "--type=immediate",
                 "--target-action=promote", "--db-include=shop")  # fmt: skip
    site.run(*arguments)
    assert_one_database(copy)
    # And again over a directory with everything in it.
    copy.stop()
    site.run(*arguments[:-1], "--delta")
    assert "precious" not in os.listdir(copy.data)
    site.run(*arguments, "--delta")
    assert_one_database(copy)


def assert_one_database(copy):
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    assert copy.psql("select i from own", database="shop") == "1"
    assert copy.psql("select count(*) from big") == "40000"
    with pytest.raises(AssertionError):
        copy.psql("select i from own", database="blog")
    oid = copy.psql("select oid from pg_database where datname = 'blog'")
    files = [path for path in (copy.data / "base" / oid).iterdir() if path.name != "PG_VERSION"]
    assert sum(path.stat().st_blocks for path in files) < 8 * 16
    assert sum(path.stat().st_size for path in files) > 1024 * 1024
    copy.psql("drop database blog")


def test_root_gives_files_to_their_owners(site):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    copy = site.restored("by-root")
    place = copy.root / "new" / "wal"
    subprocess.run(
        [site.command, f"--config={site.config}", "--stanza=demo", "restore",
         f"--pg1-path={copy.data}", "--type=immediate", "--target-action=promote",
         f"--link-map=pg_wal={place}", f"--link-map=postgresql.conf={copy.root}/etc/main.conf"],
        check=True, capture_output=True,
    )  # fmt: skip
    cluster = site.cluster.data.stat()
    for path in (place.parent, place, copy.root / "etc", *copy.root.rglob("data/**/*")):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (cluster.st_uid, cluster.st_gid), path
    assert stat.S_IMODE(copy.data.stat().st_mode) == stat.S_IMODE(cluster.st_mode)
    assert os.readlink(copy.data / "pg_wal") == str(place)
    assert (copy.root / "etc/main.conf").is_file()
    copy.configure(unix_socket_directories=str(copy.socket))
    copy.start()
    copy.wait("select pg_is_in_recovery()", "f")
    copy.stop("immediate")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "off"),
        (("--type=none",), "off"),
        (("--archive-mode=preserve",), None),
        (("--type=standby",), None),
        (("--type=none", "--archive-mode=off"), "off"),
    ],
)
def test_a_copy_does_not_archive_into_the_stanza_of_its_origin(site, arguments, expected):
    copy = site.restored("copy" + "".join(arguments).replace("--", "."))
    done = site.run("restore", f"--pg1-path={copy.data}", *arguments)
    text = (copy.data / "postgresql.auto.conf").read_text()
    assert ("archive_mode = 'off'" in text) == (expected == "off")
    warned = "does not archive into the stanza of its origin" in done.stdout
    assert warned == (expected == "off" and "--archive-mode=off" not in arguments)


def test_what_was_fetched_ahead_for_another_recovery_goes_away(site):
    ahead = site.root / "spool/archive/demo/in"
    ahead.mkdir(parents=True)
    for path in (site.root / "spool", *(site.root / "spool").rglob("*")):
        own(path)
    copy = site.restored("spooled")
    site.run("restore", f"--pg1-path={copy.data}", "--type=none")
    assert not ahead.parent.exists()
    # In the place of the cluster itself nothing changes.
    site.run("restore", "--delta", "--type=none")
    text = (site.cluster.data / "postgresql.auto.conf").read_text()
    assert "archive_mode" not in text


def test_the_same_place_of_another_host_does_not_archive(site):
    """Its configuration and the path are the same; but it has never archived from there."""
    (note,) = (site.root / "spool/home").iterdir()
    here = note.read_text()
    elsewhere = json.loads(here) | {"host": "staging-srv"}
    note.write_text(json.dumps(elsewhere) + "\n")
    settings = site.cluster.data / "postgresql.auto.conf"
    try:
        done = site.run("restore", "--delta", "--type=none")
        assert "nothing shows that the cluster has archived from" in done.stdout
        assert "archive_mode = 'off'" in settings.read_text()
        site.run("restore", "--delta", "--type=none", "--archive-mode=preserve")
        assert "archive_mode" not in settings.read_text()
    finally:
        note.write_text(here)


def test_the_first_repository_that_can_is_restored_from(site, without):
    other = site.root / "repo2"
    shutil.copytree(site.repo, other, symlinks=True)
    for path in (other, *other.rglob("*")):
        own(path)
    without(site.segments[2])
    copy = site.restored("second")
    arguments = ("restore", f"--pg1-path={copy.data}", "--delta")
    try:
        # WAL that one does not have may be in the other.
        site.configure(repo2_path=str(other))
        said = site.run(*arguments).stdout
        assert "repo1: restore backup set" in said
        site.configure(repo1_path=str(site.root / "nowhere"))
        said = site.run(*arguments).stdout
        assert "WARN: repo1: unable to" in said
        assert "repo2: restore backup set" in said
        said = site.run(*arguments, "--repo=1", code=55)
        assert "repo2" not in said.stderr
    finally:
        site.configure(repo1_path=str(site.repo), repo2_path=None)
