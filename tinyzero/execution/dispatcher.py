"""The thread that owns the zygotes: it starts them, distributes runs, and restarts zygotes that die."""

import contextlib
import logging
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution.answers import has_waited, trouble
from tinyzero.execution.link import Link, LinkLost, Run, StartInterrupted, ZygoteSettings, start

_MAX_ATTEMPTS = 4
"""Attempts at a run whose sandbox process dies repeatedly."""
_START_PAUSES_S = (0.1, 0.5, 2.0)
"""Pauses before retries of a zygote that was killed while it started."""
PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Pauses before retries of a child that was killed from outside or not forked: memory may become free."""
_WALL_FACTOR = 4.0
"""Wall time limit of a run as a multiple of its CPU seconds; it also stops runs that do not compute."""
_QUEUED_PER_SLOT = 3
"""Runs that wait in a zygote's socket, so that the zygote never waits for this thread."""
_SLOTS_PER_ZYGOTE = 4
"""A zygote forks one child at a time and can keep about this many cores busy."""
RUNS_PER_ZYGOTE = 50_000
"""A zygote is replaced after this many runs, so that nothing can accumulate in it."""
SEEDS = {False: 1, True: 4242}
_CLOCK_OFFSETS_S = {False: 0, True: 400 * 86_400 + 7777}
"""Clock offsets of true and shifted zygotes: over 400 days, so that date, weekday and hour all differ."""

log = logging.getLogger(__name__)


