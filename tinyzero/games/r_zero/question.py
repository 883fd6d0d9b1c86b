"""Questions: texts with a short answer that nobody knows. The majority of the attempts replaces it.

This is R-Zero's kind. No program can verify it, so it is not in `KINDS`: the game compares answers with
each other (`tinyzero.games.r_zero.equivalence`). The answers of held-out questions are known and judged here.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tinyzero.games.r_zero.equivalence.comparer import same_by_form
from tinyzero.games.r_zero.equivalence.forms import normal_form
from tinyzero.tasks.answers import final_part
from tinyzero.tasks.base import Style, TaskSource
from tinyzero.tasks.deduction import Deduction
from tinyzero.tasks.funnel import is_unreadable, malformed
from tinyzero.tasks.programs import digest
from tinyzero.tasks.thoughts import CLOSED, OPENED
from tinyzero.tasks.wording import boxed, has_box
from tinyzero.types import (
    Prompt,
    Proposal,
    Rejection,
    Stage,
    Task,
    Verdict,
    VerdictStatus,
)

_QUESTION = re.compile(r"<question>((?:(?!<question>).)*?)(?:</question>|(?=<question>)|\Z)", re.DOTALL)
_PROOF = re.compile(r"\b(?:prove|proof|show that|explain why|justify)\b", re.IGNORECASE)
_SOLUTION = re.compile(r"^\W*(?:answer|solution)\b", re.IGNORECASE | re.MULTILINE)
_LEAST_CHARS = 12
DEDUCTION = Deduction()
"""Asks what a call returns, in the words of Absolute Zero's kind."""
_BEGUN = "Problem:"
MAX_ANSWER_CHARS = 200
"""Longer answers are essays, which are never equal."""


class Question:
    """Prompts, parsing and judging of questions in words; prompts and judging of those about programs, too.

    `tinyzero.games.r_zero.program_question` writes and verifies the latter.
    """

    name = "question"

    def seeds(self) -> tuple[Task, ...]:
        return ()

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task]:
        """No references: a challenger's prompt shows no earlier questions."""
        return []

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        if style == "compact":
            return Prompt(kind=self.name, text="propose question")
        if style == "direct":
            return Prompt(kind=self.name, text=_PROPOSE_DIRECT, prefill=_BEGUN)
        return Prompt(kind=self.name, text=f"{_REASON_FIRST}\n\n{PROPOSE}", reasons=True)

    def parse_proposal(
        self,
        answer: str,
        references: Sequence[Task],
        *,
        max_program_chars: int = 2000,
        is_begun: bool = False,
    ) -> Proposal | Rejection:
        """The last question in an answer. The challenger's own solution must follow it; it is not used.

        Args:
            is_begun: the prompt's prefill begins the question. Then the question is the first paragraph, and
                it needs no solution.
        """
        question = _begun(answer) if is_begun else _tagged(answer)
        if isinstance(question, Rejection):
            return question
        return self.read_question(question, max_program_chars)

    def read_question(self, question: str, max_chars: int) -> Proposal | Rejection:
        """A question as it is asked, without tags; or why it cannot be used."""
        reason = _refuse_question(question, max_chars)
        if reason:
            return Rejection(stage=Stage.ALLOWED, detail=reason)
        return Proposal(kind=self.name, program="", inputs=(), message=question)

    def verify(self, proposal: Proposal, step: int) -> Task:
        """A task whose answer is not known yet; its outputs are empty."""
        return Task(
            id=digest(self.name, proposal.message),
            kind=self.name,
            program="",
            inputs=(),
            outputs=(),
            message=proposal.message,
            step=step,
        )

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        if task.program:
            return replace(DEDUCTION.solve_prompt(task, style), kind=self.name)
        if style == "compact":
            return Prompt(kind=self.name, text=f"solve question\n{task.message}")
        text = f"{task.message}\n\n{SOLVE}"
        if style == "direct":
            return Prompt(kind=self.name, text=text, prefill="\\boxed{")
        return Prompt(kind=self.name, text=f"{text} {_STEP_BY_STEP}", reasons=True)

    def grade(self, task: Task, answer: str) -> Verdict:
        """Compares normal forms, or values where a program is asked about; runs and evaluates nothing."""
        if task.program:
            return DEDUCTION.grade(task, answer)
        text = read_answer(answer)
        if not text:
            return Verdict(status=VerdictStatus.MALFORMED, detail="no \\boxed answer")
        is_right = same_by_form(normal_form(text), normal_form(task.outputs[0])) is True
        return Verdict(status=VerdictStatus.CORRECT if is_right else VerdictStatus.WRONG, answer=text)

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        if proposal.program:
            return DEDUCTION.render_proposal(proposal, style)
        if style == "direct":
            return f"{_BEGUN} {proposal.message}"
        return f"<question>{proposal.message}</question>\n\\boxed{{0}}"

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        if task.program:
            return DEDUCTION.render_answer(task, answer, style)
        return f"\\boxed{{{answer}}}"


