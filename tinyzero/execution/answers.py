"""What became of a run, decided from what the zygote observed and from the child's own words, in that order.

The child's words are hostile text: whatever they are, the result is an `Execution`.
"""

import os
import re
import signal
from dataclasses import dataclass, replace

from tinyzero.execution import nursery
from tinyzero.execution.child import SETUP_FAILED_SIGNAL
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
"""The outcomes that a child may claim; all others are observed."""
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}
_DETAIL = re.compile(r"\w{0,80}")
ANSWERS = (Outcome.OK, Outcome.EXCEPTION)
"""Outcomes that can contradict each other; all others are limits that were hit, or no program at all."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The zygote's report on one run; fields as in `nursery.ENDED`."""

    reason: int
    status: int
    cpu_s: float
    wall_s: float
    answer: bytes


def trouble(ended: Ended, cpu_s: float) -> str:
    """Why a run says nothing about its program and has to be repeated; empty where it does say something.

    A child killed beyond its `cpu_s` met the kernel's own limit, which holds while the zygote cannot look.
    """
    words = ended.answer[:200].decode("utf-8", "replace")
    if ended.reason == nursery.NOT_FORKED:
        return f"no process could be forked: {words}"
    if ended.reason == nursery.FINISHED and os.WIFSIGNALED(ended.status):
        if os.WTERMSIG(ended.status) == SETUP_FAILED_SIGNAL:
            return f"a child could not be confined: {words}"
        if os.WTERMSIG(ended.status) == signal.SIGKILL and ended.cpu_s <= cpu_s:
            return "a child was killed from outside, perhaps because the machine ran out of memory"
    return ""


def has_waited(ended: Ended) -> bool:
    """Whether a run's wall time ended while it hardly computed.

    A program that sleeps does that every time. One that only computes does it now and then on a crowded
    machine, where Linux was seen to keep a runnable process waiting for seconds. So once is not believed.
    """
    return ended.reason == nursery.WALL_SPENT


def execution_of(ended: Ended, *, cpu_s: float, num_calls: int) -> Execution:
    """The execution that a report describes; with two calls a value counts only if both gave the same."""
    execution = _observed(ended, cpu_s) or _claimed(ended.answer, num_calls)
    return replace(execution, cpu_s=ended.cpu_s, wall_s=ended.wall_s)


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
    if ended.status != 0:
        return Execution(outcome=Outcome.CRASHED, detail=f"exit {ended.status >> 8}")
    return None


def _claimed(answer: bytes, num_calls: int) -> Execution:
    """A line for each call; after one that is not `ok` there is no further."""
    malformed = Execution(outcome=Outcome.CRASHED, detail="malformed answer")
    try:
        opening, *lines = answer.decode().split("\n")
        calls = [_call(line) for line in lines]
    except (UnicodeDecodeError, BadLiteral, KeyError):
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
    return Execution(outcome=outcome, detail=rest if _DETAIL.fullmatch(rest) else "")


def combined(first: Execution, second: Execution) -> Execution:
    """One result from two runs or calls that should be equal.

    Only answers can contradict each other: where one hit a limit, that limit is the result, since the
    other may have been just below it.
    """
    if first.outcome not in ANSWERS:
        return first
    if second.outcome not in ANSWERS:
        return second
    if first.outcome is second.outcome and first.detail == second.detail and same(first.value, second.value):
        return first
    return Execution(outcome=Outcome.NONDETERMINISTIC, cpu_s=first.cpu_s, wall_s=first.wall_s)
