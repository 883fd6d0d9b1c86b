"""Reasoning for lessons: a `<think>` block that ends right, and the answer behind it.

Deduction: a trace of the call. Abduction and induction: a guess, traced and compared with what is asked for,
and another guess until the comparison holds. The tokens of a wrong guess are not scored: pretraining shows
how to check and what to do after a failure, and does not teach to guess wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from nano.examples import EXPECTED_ERRORS, Sample, literal, wrong_input, wrong_program
from nano.trace import trace
from tinyzero.tasks.induction import num_shown
from tinyzero.types import Task

OPENING, CLOSING = "<think>\n", "</think>\n"
MAX_CHECKS = 3
"""After as many guesses that failed, the answer is one more guess, unchecked."""
MAX_CHECKED_PAIRS = 2
MAX_TRACE_CHARS = 200
MAX_CHARS = {"deduction": 200, "abduction": 240, "induction": 280}
_NUM_WRONG = (0.5, 0.3, 0.13, 0.07)
"""Shares of lessons with 0, 1, 2, 3 wrong guesses."""


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning with its answer, and the (start, end) of the characters that are not to be learned."""

    text: str
    unscored: tuple[tuple[int, int], ...] = ()


def think(rng: Random, sample: Sample, task: Task) -> Thought | None:
    """Reasoning about a task that ends right; None where there is nothing to write, or too much."""
    if task.kind == "deduction":
        lines = _traced(task.program, task.inputs[0])
        return _finish([(lines[0], True)], task.outputs[0], task.kind) if lines else None
    guesses = _guesses(rng, sample, task)
    pieces: list[tuple[str, bool]] = []
    for guess, is_right in guesses[:MAX_CHECKS]:
        checked = _checked(task, guess)
        if checked is None or checked[1] is not is_right:
            return None
        label = "in: " if task.kind == "abduction" else ""
        pieces += [(label, True), (f"{guess}\n", is_right), (checked[0], True)]
    return _finish(pieces, guesses[-1][0], task.kind)


def _guesses(rng: Random, sample: Sample, task: Task) -> list[tuple[str, bool]]:
    """Wrong guesses, then the right one."""
    count = rng.choices(range(MAX_CHECKS + 1), _NUM_WRONG)[0]
    right = task.program if task.kind == "induction" else task.inputs[0]
    return [*((wrong, False) for wrong in _wrong_guesses(rng, sample, task, count)), (right, True)]


def _wrong_guesses(rng: Random, sample: Sample, task: Task, count: int) -> Iterator[str]:
    pairs = _shown(task)
    index = sample.runs.index((task.inputs[0], task.outputs[0]))
    for _ in range(count):
        if task.kind == "induction":
            yield wrong_program(rng, sample, pairs)
        else:
            yield wrong_input(rng, sample, index)


def _shown(task: Task) -> tuple[tuple[str, str], ...]:
    """The pairs that a guessed program is checked on."""
    count = min(num_shown(task), MAX_CHECKED_PAIRS)
    return tuple(zip(task.inputs[:count], task.outputs[:count], strict=True))


def _checked(task: Task, guess: str) -> tuple[str, bool] | None:
    """The check of a guess, up to the first comparison that fails, and whether all held."""
    if task.kind == "abduction":
        return _compared(task.program, guess, task.outputs[0])
    text = ""
    for given, output in _shown(task):
        compared = _compared(guess, given, output)
        if compared is None:
            return None
        text += compared[0]
        if not compared[1]:
            return text, False
    return text, True


def _compared(program: str, given: str, output: str) -> tuple[str, bool] | None:
    traced = _traced(program, given)
    if traced is None:
        return None
    lines, value = traced
    return f"{lines}{value} == {output} -> {value == output}\n", value == output


def _traced(program: str, given: str) -> tuple[str, str] | None:
    """A trace, a line each, and the canonical output; None where it fails or is too long."""
    try:
        traced = trace(program, literal(f"({given},)"), max_chars=MAX_TRACE_CHARS)
    except EXPECTED_ERRORS:
        return None
    return traced and ("".join(f"{line}\n" for line in traced[0]), repr(traced[1]))


def _finish(pieces: Sequence[tuple[str, bool]], answer: str, kind: str) -> Thought | None:
    text, unscored = OPENING, []
    for piece, is_scored in pieces:
        if not is_scored:
            unscored.append((len(text), len(text) + len(piece)))
        text += piece
    is_fit = len(OPENING) < len(text) <= MAX_CHARS[kind]
    return Thought(f"{text}{CLOSING}{answer}", tuple(unscored)) if is_fit else None
