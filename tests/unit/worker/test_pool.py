# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker processes: order, overlap, errors, death."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time

import pytest

from ansible_collections.pgsftp.backup.plugins.module_utils.engine import errors
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker import pool as pool_module
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.pool import (
    Finished,
    Report,
    WorkerPool,
)
from ansible_collections.pgsftp.backup.plugins.module_utils.engine.worker.serve import (
    Done,
    RefusedError,
)


def _jobs(items):
    items = list(items)
    return lambda worker: items.pop(0) if items else None


def test_every_job_is_done_once_and_its_result_comes_back():
    with WorkerPool(
        3, lambda number, progress, word: lambda job: Done((number, job * job))
    ) as pool:
        finished = [f for f in pool.run(_jobs(range(50))) if isinstance(f, Finished)]
    assert sorted(f.job for f in finished) == list(range(50))
    assert all(f.result == (f.worker, f.job**2) for f in finished)


def test_a_pool_can_run_again():
    with WorkerPool(2, lambda number, progress, word: lambda job: Done(-job)) as pool:
        for _dummy in range(2):
            assert sorted(f.result for f in pool.run(_jobs([1, 2, 3]))) == [-3, -2, -1]


def _until(told, deadline=20):
    end = time.monotonic() + deadline
    while not told():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_parent_has_work_of_its_own_while_the_first_jobs_are_done(tmp_path):
    """At the first run, too, when no worker has said yet that it is there."""

    def setup(number, progress, word):
        def handler(job):
            (tmp_path / str(number)).touch()
            _until((tmp_path / "parent").exists)
            return Done(job)

        return handler

    def meanwhile():
        _until(lambda: len(list(tmp_path.iterdir())) == 3)
        (tmp_path / "parent").touch()

    with WorkerPool(3, setup) as pool:
        assert len(list(pool.run(_jobs(range(5)), meanwhile=meanwhile))) == 5


def test_the_parent_does_not_put_off_its_work_for_a_worker_that_connects_late(tmp_path):
    def setup(number, progress, word):
        if number == 2:
            _until((tmp_path / "parent").exists)
        return Done

    with WorkerPool(2, setup) as pool:
        begun = time.monotonic()
        events = pool.run(_own_jobs({1: [1], 2: [2]}), interchangeable=False,
                          meanwhile=(tmp_path / "parent").touch)  # fmt: skip
        assert len([event for event in events if isinstance(event, Finished)]) == 2
        assert time.monotonic() - begun < pool_module.TICK


@pytest.mark.parametrize("jobs", [[], [1]])
def test_the_parent_does_its_work_once_however_little_there_is(jobs):
    done = []
    with WorkerPool(2, lambda number, progress, word: Done) as pool:
        for _dummy in range(2):
            list(pool.run(_jobs(jobs), meanwhile=lambda: done.append(1)))
    assert done == [1, 1]


def test_a_worker_never_runs_what_the_parent_does_for_a_signal(monkeypatch):
    """It may be ended before it has had time to say what it does."""
    heard, hears = os.pipe()
    fork = os.fork

    def fork_and_end():
        pid = fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return pid

    before = signal.signal(signal.SIGTERM, lambda *_told: os.write(hears, b"heard"))
    monkeypatch.setattr(pool_module.os, "fork", fork_and_end)
    try:
        pool = WorkerPool(1, lambda number, progress, word: Done)
        pid = pool._workers[0].pid
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)
        # The parent is as it was.
        assert os.read(heard, 100) == b"heard"
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("late", [1, 2])
def test_few_jobs_are_shared_by_all_workers(late):
    """Whoever connects first does not take what the other could do."""

    def setup(number, progress, word):
        if number == late:
            time.sleep(0.3)

        def handler(job):
            time.sleep(0.6)
            return Done(job)

        return handler

    with WorkerPool(2, setup) as pool:
        finished = [f for f in pool.run(_jobs(["one", "other"])) if isinstance(f, Finished)]
    assert sorted(f.worker for f in finished) == [1, 2]


def test_who_has_nothing_left_to_do_ends(tmp_path):
    """Its session may be the one that another worker, which has lost its own, is waiting for."""

    def hold():
        session = os.open(tmp_path / "session", os.O_CREAT | os.O_RDWR)
        fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def setup(number, progress, word):
        if number == 2:
            hold()

        def handler(job):
            if number == 2:
                return Done(number)
            time.sleep(0.5)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    hold()
                    return Done("somebody else's session")
                time.sleep(0.05)
            return Done(number)

        return handler

    with WorkerPool(2, setup) as pool:
        events = pool.run(_jobs(["one", "other"]), for_good=True)
        finished = {f.worker: f.result for f in events if isinstance(f, Finished)}
    assert finished == {1: "somebody else's session", 2: 2}


