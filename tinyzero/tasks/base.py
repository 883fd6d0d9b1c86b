"""What a task kind is: prompts, parsing and judging as pure functions around jobs for the executor.

Nothing here runs a program. A kind says what to run (`Job`) and what the executions mean, so that a game can run the
jobs of a whole round in one batch.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from tinyzero.types import Execution, Job, Prompt, Proposal, Rejection, Task, Verdict

Style = Literal["full", "compact"]


class Kind(Protocol):
    """One kind of task. `answer` is always the prompt's prefill followed by the completion's text."""

    name: str

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        """Ask for a new task, given K earlier ones (for induction the first reference's program is the subject)."""
        ...

    def parse_proposal(self, answer: str, references: Sequence[Task]) -> Proposal | Rejection:
        """Read a proposal from an answer; the rejection's stage is PARSED."""
        ...

    def proposal_jobs(self, proposal: Proposal) -> tuple[Job, ...]:
        """Runs that decide on a proposal: the determinism check first, then runs on perturbed inputs."""
        ...

    def accept(self, proposal: Proposal, executions: Sequence[Sequence[Execution]], step: int) -> Task | Rejection:
        """Decide on a proposal from its executions, one list per job, one execution per input."""
        ...

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        """Ask for a solution; never contains what is hidden."""
        ...

    def answer_job(self, task: Task, answer: str) -> Job | Verdict:
        """The run that an answer needs, or the verdict where it needs none. Gold never enters a job."""
        ...

    def judge(self, task: Task, answer: str, executions: Sequence[Execution]) -> Verdict:
        """The verdict on an answer whose job gave `executions`, one per input."""
        ...
