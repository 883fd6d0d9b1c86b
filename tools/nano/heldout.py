"""The tasks that no lesson shows: the held-out set, and a ladder of longer and longer programs."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

from nano.examples import literal, random_sample
from nano.grammar import MAX_LINES
from nano.tasks import TAUGHT, task_of
from nano.trace import trace
from tinyzero.execution.values import parse_literal
from tinyzero.tasks.funnel import make_task
from tinyzero.tasks.records import to_record
from tinyzero.types import Proposal, Task

SEED = 1
LONGER = MAX_LINES + 1
"""Stands for this many body lines and more: longer than any program in pretraining."""
TASKS_PER_LENGTH = 85
LONGER_TASKS = 40
RUNGS = 10
TASKS_PER_RUNG = 20
MAX_TRACE_CHARS = 320
"""Of a task of the ladder: about 180 tokens."""


def held_out_tasks() -> Iterator[Task]:
    """The fixed set: each program shape once per kind; kinds and lengths take turns, so a start is fair."""
    columns = [_tasks(kind, length) for length in range(1, LONGER + 1) for kind in TAUGHT]
    for _ in range(TASKS_PER_LENGTH):
        for column in columns:
            yield from islice(column, 1)


def ladder_tasks() -> Iterator[Task]:
    """Deduction with bodies of 1, 2, ... lines, of calls that do run through many of them."""
    for rung in range(1, RUNGS + 1):
        yield from islice(_rung(rung), TASKS_PER_RUNG)


def write_held_out(path: Path, tasks: Sequence[Task]) -> None:
    """Tasks longer than any in pretraining count in a row of their own."""
    strata = ["longer programs" if length_of(task) == LONGER else "" for task in tasks]
    _write(path, tasks, strata)


def write_ladder(path: Path, tasks: Sequence[Task]) -> None:
    lengths = [task.program.count("\n") for task in tasks]
    _write(path, tasks, [f"{length} line{'s' * (length > 1)}" for length in lengths])


def length_of(task: Task) -> int:
    """Lines of the body, all that are longer than in pretraining counted as one."""
    return min(task.program.count("\n"), LONGER)


def _tasks(kind: str, length: int) -> Iterator[Task]:
    rng, seen = Random(f"{SEED}/{kind}/{length}"), set[str]()
    while len(seen) < (LONGER_TASKS if length == LONGER else TASKS_PER_LENGTH):
        num_lines = rng.randint(LONGER, LONGER + 2) if length == LONGER else length
        sample = random_sample(rng, held_out=True, num_lines=num_lines)
        if sample.shape not in seen:
            seen.add(sample.shape)
            yield _finished(task_of(rng, kind, sample))


def _rung(num_lines: int) -> Iterator[Task]:
    rng, seen = Random(f"{SEED}/ladder/{num_lines}"), set[str]()
    while True:
        sample = random_sample(rng, held_out=True, num_lines=num_lines)
        task = task_of(rng, "deduction", sample)
        if sample.shape not in seen and _runs_through(task, num_lines):
            seen.add(sample.shape)
            yield _finished(task)


def _runs_through(task: Task, num_lines: int) -> bool:
    """No early return, and a trace that a small model has room for."""
    traced = trace(task.program, literal(f"({task.inputs[0]},)"), max_chars=MAX_TRACE_CHARS)
    return traced is not None and len(traced[0]) >= num_lines / 2


def _finished(draft: Task) -> Task:
    proposal = Proposal(kind=draft.kind, program=draft.program, inputs=draft.inputs, message=draft.message)
    return make_task(proposal, [parse_literal(output) for output in draft.outputs], step=-1)


def _write(path: Path, tasks: Sequence[Task], strata: Sequence[str]) -> None:
    lines = [
        to_record(task) | ({"stratum": stratum} if stratum else {})
        for task, stratum in zip(tasks, strata, strict=True)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
