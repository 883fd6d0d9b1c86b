"""Every row of the tables in docs/prompts.md is read as it says there."""

import re
from pathlib import Path

import pytest

from tinyzero.games.r_zero.question import read_answer
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Check
from tinyzero.types import Proposal, Task, Verdict

DOCS = Path(__file__).parents[2] / "docs" / "prompts.md"
PROGRAM = "def f(x):\n    return x * 2"
TASK = Task(id="t", kind="deduction", program=PROGRAM, inputs=("3",), outputs=("6",))
PAIRS = Task(id="p", kind="induction", program=PROGRAM, inputs=("1", "2"), outputs=("2", "4"))


def rows(num_cells: int) -> list[list[str]]:
    """The cells of rows that begin with code, as text; a dash is empty."""
    lines = re.findall(
        r"^\| ((`+).*?(?<!`)\2(?!`)) \| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE
    )
    cells = [[text(first), *map(text, rest.split(" | "))] for first, _, rest in lines]
    return [row for row in cells if len(row) == num_cells]


def text(cell: str) -> str:
    ticks = re.match("`*", cell)[0]
    inside = cell.removeprefix(ticks).removesuffix(ticks) if ticks else cell.replace("-", "")
    inside = inside[1:-1] if inside[:1] == inside[-1:] == " " else inside
    return re.sub(r"<U\+(\w{4})>", lambda match: chr(int(match[1], 16)), inside).replace("⏎", "\n")


def test_the_tables_are_found() -> None:
    assert len(rows(4)) > 50
    assert len(rows(3)) > 20


@pytest.mark.parametrize(("written", "value", "arguments", "answer"), rows(4), ids=repr)
def test_a_value_arguments_and_a_box_are_read(written: str, value: str, arguments: str, answer: str) -> None:
    verdict = KINDS["deduction"].grade(TASK, written)
    check = KINDS["abduction"].grade(TASK, written)
    assert isinstance(verdict, Verdict)
    assert verdict.answer == value
    assert (check.jobs[0].inputs if isinstance(check, Check) else ("",)) == (arguments,)
    assert read_answer(written) == answer


@pytest.mark.parametrize(("written", "solver", "proposer"), rows(3), ids=repr)
def test_a_program_is_read(written: str, solver: str, proposer: str) -> None:
    check = KINDS["induction"].grade(PAIRS, written)
    assert (check.jobs[0].program if isinstance(check, Check) else "") == (PROGRAM if solver == "yes" else "")
    has_fence = "```" in written or "~~~" in written
    proposed = f"{written}\n```input\n3\n```" if has_fence else f"{written}\nin: 3"
    proposal = KINDS["deduction"].parse_proposal(proposed, [])
    assert isinstance(proposal, Proposal) is (proposer == "yes")
    if isinstance(proposal, Proposal):
        assert (proposal.program, proposal.inputs) == (PROGRAM, ("3",))
