"""The parent's side of the worker: starts it, sends pairs, restarts it when it dies, and gives up at last."""

import logging
import marshal
import math
import os
import selectors
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyzero.errors import ComparerBroken, ExecutorBroken
from tinyzero.execution import nursery, zygote
from tinyzero.execution.answers import Ended, has_waited, trouble
from tinyzero.execution.child import SETUP_FAILED_SIGNAL
from tinyzero.execution.dispatcher import PAUSES_S
from tinyzero.execution.link import Link, LinkLost, Run, launch
from tinyzero.games.r_zero.equivalence import worker

GRADER = Path(__file__).with_name("grader.py")
PACKAGES = ("math_verify", "latex2sympy2_extended", "sympy", "mpmath", "antlr4")
"""Packages that the grader needs. The worker can import from their folders only."""
SEED = 1
"""Hash seed of the worker; sympy's choices depend on the order of sets."""
_WALL_FACTOR = 1.0
_QUEUED_PER_CHILD = 3
_MAX_FAILURES = 3
"""Failures in a row before giving up; a judged pair resets the count."""
_STUCK_S = 60.0
"""Extra seconds to wait beyond the time limit of all pairs under way; after that the worker is stuck."""

log = logging.getLogger(__name__)

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """Settings of a worker: the arguments of `AnswerComparer`."""

    workers: int
    timeout_s: float
    memory_mib: int
    allow_weak_sandbox: bool
    grader: Path


