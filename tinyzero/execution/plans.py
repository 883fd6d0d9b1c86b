"""Plans the runs that jobs need, and turns their reports into executions."""

import marshal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, TypeVar

from tinyzero.execution import nursery
from tinyzero.execution.answers import ANSWERS, combined, execution_of, script_execution_of, series_of
from tinyzero.execution.link import Run
from tinyzero.execution.values import BadLiteral, parse_arguments
from tinyzero.types import Execution, Job, Outcome

_MAX_PROGRAM_CHARS = 1 << 18
"""A longer program is rejected without a run."""
_MAX_STDIN_BYTES = 1 << 19
_STACK_FRAMES = 700
"""Stack frames for reading the deepest value, with a margin."""
_CANONICAL = 2
"""Format of marshal without references and interned strings, so that equal values have equal bytes: how an
argument was written, by a proposer or by a solver, does not show in the child."""

T = TypeVar("T")


class _InputPlan:
    """The runs of one input of a job, one after another."""

    def __init__(self, job: Job, source: str, cpu_s: float) -> None:
        self._job = job
        self._cpu_s = cpu_s
        self._runs: list[Run] = []
        self._decided = _refusal(job.program)
        self.arguments: tuple[Any, ...] = ()
        try:
            self.arguments = parse_arguments(source)
        except BadLiteral as error:
            if isinstance(error.__cause__, RecursionError):
                raise
            self._decided = Execution(outcome=Outcome.BAD_INPUT, detail=str(error)[:80])

    @property
    def is_decided(self) -> bool:
        return self._decided is not None

    def decide(self, execution: Execution | None) -> None:
        """Set the result from a run that several inputs shared."""
        self._decided = self._decided or execution

    def next_run(self, *, is_second: bool) -> Run | None:
        """The first run; or the second, which tests determinism if the first gave an answer."""
        is_needed = self._decided is None
        if is_second:
            is_needed &= self._job.check_determinism and self.execution.outcome in ANSWERS
        if not is_needed:
            return None
        run = Run(
            program=_encoded(self._job.program),
            arguments=marshal.dumps(self.arguments, _CANONICAL),
            cpu_s=self._cpu_s * (1 + is_second),
            num_calls=1 + is_second,
            is_shifted=is_second,
        )
        self._runs.append(run)
        return run

    @property
    def execution(self) -> Execution:
        return self._decided or reduce(combined, map(execution_of_run, self._runs))


class JobPlan:
    """The runs of one job: one per input, or first a shared run if the inputs may share a process."""

    def __init__(self, job: Job, cpu_s: float) -> None:
        self.inputs = [_InputPlan(job, source, cpu_s) for source in job.inputs]
        self._open = [plan for plan in self.inputs if not plan.is_decided]
        self._series: Run | None = None
        if job.share_process and not job.check_determinism and len(self._open) > 1:
            self._series = Run(
                program=_encoded(job.program),
                arguments=marshal.dumps([plan.arguments for plan in self._open], _CANONICAL),
                cpu_s=2 * cpu_s,
                num_calls=len(self._open),
                mode=nursery.SERIES,
            )

    def shared_run(self) -> list[Run]:
        return [self._series] if self._series else []

    def take_shared(self) -> None:
        """Decide the inputs that were answered in the shared run. The others will run alone."""
        if self._series is not None:
            executions = series_of(self._series.ended, len(self._open))
            for plan, execution in zip(self._open, executions, strict=True):
                plan.decide(execution)

    def next_runs(self, *, is_second: bool) -> list[Run]:
        return [run for plan in self.inputs if (run := plan.next_run(is_second=is_second))]


class ScriptPlan:
    """The run of a script."""

    def __init__(self, program: str, stdin: str, cpu_s: float) -> None:
        text = stdin.encode("utf-8", "surrogateescape")
        self._decided = _refusal(program)
        if len(text) > _MAX_STDIN_BYTES:
            self._decided = Execution(outcome=Outcome.BAD_INPUT, detail="the standard input is too long")
        self.run = Run(program=_encoded(program), arguments=text, cpu_s=cpu_s, mode=nursery.SCRIPT)

    def runs(self) -> list[Run]:
        return [] if self._decided else [self.run]

    @property
    def execution(self) -> Execution:
        return self._decided or script_execution_of(self.run.ended, cpu_s=self.run.cpu_s)


def execution_of_run(run: Run) -> Execution:
    return execution_of(run.ended, cpu_s=run.cpu_s, num_calls=run.num_calls)


def _encoded(program: str) -> bytes:
    return program.encode("utf-8", "surrogatepass")


def _refusal(program: str) -> Execution | None:
    if len(program) > _MAX_PROGRAM_CHARS:
        return Execution(outcome=Outcome.SYNTAX_ERROR, detail="too_long")
    return None


def checked_job(job: Job) -> Job:
    """The job, after a check of its types.

    Raises:
        TypeError: a type is wrong; the message uses the caller's terms.
    """
    check_text("program", job.program)
    checked_sources(job.inputs)
    return job


def checked_sources(inputs: object) -> tuple[str, ...]:
    """The texts of a list. A single text is refused, since it would count as a list of its letters."""
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
        raise TypeError(
            "inputs is a list of argument sources, such as [\"1, 'a'\"]; "
            f"got {_type(inputs)} {repr(inputs)[:60]}"
        )
    sources = tuple(inputs)
    for source in sources:
        check_text("each of inputs", source, hint=", the source of f's arguments, such as \"1, 'a'\"")
    return sources


def check_text(name: str, value: object, *, hint: str = "") -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is a str{hint}; got {_type(value)} {repr(value)[:60]}")


def _type(value: object) -> str:
    return type(value).__name__


def with_room(call: Callable[[], T]) -> T:
    """Make a call with room on the stack for nested values: here, or in a separate thread.

    The caller's stack depth must not decide whether a value is valid.
    """
    if _has_room():
        return call()
    results: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where it belongs
            errors.append(error)

    thread = threading.Thread(target=target, name="tinyzero-executor-values")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _has_room() -> bool:
    try:
        sys._getframe(max(0, sys.getrecursionlimit() - _STACK_FRAMES))
    except ValueError:
        return True
    return False


def take_shared(plans: Sequence[JobPlan]) -> None:
    for plan in plans:
        plan.take_shared()


def first_runs(plans: Sequence[JobPlan]) -> list[Run]:
    return [run for plan in plans for run in plan.next_runs(is_second=False)]


def second_runs(plans: Sequence[JobPlan]) -> list[Run]:
    return [run for plan in plans for run in plan.next_runs(is_second=True)]


def executions_of(plans: Sequence[JobPlan]) -> list[list[Execution]]:
    return [[plan.execution for plan in job.inputs] for job in plans]
