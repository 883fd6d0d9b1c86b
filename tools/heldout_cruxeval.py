"""Write tinyzero/evaluation/sets/cruxeval.jsonl: 400 tasks of the three kinds on programs of CRUXEval.

    python tools/heldout_cruxeval.py cruxeval.jsonl

cruxeval.jsonl is data/cruxeval.jsonl of github.com/facebookresearch/cruxeval (MIT licence): 800 functions,
each with an input and its output. Every task has passed the funnel of self-play; its outputs are those that
the executor gave. A program is in one task only, and none has the shape of one of nano's held-out tasks.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

from tinyzero.config import resolve_base
from tinyzero.evaluation.heldout import read_set
from tinyzero.execution import Executor
from tinyzero.execution.values import parse_arguments, render_arguments
from tinyzero.tasks import KINDS
from tinyzero.tasks.induction import MAX_INPUTS, MIN_INPUTS
from tinyzero.tasks.judging import verify
from tinyzero.tasks.perturb import perturb
from tinyzero.types import Proposal, Rejection, Task

TARGET = Path(__file__).parents[1] / "tinyzero" / "evaluation" / "sets" / "cruxeval.jsonl"
COUNTS = {"deduction": 150, "abduction": 150, "induction": 100}
MAX_CHARS = 200
"""Of an input or output: longer ones test patience more than reasoning."""


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    samples = [json.loads(line) for line in lines]
    Random("cruxeval").shuffle(samples)
    with Executor() as executor:
        runnable = list(run_deductions(samples, executor))
        tasks = choose(runnable, executor)
    TARGET.write_text("".join(json.dumps(asdict(task)) + "\n" for task in tasks), encoding="utf-8")
    print(f"{len(tasks)} tasks of {len(runnable)} usable programs in {TARGET}")


def run_deductions(samples: Sequence[dict[str, Any]], executor: Executor) -> Iterator[Task]:
    """The samples that pass the funnel as deduction tasks and give the published output."""
    answers = [f"```python\n{sample['code']}\n\nprint(f({sample['input']}))\n```" for sample in samples]
    shapes = {item.task.shape for item in read_set(Path(resolve_base("nano")) / "heldout.jsonl", KINDS).tasks}
    proposals = [KINDS["deduction"].parse_proposal(answer, ()) for answer in answers]
    outcomes = verify(proposals, kinds=KINDS, runner=executor, step=-1)
    for sample, outcome in zip(samples, outcomes, strict=True):
        if not isinstance(outcome, Task) or outcome.shape in shapes or not is_short(outcome):
            continue
        if outcome.outputs[0] == published(sample):
            yield replace(outcome, id=sample["id"].replace("sample_", "cruxeval-"), parents=())


def published(sample: dict[str, Any]) -> str:
    """The sample's output as tasks have it."""
    return render_arguments(parse_arguments(sample["output"]))


def is_short(task: Task) -> bool:
    return all(len(text) <= MAX_CHARS for text in (*task.inputs, *task.outputs))


def choose(deductions: Sequence[Task], executor: Executor) -> list[Task]:
    """The tasks of every kind. Induction comes first, since not every program has enough inputs that run."""
    induction = list(inductions(deductions, executor))[: COUNTS["induction"]]
    taken = {task.id for task in induction}
    rest = [task for task in deductions if task.id not in taken]
    middle = COUNTS["deduction"]
    abduction = [replace(task, kind="abduction") for task in rest[middle : middle + COUNTS["abduction"]]]
    return [*rest[:middle], *abduction, *induction]


def inductions(deductions: Sequence[Task], executor: Executor) -> Iterator[Task]:
    """Induction tasks on the programs that run on enough inputs, the given one first."""
    sets = [runnable_inputs(task, executor) for task in deductions]
    pairs = zip(deductions, sets, strict=True)
    enough = [(task, inputs) for task, inputs in pairs if len(inputs) >= MIN_INPUTS]
    proposals: list[Proposal | Rejection] = [
        Proposal(kind="induction", program=task.program, inputs=inputs) for task, inputs in enough
    ]
    outcomes = verify(proposals, kinds=KINDS, runner=executor, step=-1)
    for (task, _), outcome in zip(enough, outcomes, strict=True):
        if isinstance(outcome, Task) and is_short(outcome) and len(set(outcome.outputs)) >= MIN_INPUTS:
            yield replace(outcome, id=task.id)


def runnable_inputs(task: Task, executor: Executor) -> tuple[str, ...]:
    """The task's input and changes of it on which the program gives a value."""
    own = parse_arguments(task.inputs[0])
    candidates = list(dict.fromkeys(map(render_arguments, (own, *perturb(own, 3 * MAX_INPUTS)))))
    runs = executor.run(task.program, candidates)
    return tuple(text for text, run in zip(candidates, runs, strict=True) if run.is_ok)[:MAX_INPUTS]


if __name__ == "__main__":
    main()
