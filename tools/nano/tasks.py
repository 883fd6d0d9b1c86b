"""Lessons for pretraining in the words of `tinyzero.tasks`: a prompt of some role and kind, and an answer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from nano.examples import Sample, random_sample, wrong_input, wrong_output, wrong_program
from nano.thoughts import think
from tinyzero.tasks import KINDS
from tinyzero.tasks.induction import MIN_INPUTS, num_shown
from tinyzero.types import Prompt, Proposal, Role, Task

STYLE = "compact"
MAX_REFERENCES = 4
MAX_PAIRS = 6

# (role, kind, share of the lessons, weight of an answer token). The answers to be worked out are short; with
# equal weights the long ones, which are mostly random choices, would drown them.
MIXTURE = (
    (Role.SOLVER, "deduction", 0.44, 1.0),
    (Role.SOLVER, "abduction", 0.26, 1.0),
    (Role.SOLVER, "induction", 0.16, 0.6),
    (Role.PROPOSER, "deduction", 0.05, 0.3),
    (Role.PROPOSER, "abduction", 0.05, 0.3),
    (Role.PROPOSER, "induction", 0.04, 0.3),
)

TAUGHT = tuple(dict.fromkeys(kind for _, kind, *_ in MIXTURE))
"""The kinds that nano knows; an exam in another would measure nothing."""

# What a hint may say about a program that contains the pattern.
_HINTS = (
    (r"\[::-1\]|= \w+ \+ out|= \[\w+\] \+", "reverse"),
    (r"sorted\(", "sort"),
    (r"\.upper|\.lower|\.capitalize", "case"),
    (r"\[-?\d*:-?\w*\]", "slice"),
    (r"\[-?\d\]", "item"),
    (r"len\(", "length"),
    (r"sum\(", "sum"),
    (r"max\(", "largest"),
    (r"min\(", "smallest"),
    (r"\.count", "count"),
    (r"\.replace|\.strip|\.split|\.join|\.find", "characters"),
    (r"\bif\b", "condition"),
    (r"\bfor\b", "loop"),
    (r" \* ", "times"),
    (r" \+=? ", "add"),
    (r" -=? |-\w", "subtract"),
    (r" %|// ", "divide"),
    (r"range\(", "range"),
    (r"str\(", "text"),
    (r"==|!=| < | > ", "compare"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the answers to solver prompts look.

    Attributes:
        thinking: share that reason before the answer, always right.
        wrong: share of the others that are deliberately wrong.
    """

    thinking: float
    wrong: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A prompt, the answer that pretraining shows to it, and whether that is deliberately wrong."""

    role: Role
    prompt: Prompt
    answer: str
    is_wrong: bool = False
    thinks: bool = False
    unscored: tuple[tuple[int, int], ...] = ()
    """Start and end of the answer's characters that are shown and not learned."""

    @property
    def weight(self) -> float:
        """Of an answer token's loss."""
        return next(row[3] for row in MIXTURE if row[:2] == (self.role, self.prompt.kind))


def lessons(seed: int | str, first: int, habits: Habits) -> Iterator[Lesson]:
    """Endless lessons, numbered from `first`; lesson i follows from the seed and i alone."""
    number = first
    while True:
        yield lesson(Random(f"{seed}/lesson/{number}"), habits)
        number += 1


def lesson(rng: Random, habits: Habits) -> Lesson:
    role, kind, *_ = rng.choices(MIXTURE, [row[2] for row in MIXTURE])[0]
    sample = random_sample(rng)
    if role is Role.PROPOSER:
        return proposer_lesson(rng, kind, sample)
    thinks, is_wrong = rng.random() < habits.thinking, rng.random() < habits.wrong
    return (thinks and thinking_lesson(rng, kind, sample)) or direct_lesson(
        rng, kind, sample, is_wrong=is_wrong
    )