def _begun(answer: str) -> str:
    paragraph = answer.removeprefix(_BEGUN).strip().partition("\n\n")[0]
    return " ".join(_SOLUTION.split(paragraph)[0].split())


def _tagged(answer: str) -> str | Rejection:
    text = _spoken(answer)
    matches = list(_QUESTION.finditer(text))
    if not matches:
        return malformed("no <question> in the answer")
    if not boxed(text[matches[-1].end() :]):
        return malformed("no \\boxed answer after the question")
    return " ".join(matches[-1][1].split())


def read_answer(answer: str) -> str:
    """The last boxed answer of a text, in one line; empty if there is none, or if it is empty or an essay."""
    text = " ".join(boxed(_spoken(answer)).split())
    return text if len(text) <= MAX_ANSWER_CHARS and normal_form(text) else ""


def _spoken(answer: str) -> str:
    """What an answer says after its thought. A <think> within a line counts too: no answer here holds it."""
    return final_part(answer) if answer.rfind(OPENED) <= answer.rfind(CLOSED) else ""


def _refuse_question(question: str, max_chars: int) -> str:
    """Why a question cannot be used, or an empty string."""
    if len(question) < _LEAST_CHARS:
        return "the question is too short to ask anything"
    if len(question) > max_chars:
        return f"the question has {len(question)} characters, {max_chars} are allowed"
    if is_unreadable(question):
        return "the question holds half a character, or a NUL"
    if "\\boxed" in question or has_box(question):
        return "the question holds a boxed answer"
    if _PROOF.search(question):
        return "it asks for a proof, and proofs cannot be compared"
    return ""


QUESTION = Question()

PROPOSE = """\
Invent one new mathematics problem. It may come from any field: arithmetic, algebra, number theory, \
geometry, combinatorics, probability, and so on. Make it hard enough that a good student gets it wrong more \
often than right, and solvable all the same. Avoid the well-known textbook problems.

- It can be understood on its own, without a picture or a table.
- It has exactly one answer, which is short: a number, an expression, or a few words.
- It asks for an answer, not for a proof, and for one thing only.

Write it in exactly this form, the problem first and its final answer after it:

<question>
The whole problem.
</question>
\\boxed{the final answer}"""

_PROPOSE_DIRECT = """\
Write one short word problem for a mathematics test. Its answer is a number. For example:

Problem: Anna has 12 pencils, gives 5 of them away, and then buys twice as many as she has left. How many \
pencils does she have now?

Write another problem in the same form, about something else. It should take several steps to solve."""

_REASON_FIRST = (
    "You set problems for a mathematics competition. Think about a problem and its solution first."
)

SOLVE = "Give the final answer, and nothing but the answer, within \\boxed{}."
_STEP_BY_STEP = "Reason step by step before that."


_EXAMPLE = (
    "Two dice are thrown until their sum is 7 or 8. What is the probability that it is 8? Give a fraction in "
    "lowest terms."
)


def example_question() -> Task:
    """A question with its answer."""
    proposal = Proposal(kind=QUESTION.name, program="", inputs=(), message=_EXAMPLE)
    return replace(QUESTION.verify(proposal, step=0), outputs=("5/11",))
