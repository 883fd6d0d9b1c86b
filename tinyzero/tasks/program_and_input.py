"""What deduction and abduction share: a proposal is a program and one input; running it gives the output."""

from collections.abc import Sequence
from random import Random

from tinyzero.execution.values import parse_arguments, render_arguments
from tinyzero.tasks.answers import proposal_parts
from tinyzero.tasks.base import Style, TaskSource
from tinyzero.tasks.funnel import (
    make_task,
    malformed,
    read_arguments,
    read_program,
    refuse_run,
    refuse_trivial,
)
from tinyzero.tasks.layout import write
from tinyzero.tasks.perturb import perturb
from tinyzero.types import Execution, Job, Prompt, Proposal, Rejection, Role, Task

IDENTITY = "def f(a):\n    return a"


class ProgramAndInput:
    """Proposing and accepting; a kind adds its name, its goal in words and its solver's side."""

    name: str
    goal: str
    """What a solver will see and have to find, as a sentence for the proposer."""

    def seeds(self) -> tuple[Task, ...]:
        seed = Proposal(kind=self.name, program=IDENTITY, inputs=("'Hello world'",))
        return (make_task(seed, ["Hello world"], step=-1),)

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task]:
        return pool.references(self.name, count, rng)

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        text = self._compact_text(references) if style == "compact" else self._full_text(references)
        return Prompt(
            role=Role.PROPOSER, kind=self.name, text=text, prefill=PREFILL if style == "full" else ""
        )

    def _compact_text(self, references: Sequence[Task]) -> str:
        blocks = [write(task.program, "compact", inputs=task.inputs) for task in references]
        return f"propose {self.name}\n" + "\n\n".join(blocks)

    def _full_text(self, references: Sequence[Task]) -> str:
        shown = [
            write(task.program, "full", inputs=task.inputs, output=task.outputs[0]) for task in references
        ]
        return PROPOSE.format(goal=self.goal, references="\n\n".join(shown))

    def parse_proposal(
        self, answer: str, references: Sequence[Task], *, max_program_chars: int = 2000
    ) -> Proposal | Rejection:
        parts = proposal_parts(answer)
        if not parts.inputs:
            return malformed("no input" if parts.program else "no program")
        arguments = read_arguments(parts.inputs[0])
        if isinstance(arguments, Rejection):
            return arguments
        program = read_program(parts.program, max_program_chars)
        if isinstance(program, Rejection):
            return program
        parents = tuple(task.id for task in references)
        return Proposal(kind=self.name, program=program, inputs=(arguments,), parents=parents)

    def proposal_jobs(self, proposal: Proposal) -> tuple[Job, ...]:
        program = proposal.program
        checked = Job(program=program, inputs=proposal.inputs, is_proposal=True, check_determinism=True)
        others = tuple(render_arguments(row) for row in _other_arguments(proposal))
        return (checked, Job(program=program, inputs=others, is_proposal=True)) if others else (checked,)

    def accept(
        self, proposal: Proposal, executions: Sequence[Sequence[Execution]], step: int
    ) -> Task | Rejection:
        own, *perturbed = (execution for job in executions for execution in job)
        arguments = parse_arguments(proposal.inputs[0])
        runs = [(arguments, own.value)] + [
            (row, execution.value)
            for row, execution in zip(_other_arguments(proposal), perturbed, strict=True)
            if execution.is_ok
        ]
        return refuse_run(own) or refuse_trivial(runs) or make_task(proposal, [own.value], step)

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        return write(proposal.program, style, inputs=proposal.inputs)


def _other_arguments(proposal: Proposal) -> tuple[tuple[object, ...], ...]:
    return perturb(parse_arguments(proposal.inputs[0]))


PREFILL = "```python\ndef f("

PROPOSE = """\
Write a small Python function `f` and one input for it. {goal}

Rules:
- `f` takes at least one argument, returns a value, and its result depends on the input.
- The result is the same on every run: no randomness, time, files, printing or user input.
- The input is the arguments of one call, separated by commas: plain values such as 3, [1, 2] or 'abc'.
- Good tasks take several steps of careful reasoning and are unlike the examples.

Examples:

{references}

Now write a new one in the same form: a ```python block with the function, then an ```input block with its \
arguments."""