def test_what_was_finished_before_the_end_is_not_lost():
    def handler(job):
        if job == 3:
            time.sleep(60)
        return Done(job)

    pool = WorkerPool(1, lambda number, progress, word: handler)
    events = pool.run(_jobs(range(5)))
    assert next(event for event in events if isinstance(event, Finished)).result == 0
    time.sleep(0.3)
    begun = time.monotonic()
    assert [event.result for event in pool.abandon()] in ([1], [1, 2])
    assert time.monotonic() - begun < 10
    assert list(pool.abandon()) == []


def test_no_jobs_is_no_work():
    with WorkerPool(2, lambda number, progress, word: Done) as pool:
        assert list(pool.run(lambda worker: None)) == []


def test_the_next_job_starts_while_the_last_answers_of_one_are_awaited():
    class Slow:
        def __init__(self, started, job):
            self._started, self._job = started, job

        def ready(self):
            return False

        def result(self):
            return self._job, list(self._started)

    def setup(number, progress, word):
        started = []

        def handler(job):
            # As long as sending takes, the parent's next job arrives meanwhile.
            time.sleep(0.1)
            started.append(job)
            return Slow(started, job)

        return handler

    with WorkerPool(1, setup) as pool:
        results = [f.result for f in pool.run(_jobs([1, 2, 3]))]
    assert [job for job, _dummy in results] == [1, 2, 3]
    assert any(len(started) > job for job, started in results[:-1])


def test_progress_reaches_the_parent():
    def setup(number, progress, word):
        def handler(job):
            progress(job)
            return Done(None)

        return handler

    with WorkerPool(2, setup) as pool:
        sizes = [r.size for r in pool.run(_jobs([10, 20])) if isinstance(r, Report)]
    assert sorted(sizes) == [10, 20]


def test_a_stalled_worker_does_not_keep_the_parent_from_its_other_duties(monkeypatch):
    """What keeps a session with a server alive must not depend on what a worker has to say."""
    monkeypatch.setattr(pool_module, "TICK", 0.01)
    reader, writer = os.pipe()

    def handler(_job):
        os.read(reader, 1)
        return Done(None)

    with WorkerPool(1, lambda number, progress, word: handler) as pool:
        events = pool.run(_jobs([1]))
        assert [next(events) for _dummy in range(3)] == [Report(0, 0)] * 3
        os.write(writer, b"x")
        assert [event for event in events if event != Report(0, 0)] == [Finished(1, 1, None)]
    os.close(reader)
    os.close(writer)


def test_an_engine_error_arrives_with_class_message_and_hint():
    def setup(number, progress, word):
        def handler(job):
            raise errors.StorageFullError("no room on sftp-srv", hint="free some.")

        return handler

    with pytest.raises(errors.StorageFullError) as caught, WorkerPool(2, setup) as pool:
        list(pool.run(_jobs(range(10))))
    assert (caught.value.message, caught.value.hint) == ("no room on sftp-srv", "free some.")


def test_an_error_in_setup_is_raised_by_the_first_run():
    def setup(number, progress, word):
        raise errors.HostConnectError("unable to connect")

    with pytest.raises(errors.HostConnectError), WorkerPool(1, setup) as pool:
        list(pool.run(_jobs([1])))


def test_a_defect_names_the_place_in_the_code():
    def setup(number, progress, word):
        return lambda job: 1 // 0

    with pytest.raises(errors.AssertError, match="ZeroDivisionError"), WorkerPool(1, setup) as pool:
        list(pool.run(_jobs([1])))


def test_a_killed_worker_is_reported_and_the_others_are_stopped():
    def setup(number, progress, word):
        def handler(job):
            if job == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(30)

        return handler

    start = time.monotonic()
    with pytest.raises(errors.ExecuteError, match="signal 9"), WorkerPool(2, setup) as pool:
        list(pool.run(_jobs([1, 2])))
    assert time.monotonic() - start < 20


def test_workers_of_a_killed_parent_end_at_once_and_with_them_its_lock(tmp_path):
    """In the middle of a job, with another one waiting: the next run must not be kept away."""

    def setup(number, progress, word):
        def handler(job):
            (tmp_path / f"{number}-{job}").touch()
            time.sleep(60)
            return Done(job)

        return handler

    path = tmp_path / "lock"
    path.touch()
    parent = os.fork()
    if parent == 0:
        try:
            fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX)
            with WorkerPool(2, setup) as pool:
                list(pool.run(_jobs("abcd")))
        finally:
            os._exit(0)
    _until(lambda: len(list(tmp_path.iterdir())) == 3)
    # Time for the second job of each to be handed out.
    time.sleep(0.2)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)

    def is_free():
        with path.open() as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    _until(is_free, 2)
    assert len(list(tmp_path.iterdir())) == 3


def test_long_jobs_and_long_results_do_not_block_each_other():
    size = 4 << 20
    with WorkerPool(2, lambda number, progress, word: lambda job: Done(job[::-1])) as pool:
        results = [f.result for f in pool.run(_jobs([b"x" * size] * 12))]
    assert [len(result) for result in results] == [size] * 12


