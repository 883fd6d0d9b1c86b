"""The interface of a task kind: prompts, parsing and judging, as pure functions around executor jobs.

Nothing here runs a program. A kind defines what to run and how to read the executions (`Check`), so that
`tinyzero.tasks.judging` can run the jobs of a round in one batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, Literal, Protocol, TypeVar

from tinyzero.types import Execution, Job, Prompt, Proposal, Rejection, Task, Verdict

Style = Literal["full", "direct", "compact"]
"""full: instructions in words, and room to reason before the answer. direct: instructions, and a prefill that
begins the answer, for instruct models too small to reason. compact: a few tokens, for small contexts."""


Decision = TypeVar("Decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[Decision]):
    """A decision that needs program runs. The gold answer stays in `decide` and never enters a job.

    Attributes:
        decide: takes the executions (one list per job, one execution per input) and returns the decision.
    """

    jobs: tuple[Job, ...]
    decide: Callable[[Sequence[Sequence[Execution]]], Decision]


class TaskSource(Protocol):
    """The source of references; `tinyzero.tasks.pool.Pool` implements it."""

    def references(self, kind: str, count: int, rng: Random) -> list[Task]:
        """At most `count` different tasks of a kind."""
        ...

    def programs(self, count: int, rng: Random, *, new_to: str = "") -> list[Task]:
        """At most `count` tasks with different programs that run on their inputs, without seeds.

        Args:
            new_to: a kind; programs without a task of this kind come first.
        """
        ...


class Kind(Protocol):
    """One kind of task. `answer` is always the prompt's prefill followed by the completion's text."""

    @property
    def name(self) -> str:
        """Key of `KINDS` and of the metrics."""
        ...

    def seeds(self) -> tuple[Task, ...]:
        """Tasks that the pool starts with and never drops."""
        ...

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task] | None:
        """Earlier tasks to show to a proposer, at most K = `count`; None if the kind cannot propose yet."""
        ...

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        """The prompt for a new task, given K references (induction: the first has the subject's program)."""
        ...

    def parse_proposal(
        self, answer: str, references: Sequence[Task], *, max_program_chars: int = 2000
    ) -> Proposal | Rejection:
        """Parse a proposal from an answer. The stage of a rejection is PARSED or ALLOWED."""
        ...

    def verify(self, proposal: Proposal, step: int) -> Task | Rejection | Check[Task | Rejection]:
        """The task of a proposal, or the reason for its rejection, or the runs that decide.

        Args:
            step: step of the new task.
        """
        ...

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        """The prompt for a solution. It never contains what is hidden from the solver."""
        ...

    def grade(self, task: Task, answer: str) -> Verdict | Check[Verdict]:
        """The verdict on an answer, or the runs that decide."""
        ...

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        """The ideal answer to a propose prompt of that style; `parse_proposal` reads it back."""
        ...

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        """The ideal answer to a solve prompt: `answer` is a literal, arguments or a program, by kind."""
        ...


def block(tag: str, body: str) -> str:
    return f"```{tag}\n{body}\n```"


def program_and_calls(program: str, inputs: Sequence[str]) -> str:
    """A program and its calls as one fenced block, like a usage example."""
    calls = "\n".join(f"print(f({arguments}))" for arguments in inputs)
    return block("python", f"{program}\n\n{calls}")


def compact(program: str = "", *, inputs: Sequence[str] = (), output: str = "", message: str = "") -> str:
    """The program, then one line for each other part.

    `in` is a keyword, so no program line can begin like such a line, except inside a multi-line string.
    """
    lines = [program] if program else []
    lines += [f"in: {arguments}" for arguments in inputs]
    lines += [f"out: {output}"] if output else []
    lines += [f"msg: {message}"] if message else []
    return "\n".join(lines)