def thinking_lesson(rng: Random, kind: str, sample: Sample) -> Lesson | None:
    """None where the reasoning would be too long."""
    task = task_of(rng, kind, sample)
    thought = think(rng, sample, task)
    if thought is None:
        return None
    prompt = KINDS[kind].solve_prompt(task, STYLE)
    return Lesson(
        role=Role.SOLVER, prompt=prompt, answer=thought.text, thinks=True, unscored=thought.unscored
    )


def direct_lesson(rng: Random, kind: str, sample: Sample, *, is_wrong: bool) -> Lesson:
    task = task_of(rng, kind, sample)
    answer = _wrong_answer(rng, kind, sample, task) if is_wrong else right_answer(task)
    prompt = KINDS[kind].solve_prompt(task, STYLE)
    ideal = KINDS[kind].render_answer(task, answer, STYLE)
    return Lesson(role=Role.SOLVER, prompt=prompt, answer=ideal, is_wrong=is_wrong)


def proposer_lesson(rng: Random, kind: str, sample: Sample) -> Lesson:
    """An induction proposal is about the program it is shown, any other one unlike what it is shown."""
    task = task_of(rng, kind, sample)
    references = [task] if kind == "induction" else references_of(rng, kind)
    proposal = Proposal(kind=kind, program=task.program, inputs=task.inputs, message=task.message)
    prompt = KINDS[kind].propose_prompt(references, STYLE)
    ideal = KINDS[kind].render_proposal(proposal, STYLE)
    return Lesson(role=Role.PROPOSER, prompt=prompt, answer=ideal)


def task_of(rng: Random, kind: str, sample: Sample) -> Task:
    """A task about the sample's program, on as many of its runs as the kind needs."""
    num_runs = rng.randint(MIN_INPUTS, min(MAX_PAIRS, len(sample.runs))) if kind == "induction" else 1
    runs = _telling_runs(rng, sample, num_runs)
    return Task(
        id="",
        kind=kind,
        program=sample.program.source,
        inputs=tuple(given for given, _ in runs),
        outputs=tuple(output for _, output in runs),
        message=hint(rng, sample.program.source) if kind == "induction" else "",
        shape=sample.shape,
    )


def right_answer(task: Task) -> str:
    return {"deduction": task.outputs[0], "abduction": task.inputs[0], "induction": task.program}[task.kind]


def hint(rng: Random, source: str) -> str:
    """A few words on what the program does, in no particular order."""
    body = source.partition("\n")[2].replace("return", "")
    words = [word for pattern, word in _HINTS if re.search(pattern, body)]
    chosen = rng.sample(words, min(len(words), rng.choice((1, 2, 2, 3))))
    return ", ".join(chosen)


def references_of(rng: Random, kind: str) -> Sequence[Task]:
    """0 to K earlier tasks, one for induction; now and then the seeds, all that a young pool holds."""
    if rng.random() < 0.1:
        return KINDS[kind].seeds()
    if kind == "induction":
        return [task_of(rng, kind, random_sample(rng))]
    return [
        task_of(rng, kind, random_sample(rng)) for _ in range(rng.choice((0, 1, 1, 2, 3, MAX_REFERENCES)))
    ]


def _telling_runs(rng: Random, sample: Sample, count: int) -> list[tuple[str, str]]:
    """Distinct runs in random order, one with an output unlike its input first, not all of one output."""
    runs = rng.sample(sample.runs, len(sample.runs))
    first = next(index for index, (given, output) in enumerate(runs) if given != output)
    runs.insert(0, runs.pop(first))
    second = next(index for index, (_, output) in enumerate(runs) if output != runs[0][1])
    runs.insert(1, runs.pop(second))
    return runs[:count]


def _wrong_answer(rng: Random, kind: str, sample: Sample, task: Task) -> str:
    if kind == "induction":
        shown = num_shown(task)
        return wrong_program(rng, sample, tuple(zip(task.inputs, task.outputs, strict=True))[shown:])
    index = sample.runs.index((task.inputs[0], task.outputs[0]))
    return (wrong_output if kind == "deduction" else wrong_input)(rng, sample, index)