def num_workers(config: ExecutionConfig) -> int:
    """Programs that run at once: as many as configured, or else as many as this process has cores."""
    if config.workers:
        return config.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Batch:
    """Runs that a caller waits for together. A batch can be used again after it has ended."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.is_done = threading.Event()
        self.extend(runs)
        self.is_abandoned = False
        self.error: ExecutorBroken | None = None

    def extend(self, runs: Sequence[Run]) -> None:
        """Set the next runs to wait for."""
        self.runs = runs
        self.num_left = len(runs)
        self.is_done = threading.Event()

    def cancel(self) -> None:
        self.fail(ExecutorBroken("the runs were cancelled"))

    def run_ended(self) -> None:
        self.num_left -= 1
        if self.num_left == 0:
            self.is_done.set()

    def fail(self, error: ExecutorBroken) -> None:
        self.error = error
        self.is_abandoned = True
        self.is_done.set()


class Dispatcher:
    """Takes batches from any thread; does all other work in its own thread."""

    def __init__(self, config: ExecutionConfig, python: str) -> None:
        self._pid = os.getpid()
        self._config = config
        self._python = python
        self._lock = threading.Lock()  # guards the queues, _batch_of and _error
        self._queues: dict[bool, deque[Run]] = {False: deque(), True: deque()}
        self._batch_of: dict[Run, Batch] = {}
        self._paused: list[tuple[float, Run]] = []  # (time to retry at, run)
        self._error: ExecutorBroken | None = None
        self._is_closing = False
        self.num_runs = 0
        self._links: list[Link] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._waker = socket.socketpair()
        self._wakeup.settimeout(0)
        self._waker.settimeout(0)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="tinyzero-executor", daemon=True)
        self._thread.start()
        self._is_ready.wait()
        if self._error:
            raise self._error

    @property
    def reports(self) -> list[dict[str, object]]:
        """The report of each zygote on its own setup."""
        return [link.report for link in self._links]

    @property
    def pids(self) -> list[int]:
        return [link.process.pid for link in self._links]

    def execute(self, batch: Batch) -> None:
        """Wait until every run of the batch has its `ended`. Another thread may cancel the batch.

        Raises:
            ExecutorBroken: the sandbox failed repeatedly, or the batch was cancelled.
        """
        if batch.error:
            raise batch.error
        if not batch.runs:
            return
        if os.getpid() != self._pid:
            raise ExecutorBroken("a forked process cannot use its parent's executor; make one in it")
        with self._lock:
            if self._error or self._is_closing:
                raise self._error or ExecutorBroken("the executor is closed")
            for run in batch.runs:
                self._batch_of[run] = batch
                self._queues[run.is_shifted].append(run)
        self._wake()
        try:
            batch.is_done.wait()
        except BaseException:
            self.cancel(batch)
            raise
        if batch.error:
            raise batch.error

    def cancel(self, batch: Batch) -> None:
        batch.cancel()
        self._wake()

    def cancel_all(self) -> None:
        """End all runs; callers that wait for them get an ExecutorBroken."""
        with self._lock:
            batches = set(self._batch_of.values())
        for batch in batches:
            batch.cancel()
        self._wake()

    def close(self) -> None:
        if os.getpid() != self._pid:
            return
        self._is_closing = True
        self._wake()
        if threading.current_thread() is not self._thread:  # garbage collection may call this in any thread
            self._thread.join()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: nothing to wake
            self._waker.send(b"\0")

    def _main(self) -> None:
        try:
            self._start_zygotes([False, True] * self._num_pairs())
            self._is_ready.set()
            while not self._is_closing:
                self._end_what_is_abandoned()
                self._share_out()
                self._listen()
        except ExecutorBroken as error:
            self._fail_all(error)
        except BaseException as error:
            self._fail_all(ExecutorBroken(f"the executor's own thread failed: {error!r}"))
            raise
        finally:
            self._shut_down()

    def _num_pairs(self) -> int:
        return math.ceil(num_workers(self._config) / _SLOTS_PER_ZYGOTE)

    def _start_zygotes(self, kinds: Sequence[bool]) -> None:
        """Start zygotes; again where something from outside killed some while they started."""
        for pause_s in _START_PAUSES_S:
            try:
                self._start_once(kinds)
            except StartInterrupted as error:
                log.warning("starting the sandbox is repeated: %s", error)
                time.sleep(pause_s)
            else:
                return
        self._start_once(kinds)

    def _start_once(self, kinds: Sequence[bool]) -> None:
        """Start zygotes in parallel, then wait for each."""
        slots = math.ceil(num_workers(self._config) / self._num_pairs())
        started: list[Link] = []
        try:
            for is_shifted in kinds:
                settings = ZygoteSettings(
                    seed=SEEDS[is_shifted],
                    clock_offset_s=_CLOCK_OFFSETS_S[is_shifted],
                    slots=slots,
                    wall_factor=_WALL_FACTOR,
                    memory_mib=self._config.memory_mib,
                    backstop_s=math.ceil(2 * self._config.cpu_s) + 2,
                    sleep_s=self._config.cpu_s * _WALL_FACTOR,
                )
                started.append(
                    start(settings, python=self._python, parent_pid=os.getpid(), is_shifted=is_shifted)
                )
            for link in started:
                link.wait_until_ready()
        except ExecutorBroken:
            for link in started:
                link.close(0)
            raise
        for link in started:
            self._links.append(link)
            self._selector.register(link.socket, selectors.EVENT_READ, link)

    def _end_what_is_abandoned(self) -> None:
        """End abandoned runs by replacing their zygote, if it has no other runs."""
        for link in list(self._links):
            with self._lock:
                batches = [self._batch_of.get(run) for run in link.given.values()]
                is_idle = all(batch is None or batch.is_abandoned for batch in batches)
                if link.given and is_idle:
                    for run in link.given.values():
                        self._batch_of.pop(run, None)
                    link.given.clear()
                else:
                    continue
            self._replace(link)

    def _share_out(self) -> None:
        for link in list(self._links):
            queue = self._queues[link.is_shifted]
            if link.num_given >= RUNS_PER_ZYGOTE and not link.given:
                self._replace(link)
                continue
            try:
                while queue and self._has_room(link):
                    run = self._next(queue)
                    if run is not None:
                        link.give(run)
            except LinkLost:
                self._replace(link)
                continue
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.has_unsent else 0)
            self._selector.modify(link.socket, events, link)

    def _has_room(self, link: Link) -> bool:
        slots = math.ceil(num_workers(self._config) / self._num_pairs())
        return len(link.given) < slots * (1 + _QUEUED_PER_SLOT) and link.num_given < RUNS_PER_ZYGOTE

    def _next(self, queue: deque[Run]) -> Run | None:
        with self._lock:
            run = queue.popleft()
            if self._batch_of[run].is_abandoned:
                del self._batch_of[run]
                return None
        return run

    def _listen(self) -> None:
        for key, events in self._selector.select(self._resume_paused()):
            if key.data is None:
                self._wakeup.recv(4096)
                continue
            link: Link = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    link.flush()
                if events & selectors.EVENT_READ:
                    for run in link.receive():
                        self._take_back(run)
            except LinkLost:
                self._replace(link)

    def _resume_paused(self) -> float | None:
        """Queue runs whose pause is over. Returns seconds until the next one; None if there is none."""
        now = time.monotonic()
        with self._lock:
            for until, run in self._paused:
                if until <= now:
                    self._queues[run.is_shifted].appendleft(run)
            self._paused = [(until, run) for until, run in self._paused if until > now]
        if any(self._queues.values()):
            self._share_out()
        return min((until - now for until, _ in self._paused), default=None)

    def _take_back(self, run: Run) -> None:
        why = trouble(run.ended, run.cpu_s)
        if not why and has_waited(run.ended) and not run.attempts:
            self._repeat(run, "it hardly ran before its wall time was over")
            return
        if why:
            self._pause(run, why)
            return
        with self._lock:
            batch = self._batch_of.pop(run)
        self.num_runs += 1
        batch.run_ended()

    def _pause(self, run: Run, why: str) -> None:
        """Retry the run later: the machine lacks memory or processes, which is not the program's fault."""
        if run.pauses >= len(PAUSES_S):
            self._give_up(run, f"{run.pauses} times in {sum(PAUSES_S):.0f} seconds", why)
            return
        if run.pauses == PAUSES_S.index(1.0):
            log.warning("programs wait for memory or processes: %s", why)
        with self._lock:
            self._paused.append((time.monotonic() + PAUSES_S[run.pauses], run))
        run.pauses += 1

    def _repeat(self, run: Run, why: str) -> None:
        """Queue the run again, at the front. After too many attempts its batch fails."""
        run.attempts += 1
        if run.attempts >= _MAX_ATTEMPTS:
            self._give_up(run, f"in {run.attempts} attempts", why)
            return
        with self._lock:
            self._queues[run.is_shifted].appendleft(run)

    def _give_up(self, run: Run, how_often: str, why: str) -> None:
        with self._lock:
            batch = self._batch_of.pop(run)
        batch.fail(
            ExecutorBroken(
                f"a program could not be run {how_often} ({why}); see that memory and processes are free, or "
                "lower execution.workers or execution.memory_mib, and resume the run"
            )
        )

    def _replace(self, link: Link) -> None:
        """Start another zygote, and queue the unfinished runs of this one again."""
        self._selector.unregister(link.socket)
        self._links.remove(link)
        words = link.last_words()
        link.close()
        if link.given:
            log.warning("a sandbox process died with %d runs, which are repeated: %s", len(link.given), words)
        self._start_zygotes([link.is_shifted])
        for run in reversed(link.given.values()):
            self._repeat(run, f"its sandbox process died: {words[-200:]}")
        link.given.clear()
        self._wake()  # else the new zygote would get no work

    def _fail_all(self, error: ExecutorBroken) -> None:
        with self._lock:
            self._error = error
            batches = set(self._batch_of.values())
            self._batch_of.clear()
        for batch in batches:
            batch.fail(error)
        self._is_ready.set()

    def _shut_down(self) -> None:
        for link in self._links:
            link.close()
        self._selector.close()
        self._wakeup.close()
        self._waker.close()
        self._fail_all(self._error or ExecutorBroken("the executor is closed"))
