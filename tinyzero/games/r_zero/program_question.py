"""Questions about programs: what does this call return? The executor knows, and no reward does.

With `r_zero.domain = "programs"` the challenger has the proposer's prompt of deduction. The label of a
question is the solver's majority, as of any question; what the program returned stands beside it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from tinyzero.execution.values import BadLiteral, parse_literal, render, same
from tinyzero.games.r_zero.equivalence.comparer import linked
from tinyzero.games.r_zero.equivalence.forms import normal_form
from tinyzero.games.r_zero.question import DEDUCTION, MAX_ANSWER_CHARS, QUESTION
from tinyzero.tasks.base import Check, Style
from tinyzero.tasks.funnel import refuse_run
from tinyzero.tasks.programs import canonical, digest, shape
from tinyzero.types import Execution, Prompt, Proposal, Rejection, Stage, Task

_Gate = Literal["form", "runs", "strict"]


class ProgramQuestion:
    """Prompt, parsing and verification of questions about programs; `QUESTION` asks and judges them."""

    name = QUESTION.name

    def __init__(self, gate: _Gate) -> None:
        self.gate = gate

    def propose_prompt(self, style: Style) -> Prompt:
        return replace(DEDUCTION.propose_prompt([], style), kind=self.name)

    def parse_proposal(self, answer: str, *, max_program_chars: int = 2000) -> Proposal | Rejection:
        proposal = DEDUCTION.parse_proposal(answer, [], max_program_chars=max_program_chars)
        return proposal if isinstance(proposal, Rejection) else replace(proposal, kind=self.name)

    def verify(self, proposal: Proposal, step: int) -> Rejection | Check[Task | Rejection]:
        """The runs that Absolute Zero makes. The gate decides which of their results refuse a question."""
        check = DEDUCTION.verify(proposal, step)
        if isinstance(check, Rejection):
            return check

        def decide(executions: Sequence[Sequence[Execution]]) -> Task | Rejection:
            outcome = check.decide(executions)
            failure = refuse_run(executions[0][0])
            if isinstance(outcome, Rejection) and self._refuses(outcome):
                return outcome
            return _question(proposal, None if failure else render(executions[0][0].value), step)

        return Check(jobs=check.jobs, decide=decide)

    def _refuses(self, rejection: Rejection) -> bool:
        return self.gate == "strict" or (self.gate == "runs" and rejection.stage is Stage.RAN)


def _question(proposal: Proposal, truth: str | None, step: int) -> Task:
    """A question without a label. Programs that differ only in names get the same id."""
    return Task(
        id=digest(QUESTION.name, canonical(proposal.program), *proposal.inputs),
        kind=QUESTION.name,
        program=proposal.program,
        inputs=proposal.inputs,
        outputs=(),
        shape=shape(proposal.program),
        step=step,
        truth=truth,
    )


def read_value(task: Task, answer: str) -> str:
    """The literal in an answer, in canonical form; empty if there is none."""
    written = DEDUCTION.read(task, answer)
    return "" if written is None else render(written[0])


class Values:
    """A `Comparer` of canonical literals: equal by value and type, floats up to rounding."""

    def same(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return [
            first == second or same(parse_literal(first), parse_literal(second), float_tolerance=True)
            for first, second in pairs
        ]


def cluster_values(answers: Sequence[Sequence[str]]) -> list[list[int]]:
    """For each question, one cluster number per answer, by first appearance; -1 for an unreadable answer.

    Args:
        answers: canonical literals, as `read_value` gives them.
    """
    links = linked([sorted({*filter(None, group)}) for group in answers], Values())
    return [_numbered(group, link) for group, link in zip(answers, links, strict=True)]


def _numbered(group: Sequence[str], first_of: dict[str, str]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(first_of[text], len(numbers)) if text else -1 for text in group]


def is_true(task: Task, answer: str) -> bool | None:
    """Whether an answer, a canonical literal, is what the program returned; None where nobody knows."""
    return None if task.truth is None else bool(answer) and Values().same([(answer, task.truth)])[0]


def is_label(label: str, *, is_value: bool) -> bool:
    """Whether answers can be compared with a label: a canonical literal, or a short answer in words."""
    if not is_value:
        return 0 < len(label) <= MAX_ANSWER_CHARS and bool(normal_form(label))
    try:
        return render(parse_literal(label)) == label
    except BadLiteral:
        return False