def test_a_server_that_grants_fewer_sessions_is_worked_with(caplog):
    def setup(number, progress, word):
        if number > 2:
            raise errors.HostConnectError("unable to connect: too many sessions")
        return lambda job: Done(number)

    with WorkerPool(5, setup) as pool:
        finished = [f.result for f in pool.run(_jobs(range(200)))]
    assert len(finished) == 200
    assert set(finished) <= {1, 2}


def test_workers_connect_when_they_are_told_to(tmp_path):
    def setup(number, progress, word):
        (tmp_path / str(number)).touch()
        return Done

    with WorkerPool(2, setup) as pool:
        time.sleep(0.3)
        assert not list(tmp_path.iterdir())
        pool.begin()
        deadline = time.monotonic() + 20
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(list(pool.run(_jobs(range(10))))) == 10


def test_a_pool_that_was_never_needed_ends():
    start = time.monotonic()
    with WorkerPool(2, lambda number, progress, word: Done):
        pass
    assert time.monotonic() - start < 20


def test_when_nobody_can_connect_the_cause_is_raised():
    def setup(number, progress, word):
        raise errors.HostConnectError("unable to connect")

    with pytest.raises(errors.HostConnectError), WorkerPool(3, setup) as pool:
        list(pool.run(_jobs(range(10))))


def test_a_worker_that_still_connects_at_the_end_is_not_waited_for():
    def setup(number, progress, word):
        if number == 2:
            time.sleep(60)
        return Done

    start = time.monotonic()
    with WorkerPool(2, setup) as pool:
        assert len(list(pool.run(_jobs(range(10))))) == 10
    assert time.monotonic() - start < 20


def _own_jobs(queues):
    return lambda worker: queues[worker].pop(0) if queues[worker] else None


def test_jobs_of_a_worker_that_connects_late_are_done_by_it():
    def setup(number, progress, word):
        if number == 1:
            time.sleep(0.5)
        return lambda job: Done((number, job))

    queues = {1: ["a", "b", "c"], 2: []}
    with WorkerPool(2, setup) as pool:
        events = list(pool.run(_own_jobs(queues), interchangeable=False))
    assert [event.result for event in events] == [(1, "a"), (1, "b"), (1, "c")]


def test_a_worker_that_nobody_can_stand_in_for_is_missed():
    def setup(number, progress, word):
        if number == 1:
            raise errors.HostConnectError("unable to connect")
        return Done

    queues = {1: ["a"], 2: ["b"]}
    with pytest.raises(errors.HostConnectError), WorkerPool(2, setup) as pool:
        list(pool.run(_own_jobs(queues), interchangeable=False))


def _logging_in(place, granted, *, slow=0.0):
    """A set-up whose handlers ask for one of so many sessions when they need it, as they do for all
    jobs but every third; a session ends with its process.
    """

    def log_in():
        for number in range(granted):
            session = os.open(place / f"session{number}", os.O_CREAT | os.O_RDWR)
            try:
                fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(session)
            else:
                return session
        time.sleep(slow)
        raise RefusedError(errors.ServiceError("public key refused", hint="too many sessions?"))

    def setup(number, progress, word):
        sessions = []

        def handler(job):
            if job % 3 and not sessions:
                sessions.append(log_in())
            time.sleep(0.05)
            return Done(number)

        return handler

    return setup


def test_a_worker_that_is_refused_when_a_job_needs_a_session_is_done_without(tmp_path, caplog):
    with WorkerPool(4, _logging_in(tmp_path, 2)) as pool:
        finished = [e for e in pool.run(_jobs(range(40)), for_good=True) if isinstance(e, Finished)]
    assert sorted(row.job for row in finished) == list(range(40))
    assert len({row.worker for row in finished if row.job % 3}) <= 2
    warned = [record.getMessage() for record in caplog.records]
    assert [text.partition(": ")[2] for text in warned] == [
        "public key refused: going on with 3",
        "public key refused: going on with 2",
    ]


def test_the_last_worker_gets_the_session_that_another_one_has_done_with(tmp_path):
    """Its refusal may take longer than all that the other one had to do."""
    with WorkerPool(2, _logging_in(tmp_path, 1, slow=0.5)) as pool:
        finished = [e for e in pool.run(_jobs([1, 2]), for_good=True) if isinstance(e, Finished)]
    assert sorted((row.job, row.worker) for row in finished) in (
        [(1, 1), (2, 2)],
        [(1, 2), (2, 1)],
    )


def test_when_every_job_is_refused_the_cause_is_raised(tmp_path):
    with pytest.raises(errors.ServiceError, match="key refused"):
        with WorkerPool(3, _logging_in(tmp_path, 0)) as pool:
            list(pool.run(_jobs(range(1, 20)), for_good=True))


def test_a_refused_worker_that_nobody_can_stand_in_for_is_missed(tmp_path):
    with pytest.raises(errors.ServiceError, match="key refused"):
        with WorkerPool(2, _logging_in(tmp_path, 1)) as pool:
            list(pool.run(_own_jobs({1: [1], 2: [2]}), interchangeable=False))