@dataclass(eq=False, slots=True)
class Judge:
    """Judges pairs in the worker, which is started when the first pair comes."""

    settings: JudgeSettings
    _link: Link | None = None
    _num_failures: int = 0
    _num_pauses: int = 0
    _missed: set[str] = field(default_factory=set)
    _pid: int = field(default_factory=os.getpid)
    _is_closed: bool = False

    @property
    def pids(self) -> list[int]:
        """Process ids of the worker; empty while no worker runs."""
        return [self._link.process.pid] if self._link else []

    def verdicts(self, pairs: Sequence[Pair]) -> list[bool | None]:
        """Whether the answers of each pair are the same; None if undecided within the time limit.

        Raises:
            ComparerBroken: the worker cannot start, cannot confine itself, or dies repeatedly.
        """
        runs = [self._run(pair) for pair in pairs]
        try:
            self._judge(runs)
        except BaseException:  # results of this call must not answer the next one
            if self._link is not None:
                self._drop(self._link)
            raise
        return [self._verdict(run.ended) for run in runs]

    def close(self) -> None:
        """End the worker and its children. A second call is harmless."""
        self._is_closed = True
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _judge(self, runs: Sequence[Run]) -> None:
        waiting, num_left = deque(runs), len(runs)
        while num_left:
            link = self._running_link()
            try:
                while waiting and len(link.given) < self.settings.workers * (1 + _QUEUED_PER_CHILD):
                    link.give(waiting.popleft())
                self._wait(link)
                killed = ""
                for run in link.receive():
                    if why := _killed(run):
                        killed = why
                        waiting.append(run)
                    elif self._has_to_run_again(run):
                        waiting.append(run)
                    else:
                        num_left -= 1
                if killed:
                    self._pause(killed)
            except LinkLost:
                waiting.extendleft(link.given.values())
                self._failed(f"its process died: {self._drop(link)}")

    def _run(self, pair: Pair) -> Run:
        return Run(program=b"", arguments=marshal.dumps(pair), cpu_s=self.settings.timeout_s)

    def _running_link(self) -> Link:
        if self._is_closed:
            raise ComparerBroken("the comparer is closed; compare inside of its `with` block")
        if self._pid != os.getpid():
            raise ComparerBroken("a forked process cannot use its parent's comparer; make one in it")
        while self._link is None:
            try:
                self._link = self._started()
            except ExecutorBroken as error:
                self._failed(str(error))
        return self._link

    def _started(self) -> Link:
        link = launch(Path(worker.__file__), self._worker_settings(), python=sys.executable, seed=SEED)
        try:
            link.wait_until_ready()
            self._check_confinement(link.report)
        except BaseException:
            link.close(0)
            raise
        return link

    def _check_confinement(self, report: Mapping[str, Any]) -> None:
        if not report["has_filter"] and not self.settings.allow_weak_sandbox:
            raise ComparerBroken(
                "this system cannot confine the process that compares answers; use Linux with seccomp, or a "
                "virtual machine, or accept the risk with --allow-weak-sandbox"
            )

    def _worker_settings(self) -> dict[str, Any]:
        return {
            "zygote": str(Path(zygote.__file__).resolve()),
            "grader": str(self.settings.grader.resolve()),
            "folders": _folders(),
            "parent_pid": os.getpid(),
            "slots": self.settings.workers,
            "wall_factor": _WALL_FACTOR,
            "memory_mib": self.settings.memory_mib,
            "backstop_s": math.ceil(self.settings.timeout_s) + 2,
        }

    def _wait(self, link: Link) -> None:
        """Wait until data has arrived or can be sent."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.has_unsent else 0)
        longest_s = nursery.MOST_WALL_CAPS * self.settings.timeout_s * (1 + _QUEUED_PER_CHILD) + _STUCK_S
        with selectors.DefaultSelector() as selector:
            selector.register(link.socket, events)
            ready = selector.select(longest_s)
        if not ready:
            raise LinkLost
        if ready[0][1] & selectors.EVENT_WRITE:
            link.flush()

    def _has_to_run_again(self, run: Run) -> bool:
        """Handle a report. True if it says nothing about its pair. Raises like `verdicts`."""
        ended = run.ended
        if ended.reason == nursery.NOT_FORKED or _is_unconfined(ended):
            self._failed(f"no confined child: {ended.answer[:200].decode('utf-8', 'replace')}")
            return True
        self._num_failures = self._num_pauses = 0
        if has_waited(ended) and not run.attempts:  # perhaps the machine was busy: try once more
            run.attempts += 1
            return True
        return False

    def _pause(self, why: str) -> None:
        """Wait until the machine may have memory again. Raises ComparerBroken at last."""
        if self._num_pauses >= len(PAUSES_S):
            raise ComparerBroken(
                f"answers cannot be compared: no pair was judged in {sum(PAUSES_S):.0f} seconds ({why}); see "
                "that memory is free and that nothing ends processes here, and resume the run"
            )
        log.warning("comparing answers is repeated: %s", why)
        time.sleep(PAUSES_S[self._num_pauses])
        self._num_pauses += 1

    def _failed(self, why: str) -> None:
        self._num_failures += 1
        if self._num_failures >= _MAX_FAILURES:
            raise ComparerBroken(
                f"answers cannot be compared: {self._num_failures} attempts in a row failed, the last one: "
                f"{why}; see that memory and processes are free and that math-verify is installed "
                "(pip install math-verify), and resume the run"
            )
        log.warning("comparing answers failed and is repeated: %s", why)

    def _drop(self, link: Link) -> str:
        self._link = None
        words = link.last_words()
        link.close()
        return words[-200:] or "it said nothing"

    def _verdict(self, ended: Ended) -> bool | None:
        if ended.reason != nursery.FINISHED or ended.status != 0:
            return None
        if ended.answer in (worker.SAME, worker.DIFFERENT):
            return ended.answer == worker.SAME
        words = ended.answer[:100].decode("ascii", "replace")
        if "import" in words and words not in self._missed:
            self._missed.add(words)
            log.warning("two answers are undecided, since their process, without files, %s", words)
        return None


def _killed(run: Run) -> str:
    """Why a run was ended by something outside of it; empty if it was not."""
    is_forked = run.ended.reason != nursery.NOT_FORKED
    return trouble(run.ended, run.cpu_s) if is_forked and not _is_unconfined(run.ended) else ""


def _is_unconfined(ended: Ended) -> bool:
    return os.WIFSIGNALED(ended.status) and os.WTERMSIG(ended.status) == SETUP_FAILED_SIGNAL


def _folders() -> list[str]:
    """Folders of the packages. A missing package is skipped here; the worker reports it."""
    specs = [find_spec(name) for name in PACKAGES]
    return list(dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin))
