"""What a task kind is: prompts, parsing and judging as pure functions around jobs for the executor.

Nothing here runs a program. A kind says what to run and what the executions mean (`Check`), so that
`tinyzero.tasks.judging` can run the jobs of a round in one batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, Literal, Protocol, TypeVar

from tinyzero.types import Execution, Job, Prompt, Proposal, Rejection, Task, Verdict

Style = Literal["full", "direct", "compact"]
"""full: instructions in words, and room to reason before the answer. direct: the same, with the answer begun
for the model, for instruct models too small to reason. compact: a few tokens of frame, for small contexts."""


Decision = TypeVar("Decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[Decision]):
    """What only runs can decide. Gold stays in `decide`, and never enters a job.

    Attributes:
        decide: from the executions, one list per job, of one execution per input.
    """

    jobs: tuple[Job, ...]
    decide: Callable[[Sequence[Sequence[Execution]]], Decision]


class TaskSource(Protocol):
    """Where references come from; `tinyzero.tasks.pool.Pool` is the real one."""

    def references(self, kind: str, count: int, rng: Random) -> list[Task]:
        """At most `count` different tasks of a kind."""
        ...

    def programs(self, count: int, rng: Random, *, new_to: str = "") -> list[Task]:
        """At most `count` tasks with different programs that run on their inputs, no seeds.

        Args:
            new_to: a kind; programs of which it has no task yet come first.
        """
        ...


class Kind(Protocol):
    """One kind of task. `answer` is always the prompt's prefill followed by the completion's text."""

    @property
    def name(self) -> str:
        """Key of `KINDS` and of the metrics."""
        ...

    def seeds(self) -> tuple[Task, ...]:
        """Tasks that the pool starts from and never drops."""
        ...

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task] | None:
        """The earlier tasks to show to a proposer, at most K = `count`; None where it cannot propose yet."""
        ...

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        """Ask for a new task, given K earlier ones (induction: the first one's program is the subject)."""
        ...

    def parse_proposal(
        self, answer: str, references: Sequence[Task], *, max_program_chars: int = 2000
    ) -> Proposal | Rejection:
        """Read a proposal from an answer; a rejection's stage is PARSED or ALLOWED."""
        ...

    def verify(self, proposal: Proposal, step: int) -> Task | Rejection | Check[Task | Rejection]:
        """The task that a proposal is, or why it is none, or the runs that decide it.

        Args:
            step: of the task.
        """
        ...

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        """Ask for a solution; never contains what is hidden."""
        ...

    def grade(self, task: Task, answer: str) -> Verdict | Check[Verdict]:
        """The verdict on an answer, or the runs that decide it."""
        ...

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        """The ideal answer to a propose prompt of that style; `parse_proposal` reads it back."""
        ...

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        """The ideal answer to a solve prompt: `answer` is a literal, arguments or a program, by kind."""
        ...
