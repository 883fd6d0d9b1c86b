"""Turns the report on a run into its result: from the zygote's observations first, then the child's answer.

The child's answer is hostile text. Whatever it is, the result is an `Execution`.
"""

import os
import re
import signal
from dataclasses import dataclass, replace

from tinyzero.errors import ExecutorBroken
from tinyzero.execution import nursery
from tinyzero.execution.child import MAX_MESSAGE, SETUP_FAILED_SIGNAL
from tinyzero.execution.clock import ASLEEP_STATUS
from tinyzero.execution.values import BadLiteral, parse_literal, same
from tinyzero.types import Execution, Outcome

_OWN_WORDS = {
    outcome.value: outcome
    for outcome in (
        Outcome.OK,
        Outcome.EXCEPTION,
        Outcome.OUT_OF_MEMORY,
        Outcome.OUTPUT_TOO_LARGE,
        Outcome.BAD_TYPE,
        Outcome.NO_FUNCTION,
        Outcome.SYNTAX_ERROR,
    )
}
"""The outcomes that a child may report itself; the zygote observes all others."""
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}
_SENT_BY_OTHERS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1)
"""A scheduler may send these to every process of a run. A confined program cannot send itself a signal."""
_DETAIL = re.compile(r"\w{0,80}")
ANSWERS = (Outcome.OK, Outcome.EXCEPTION)
"""Outcomes that can contradict each other; all others are limits, or texts that are no program."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The zygote's report on one run; its fields are those of `nursery.ENDED`."""

    reason: int
    status: int
    cpu_s: float
    wall_s: float
    answer: bytes


def trouble(ended: Ended, cpu_s: float) -> str:
    """Why a run must be repeated because it says nothing about its program; empty if it is valid.

    A child killed after more than `cpu_s` hit the kernel's limit, which also works while the zygote is busy.
    """
    words = ended.answer[:200].decode("utf-8", "replace")
    if ended.reason == nursery.NOT_FORKED:
        return f"no process could be forked: {words}"
    if ended.reason == nursery.FINISHED and os.WIFSIGNALED(ended.status):
        if os.WTERMSIG(ended.status) == SETUP_FAILED_SIGNAL:
            return f"a child could not be confined: {words}"
        if os.WTERMSIG(ended.status) == signal.SIGKILL and ended.cpu_s <= cpu_s:
            return "a child was killed from outside, perhaps because the machine ran out of memory"
        if os.WTERMSIG(ended.status) in _SENT_BY_OTHERS:
            return f"a child was ended from outside by {_SIGNAL_NAMES[os.WTERMSIG(ended.status)]}"
    return ""


def has_waited(ended: Ended) -> bool:
    """Whether a run reached its wall time limit while it hardly computed.

    A program that sleeps does so every time. A program that only computes does so sometimes on a busy
    machine, where Linux can delay a runnable process for seconds. So such a run is repeated once.
    """
    return ended.reason == nursery.WALL_SPENT


def execution_of(ended: Ended, *, cpu_s: float, num_calls: int) -> Execution:
    """The execution that a report describes. With two calls, a value counts only if both are equal."""
    execution = _observed(ended, cpu_s) or _claimed(ended.answer, num_calls)
    return replace(execution, cpu_s=ended.cpu_s, wall_s=ended.wall_s)


def script_execution_of(ended: Ended, *, cpu_s: float) -> Execution:
    """The execution of a script; its value is the printed text."""
    execution = execution_of(ended, cpu_s=cpu_s, num_calls=1)
    if not execution.is_ok:
        return execution
    if type(execution.value) is not str:
        return replace(execution, outcome=Outcome.CRASHED, value=None, detail="malformed answer")
    return replace(execution, stdout=execution.value)


