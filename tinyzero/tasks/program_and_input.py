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
from tinyzero.tasks.layout import compact, program_and_calls
from tinyzero.tasks.perturb import perturb
from tinyzero.types import Execution, Job, Prompt, Proposal, Rejection, Role, Task

IDENTITY = "def f(a):\n    return a"


class ProgramAndInput:
    """Proposing and accepting; a kind adds its name, what is asked of its solvers, and their side of it."""

    name: str
    challenge: str
    """What a solver sees and must find, told to the proposer."""

    def seeds(self) -> tuple[Task, ...]:
        seed = Proposal(kind=self.name, program=IDENTITY, inputs=("'Hello world'",))
        return (make_task(seed, ["Hello world"], step=-1),)

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task]:
        return pool.references(self.name, count, rng)

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        prefill = PREFILL if style == "direct" else ""
        text = self._compact_text(references) if style == "compact" else self._full_text(references, style)
        return Prompt(role=Role.PROPOSER, kind=self.name, text=text, prefill=prefill)

    def _compact_text(self, references: Sequence[Task]) -> str:
        blocks = [compact(task.program, inputs=task.inputs) for task in references]
        return f"propose {self.name}\n" + "\n\n".join(blocks)

    def _full_text(self, references: Sequence[Task], style: Style) -> str:
        """A fixed example, which shows the form better than seeds do, stands in for them, and comes last."""
        shown = [program_and_calls(task.program, task.inputs) for task in references if task.step >= 0]
        parts = [TASK.format(challenge=self.challenge)]
        parts += ["Earlier ones:", *shown] if shown else []
        parts += ["For example:", EXAMPLE, "Write another one." if style == "direct" else PLAN]
        return "\n\n".join(parts)

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
        if style == "compact":
            return compact(proposal.program, inputs=proposal.inputs)
        return program_and_calls(proposal.program, proposal.inputs)


def _other_arguments(proposal: Proposal) -> tuple[tuple[object, ...], ...]:
    return perturb(parse_arguments(proposal.inputs[0]))


PREFILL = "```python\ndef f("

TASK = """\
Write a short Python function `f` and print the result of one call. {challenge} The result depends on the \
arguments, which are plain values, and is the same on every run: no randomness, time, files or input."""

EXAMPLE = """\
```python
def f(a, b):
    return a * 2 + b

print(f(3, 4))
```"""

PLAN = """\
Write another one, harder, and different in idea from what is above. Plan it in a few words first: what does \
it compute, and where could a reader slip? Then give it in a single ```python block, as above."""
