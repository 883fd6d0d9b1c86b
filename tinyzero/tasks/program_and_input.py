"""Base of kinds whose proposals are a program and one input. A run gives the right answer."""

from collections.abc import Sequence
from itertools import chain
from random import Random
from typing import TypeAlias

from tinyzero.execution.values import parse_arguments, render_arguments
from tinyzero.tasks.allowed import ALLOWED_MODULES
from tinyzero.tasks.answers import proposal_parts
from tinyzero.tasks.base import Check, Style, TaskSource, compact, program_and_calls
from tinyzero.tasks.funnel import (
    MAX_LITERAL_CHARS,
    make_task,
    malformed,
    read_arguments,
    read_program,
    refuse_choice,
    refuse_run,
    refuse_trivial,
)
from tinyzero.tasks.perturb import MAX_ALTERNATIVES, perturb
from tinyzero.types import Execution, Job, Prompt, Proposal, Rejection, Task

IDENTITY = "def f(a):\n    return a"

Arguments: TypeAlias = tuple[object, ...]
Run: TypeAlias = tuple[Arguments, Execution]


class ProgramAndInput:
    """Proposing and verifying. A kind adds its name, its challenge, and the solver's prompts and judging."""

    name: str
    challenge: str
    """Tells the proposer what a solver sees and must find."""
    difficulty: str
    """Tells the proposer what makes a good task of this kind, if the prompt has room."""
    ending: str = "- The call returns a value; it raises no exception."
    """A rule for the proposer: how the call ends."""
    example: str
    """An example of the form of a proposal; too easy to be worth copying."""
    num_alternatives: int = MAX_ALTERNATIVES
    """Number of other inputs that a proposed program runs on."""

    def seeds(self) -> tuple[Task, ...]:
        seed = Proposal(kind=self.name, program=IDENTITY, inputs=("'Hello world'",))
        return (make_task(seed, ["Hello world"], step=-1),)

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task]:
        return pool.references(self.name, count, rng)

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        if style == "compact":
            return Prompt(kind=self.name, text=self._compact_text(references))
        # A fixed example shows the form better than the seeds.
        examples = [program_and_calls(task.program, task.inputs) for task in references if task.step >= 0]
        if style == "direct":
            text = self._direct_text(examples)
            return Prompt(kind=self.name, text=text, prefill=PREFILL)
        return Prompt(kind=self.name, text=self._full_text(examples), reasons=True)

    def _compact_text(self, references: Sequence[Task]) -> str:
        blocks = [compact(task.program, inputs=task.inputs) for task in references]
        return f"propose {self.name}\n" + "\n\n".join(blocks)

    def _direct_text(self, examples: Sequence[str]) -> str:
        """The example comes last: a small model continues what it has just read."""
        parts = [_SHORT_TASK.format(challenge=self.challenge)]
        parts += ["Earlier ones:", *examples] if examples else []
        parts += ["For example:", self.example, "Write another one."]
        return "\n\n".join(parts)

    def _full_text(self, examples: Sequence[str]) -> str:
        parts = [TASK.format(challenge=self.challenge, difficulty=self.difficulty)]
        parts += [RULES.format(ending=self.ending), "The form, with a task that is far too easy:"]
        parts += [self.example]
        parts += [EARLIER, *examples] if examples else []
        return "\n\n".join([*parts, _PLAN])

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

    def verify(self, proposal: Proposal, step: int) -> Rejection | Check[Task | Rejection]:
        """Runs the call twice, to check that it is deterministic, then runs the program on other inputs."""
        if len(proposal.inputs) != 1:  # of a record that somebody else wrote
            return malformed(f"{len(proposal.inputs)} inputs, and a task of this kind has one")
        own = parse_arguments(proposal.inputs[0])
        others = self._other_arguments(own, proposal.program)

        def decide(executions: Sequence[Sequence[Execution]]) -> Task | Rejection:
            runs = zip((own, *others), chain.from_iterable(executions), strict=True)
            return self._decide(proposal, list(runs), step)

        program, inputs = proposal.program, tuple(map(render_arguments, others))
        checked = Job(program=program, inputs=proposal.inputs, is_proposal=True, check_determinism=True)
        perturbed = _sharing(program, inputs) if inputs else ()
        return Check(jobs=(checked, *perturbed), decide=decide)

    def _decide(self, proposal: Proposal, runs: Sequence[Run], step: int) -> Task | Rejection:
        """Decide on a proposal from its own run, which comes first, and the runs on other inputs."""
        (arguments, own), *others = runs
        values = [(arguments, own.value), *((row, run.value) for row, run in others if run.is_ok)]
        refused = refuse_run(own) or refuse_trivial(values) or refuse_choice(proposal.program, values)
        return refused or make_task(proposal, [own.value], step)

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        if style == "compact":
            return compact(proposal.program, inputs=proposal.inputs)
        return program_and_calls(proposal.program, proposal.inputs)

    def _other_arguments(self, own: Arguments, program: str) -> tuple[Arguments, ...]:
        return perturb(own, self.num_alternatives)


def _sharing(program: str, inputs: tuple[str, ...]) -> tuple[Job, ...]:
    """Jobs that may share a process: their runs only show whether a program uses its input."""
    return (Job(program=program, inputs=inputs, is_proposal=True, share_process=True),)


PREFILL = "```python\ndef f("

_SHORT_TASK = """\
Write a short Python function `f` and print the result of one call. {challenge} The result depends on the \
arguments, which are plain values, and is the same on every run: no randomness, time, files or input."""

TASK = """\
Invent a programming puzzle: a Python function `f` and one call of it. {challenge}

{difficulty}"""

RULES = f"""\
Rules:
- `f` takes one argument or more, and the result depends on them: it is no constant, and does not just \
repeat an argument.
{{ending}}
- Arguments and result are plain values: numbers, strings, True, False, None, and lists, tuples, dicts or \
sets of these. Write the arguments out, with no names or computations in them. Keep everything short: at \
most {MAX_LITERAL_CHARS} characters each.
- Every run does the same, at once: no randomness, clock, files, network, input or long computations.
- Whatever `f` needs stands above it: helper functions, constants, imports. Only these modules may be \
imported: {", ".join(sorted(ALLOWED_MODULES - {"__future__"}))}.
- No `eval`, `exec`, `open`, `getattr`, `hash`, `id` and the like. Comments are removed."""

EXAMPLE = """\
```python
def f(a, b):
    return a * 2 + b

print(f(3, 4))
```"""

EARLIER = """\
Earlier puzzles. Yours must have another idea; new names, numbers or a new input for one of these do not \
count:"""

_PLAN = """\
Now invent yours. Plan first, in a few sentences: what does `f` compute, and where could a careful reader \
slip? Then write the function and, below it, the call in one ```python block, as in the form above."""