def series_of(ended: Ended, num_calls: int) -> list[Execution | None]:
    """The execution of each call of a series; None for calls that must run alone.

    Only answers count. If a call hit a limit, an earlier call may have used up the resource.
    """
    opening, *lines = ended.answer.split(b"\n")
    calls = [_claimed(b"\n" + line, 1) for line in lines[:num_calls]] if not opening else []
    share = 1 / max(1, num_calls)
    answers = [
        replace(call, cpu_s=ended.cpu_s * share, wall_s=ended.wall_s * share)
        if call.outcome in ANSWERS else None for call in calls
    ]  # fmt: skip
    return [*answers, *[None] * (num_calls - len(answers))]


def _observed(ended: Ended, cpu_s: float) -> Execution | None:
    if ended.reason in (nursery.CPU_SPENT, nursery.WALL_SPENT) or ended.cpu_s > cpu_s:
        return Execution(
            outcome=Outcome.TIMEOUT, detail="wall" if ended.reason == nursery.WALL_SPENT else "cpu"
        )
    if ended.reason == nursery.FLOODED:
        return Execution(outcome=Outcome.OUTPUT_TOO_LARGE)
    if os.WIFSIGNALED(ended.status):
        number = os.WTERMSIG(ended.status)
        outcome = Outcome.BANNED if number == signal.SIGSYS else Outcome.CRASHED
        return Execution(outcome=outcome, detail=_SIGNAL_NAMES.get(number, f"signal {number}"))
    if ended.status == ASLEEP_STATUS << 8:
        return Execution(outcome=Outcome.TIMEOUT, detail="wall")
    if ended.status != 0:
        return Execution(outcome=Outcome.CRASHED, detail=f"exit {ended.status >> 8}")
    return None


def _claimed(answer: bytes, num_calls: int) -> Execution:
    """Parse one line per call. No line follows one that is not `ok`."""
    malformed = Execution(outcome=Outcome.CRASHED, detail="malformed answer")
    try:
        opening, *lines = answer.decode().split("\n")
        calls = [_call(line) for line in lines]
    except (UnicodeDecodeError, BadLiteral, KeyError) as error:
        if isinstance(error.__cause__, RecursionError):
            raise ExecutorBroken("a result is nested deeper than this thread's stack has room for") from error
        return malformed
    if opening or not calls or len(calls) > num_calls or not all(call.is_ok for call in calls[:-1]):
        return malformed
    if len(calls) < num_calls and calls[-1].is_ok:
        return malformed
    return combined(calls[0], calls[-1])


def _call(line: str) -> Execution:
    word, _, rest = line.partition(" ")
    outcome = _OWN_WORDS[word]
    if outcome is Outcome.OK:
        return Execution(outcome=outcome, value=parse_literal(rest))
    if outcome is Outcome.EXCEPTION:
        name, _, texts = rest.partition(" ")
        message, stdout = _texts(texts)
        detail = name if _DETAIL.fullmatch(name) else ""
        return Execution(outcome=outcome, detail=detail, message=message, stdout=stdout)
    return Execution(outcome=outcome, detail=rest if _DETAIL.fullmatch(rest) else "")


def _texts(source: str) -> tuple[str, str]:
    """The message of an exception, and the text printed before it."""
    texts = parse_literal(source) if source else ""
    match texts if type(texts) is tuple else (texts, ""):
        case (str(message), str(stdout)):
            return message[:MAX_MESSAGE], stdout
    raise BadLiteral("neither a message nor a message and an output")


def combined(first: Execution, second: Execution) -> Execution:
    """One result from two runs or calls that should be equal.

    Only answers can contradict each other. If one run hit a limit, that limit is the result, since the
    other may have been just below it.
    """
    if first.outcome not in ANSWERS:
        return first
    if second.outcome not in ANSWERS:
        return second
    if first.outcome is second.outcome and first.detail == second.detail and same(first.value, second.value):
        return first
    return Execution(outcome=Outcome.NONDETERMINISTIC, cpu_s=first.cpu_s, wall_s=first.wall_s)
