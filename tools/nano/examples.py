"""Random programs that were run, and wrong answers about them that look right.

The programs are this tool's own, so they run right here, without the sandbox that a model's programs need.
"""

import builtins
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from nano.grammar import Program, random_arguments, random_program, random_string
from tinyzero.tasks import programs

MAX_OUTPUT_CHARS = 20
HELD_OUT_SHARE = 16
"""One program shape in this many belongs to the held-out set, whatever the seed."""
NUM_RUNS = 10

_ALLOWED = ("abs", "int", "len", "list", "max", "min", "range", "sorted", "str", "sum")
BUILTINS = {name: getattr(builtins, name) for name in _ALLOWED}
EXPECTED_ERRORS = (IndexError, ValueError, TypeError, ZeroDivisionError, OverflowError, MemoryError)

Runs = tuple[tuple[str, str], ...]
"""Pairs of canonical input and output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A program with what it did on some inputs."""

    program: Program
    runs: Runs
    shape: str

    @property
    def is_held_out(self) -> bool:
        return is_held_out(self.shape)


def is_held_out(shape: str) -> bool:
    return int(shape, 16) % HELD_OUT_SHARE == 0


def random_sample(rng: Random, *, held_out: bool = False, num_lines: int | None = None) -> Sample:
    """A sample from one side of the split: pretraining, or held out. Its output depends on its input."""
    while True:
        program = random_program(rng, num_lines=num_lines)
        runs = _runs(rng, program)
        if not _is_interesting(runs):
            continue
        sample = Sample(program=program, runs=runs, shape=programs.shape(program.source))
        if sample.is_held_out == held_out:
            return sample


def compile_program(source: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"__builtins__": BUILTINS}
    exec(compile(source, "<nano>", "exec"), namespace)  # noqa: S102 (our own grammar wrote it)
    function: Callable[..., Any] = namespace["f"]
    return function


def render_arguments(arguments: Sequence[object]) -> str:
    return ", ".join(map(repr, arguments))


def wrong_output(rng: Random, sample: Sample, index: int) -> str:
    """A plausible wrong output: that of another input, or a near value."""
    gold = sample.runs[index][1]
    others = sorted({output for _, output in sample.runs if output != gold})
    if others and rng.random() < 0.5:
        return rng.choice(others)
    return repr(_near(rng, literal(gold)))


def wrong_input(rng: Random, sample: Sample, index: int) -> str:
    """A plausible wrong input: another run's, or one near the right one that gives another output."""
    gold = sample.runs[index][1]
    others = sorted(text for text, output in sample.runs if output != gold)
    if rng.random() < 0.5:
        return rng.choice(others)
    function = compile_program(sample.program.source)
    for _ in range(8):
        arguments = [_near(rng, value) for value in literal(f"({sample.runs[index][0]},)")]
        output = _run(function, arguments)
        if output is not None and output != gold:
            return render_arguments(arguments)
    return rng.choice(others)


def wrong_program(rng: Random, sample: Sample, hidden: Runs) -> str:
    """A plausible program that fails on hidden runs: the right one with a constant changed, or another.

    No held-out shape: wrong programs are shown in pretraining as well.
    """
    if rng.random() < 0.5:
        changed = _change_constant(rng, sample.program.source)
        if changed and _disagrees(changed, hidden):
            return changed
    while True:
        other = random_program(rng)
        if other.parameters != sample.program.parameters or not _disagrees(other.source, hidden):
            continue
        if not is_held_out(programs.shape(other.source)):
            return other.source


def literal(text: str) -> Any:  # noqa: ANN401 (any tree of builtins)
    return eval(text, {"__builtins__": {}})  # noqa: S307 (repr of our own values)


def _runs(rng: Random, program: Program) -> Runs:
    function = compile_program(program.source)
    runs: dict[str, str] = {}
    for _ in range(NUM_RUNS + 4):
        arguments = random_arguments(rng, program.parameters)
        output = _run(function, arguments)
        if output is not None and len(runs) < NUM_RUNS:
            runs[render_arguments(arguments)] = output
    return tuple(runs.items())


def _run(function: Callable[..., Any], arguments: Sequence[object]) -> str | None:
    """Canonical output, or None where the program raises or its output is too long to ask for."""
    try:
        output = repr(function(*arguments))
    except EXPECTED_ERRORS:
        return None
    return output if len(output) <= MAX_OUTPUT_CHARS else None


def _is_interesting(runs: Runs) -> bool:
    """Enough inputs work, and the output neither is always the same nor always the input."""
    outputs = [output for _, output in runs]
    if len(runs) < NUM_RUNS // 2 or all(pair[0] == pair[1] for pair in runs):
        return False
    return max(map(outputs.count, outputs)) <= 0.8 * len(outputs)


def _disagrees(source: str, runs: Runs) -> bool:
    function = compile_program(source)
    return any(_run(function, literal(f"({text},)")) != output for text, output in runs)


def _change_constant(rng: Random, source: str) -> str:
    """The source with one number or character replaced, or empty where it has none."""
    places = list(re.finditer(r"(?<![\w.])\d+|'.'", source))
    if not places:
        return ""
    place = rng.choice(places)
    if place[0].startswith("'"):
        new = repr(rng.choice("abcxyz"))
    else:
        new = str(max(0, int(place[0]) + rng.choice((-1, 1, 2))))
    return source[: place.start()] + new + source[place.end() :]


def _near(rng: Random, value: Any) -> Any:  # noqa: ANN401
    """A value of the same type, a small slip away."""
    match value:
        case bool():
            return not value
        case int():
            return value + rng.choice((-2, -1, -1, 1, 1, 2, 10))
        case str():
            return _near_string(rng, value)
        case list() | tuple():
            return type(value)(_near_items(rng, list(value)))
    raise AssertionError(value)


def _near_string(rng: Random, value: str) -> str:
    if not value:
        return random_string(rng)
    place = rng.randrange(len(value))
    choices = (
        value[:place] + value[place + 1 :],
        value[:place] + value[place] + value[place:],
        value[:place] + rng.choice("abcxyz") + value[place + 1 :],
        value[::-1],
        value.swapcase(),
    )
    different = [choice for choice in choices if choice != value]
    return rng.choice(different)


def _near_items(rng: Random, items: list[Any]) -> list[Any]:
    if not items:
        return [rng.randint(0, 9)]
    place = rng.randrange(len(items))
    changed = [*items[:place], _near(rng, items[place]), *items[place + 1 :]]
    choices = (changed, changed, items[:place] + items[place + 1 :], items[::-1], [*items, items[-1]])
    different = [choice for choice in choices if choice != items]
    return rng.choice(different)
