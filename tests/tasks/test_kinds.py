"""Prompts, ideal answers and verdicts of every kind: hidden things stay hidden, answers prove themselves."""

import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.execution.values import render, render_arguments
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Check, Style
from tinyzero.types import Execution, Job, Outcome, Prompt, Proposal, Task, Verdict, VerdictStatus

STYLES: tuple[Style, ...] = get_args(Style)
CORRECT, WRONG, MALFORMED = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED

PROGRAM = "def f(a, b):\n    return a * b + 1"


def single(kind: str, program: str = PROGRAM, inputs: str = "2, 3", output: str = "7") -> Task:
    return Task(id="t", kind=kind, program=program, inputs=(inputs,), outputs=(output,), step=1)


PAIRS = Task(
    id="p",
    kind="induction",
    program="def f(a):\n    return a + 1000",
    inputs=("11", "12", "13", "14"),
    outputs=("1011", "1012", "1013", "1014"),
    message="Shifts a number.",
    step=1,
)
FAILING = single("error-prediction", "def f(a, b):\n    return [a][b]", "2, 3", "'IndexError'")
TASKS = {
    "deduction": single("deduction"),
    "abduction": single("abduction"),
    "induction": PAIRS,
    "error-prediction": FAILING,
}


def ok(*values: object) -> list[list[Execution]]:
    return [[Execution(outcome=Outcome.OK, value=value) for value in values]]


def everything(prompt: Prompt) -> str:
    return prompt.text + prompt.prefill


def test_tasks_import_no_torch() -> None:
    code = "import sys, tinyzero.tasks, tinyzero.tasks.pool; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_prompts_know_their_kind(kind: str, style: Style) -> None:
    asked = KINDS[kind].propose_prompt([TASKS[kind]], style)
    posed = KINDS[kind].solve_prompt(TASKS[kind], style)
    assert asked.kind == posed.kind == kind
    assert bool(asked.prefill) == bool(posed.prefill) == (style == "direct")
    assert asked.reasons == posed.reasons == (style == "full")


@pytest.mark.parametrize("style", STYLES)
def test_what_is_hidden_is_in_no_solve_prompt(style: Style) -> None:
    program = "def f(a, b):\n    return a * b + 1"
    deduction = everything(
        KINDS["deduction"].solve_prompt(single("deduction", program, "91, 92", "8373"), style)
    )
    assert program in deduction
    assert "91, 92" in deduction
    assert "8373" not in deduction
    abduction = everything(
        KINDS["abduction"].solve_prompt(single("abduction", program, "91, 92", "8373"), style)
    )
    assert program in abduction
    assert "8373" in abduction
    assert "91" not in abduction
    error = everything(KINDS["error-prediction"].solve_prompt(FAILING, style))
    assert FAILING.program in error
    assert "2, 3" in error
    assert "IndexError" not in error
    induction = everything(KINDS["induction"].solve_prompt(PAIRS, style))
    assert all(text in induction for text in ("11", "1011", "12", "1012", "Shifts a number."))
    assert not any(text in induction for text in ("13", "14", "1000", "return a"))


def test_gold_is_in_no_job() -> None:
    assert isinstance(KINDS["deduction"].grade(TASKS["deduction"], "7"), Verdict)
    assert isinstance(KINDS["error-prediction"].grade(FAILING, "IndexError"), Verdict)
    check = KINDS["abduction"].grade(single("abduction", inputs="91, 92", output="8373"), "5, 6")
    assert check.jobs == (Job(program=PROGRAM, inputs=("5, 6",)),)
    written = "def f(a):\n    return a"
    check = KINDS["induction"].grade(PAIRS, written)
    assert check.jobs == (Job(program=written, inputs=("13", "14"), share_process=True),)


# --- round trips


TEXT = st.text(max_size=12).filter(lambda text: "```" not in text)  # which no task contains
ARGUMENTS = st.lists(
    st.integers() | TEXT | st.lists(st.booleans(), max_size=3) | st.none(),
    min_size=1,
    max_size=3,
).map(tuple)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["deduction", "abduction", "error-prediction"])
@given(arguments=ARGUMENTS)
def test_the_ideal_proposal_is_read_back(kind: str, style: Style, arguments: tuple[object, ...]) -> None:
    proposal = Proposal(kind=kind, program=PROGRAM, inputs=(render_arguments(arguments),))
    text = KINDS[kind].render_proposal(proposal, style)
    assert text.startswith(KINDS[kind].propose_prompt([], style).prefill)
    assert KINDS[kind].parse_proposal(text, []) == proposal


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("message", ["", "Adds one."])
@given(rows=st.lists(ARGUMENTS, min_size=4, max_size=10, unique_by=render_arguments))
def test_the_ideal_pairs_are_read_back(style: Style, message: str, rows: list[tuple[object, ...]]) -> None:
    subject = TASKS["deduction"]
    inputs = tuple(dict.fromkeys([subject.inputs[0], *map(render_arguments, rows)]))[:10]
    proposal = Proposal(
        kind="induction", program=subject.program, inputs=inputs, message=message, parents=(subject.id,)
    )
    kind = KINDS["induction"]
    text = kind.render_proposal(proposal, style)
    assert text.startswith(kind.propose_prompt([subject], style).prefill)
    assert kind.parse_proposal(text, [subject]) == proposal


@pytest.mark.parametrize("style", STYLES)
@given(value=st.integers() | TEXT | st.lists(st.floats(), max_size=3) | st.booleans())
def test_the_ideal_deduction_is_right(style: Style, value: object) -> None:
    task = single("deduction", output=render(value))
    text = KINDS["deduction"].render_answer(task, render(value), style)
    assert text.startswith(KINDS["deduction"].solve_prompt(task, style).prefill)
    assert KINDS["deduction"].grade(task, text) == Verdict(status=CORRECT, answer=render(value))


@pytest.mark.parametrize("style", STYLES)
@given(arguments=ARGUMENTS)
def test_the_ideal_abduction_is_read_back(style: Style, arguments: tuple[object, ...]) -> None:
    task, kind = TASKS["abduction"], KINDS["abduction"]
    source = render_arguments(arguments)
    text = kind.render_answer(task, source, style)
    assert text.startswith(kind.solve_prompt(task, style).prefill)
    check = kind.grade(task, text)
    assert check.jobs == (Job(program=PROGRAM, inputs=(source,)),)
    assert check.decide(ok(7)) == Verdict(status=CORRECT, answer=source)


@pytest.mark.parametrize("style", STYLES)
def test_the_ideal_induction_is_right(style: Style) -> None:
    kind = KINDS["induction"]
    text = kind.render_answer(PAIRS, PAIRS.program, style)
    assert text.startswith(kind.solve_prompt(PAIRS, style).prefill)
    check = kind.grade(PAIRS, text)
    assert check.jobs == (Job(program=PAIRS.program, inputs=("13", "14"), share_process=True),)
    assert check.decide(ok(1013, 1014)).status is CORRECT


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["IndexError", "NoError"])
def test_the_ideal_error_prediction_is_right(style: Style, name: str) -> None:
    kind, task = KINDS["error-prediction"], replace(FAILING, outputs=(repr(name),))
    text = kind.render_answer(task, name, style)
    assert text == kind.render_answer(task, task.outputs[0], style)
    assert text.startswith(kind.solve_prompt(task, style).prefill)
    assert kind.grade(task, text) == Verdict(status=CORRECT, answer=name)


# --- verdicts


@pytest.mark.parametrize(
    ("output", "answer", "status"),
    [
        ("7", "```output\n7\n```", CORRECT),
        ("7", "7", CORRECT),
        ("7", "It is 2 * 3 + 1.\nOutput: 7", CORRECT),
        ("7", "```output\n8\n```", WRONG),
        ("7", "```output\n7.0\n```", WRONG),
        ("1", "True", WRONG),
        ("[1, 2]", "(1, 2)", WRONG),
        ("{1, 2}", "{2, 1}", CORRECT),
        ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", CORRECT),
        ("0.30000000000000004", "0.3", CORRECT),
        ("0.3", "0.31", WRONG),
        ("'ab'", '"ab"', CORRECT),
        ("'ab'", "ab", MALFORMED),
        ("7", "seven", MALFORMED),
        ("7", "", MALFORMED),
        ("7", "3 + 4", MALFORMED),
        ("7", "```output\n8 or 7\n```", MALFORMED),
        ("7", "```python\nassert f(2, 3) == 7  # 2 * 3 + 1\n```\nand so on", CORRECT),
        ("7", "```python\nassert f(2, 3) == 7```", CORRECT),
        ("7", "```python\nassert f(2, 3) == 6\nassert f(2, 3) == 7", WRONG),
        ("7", "```python\nassert f(2, 3) == 2 * 3 + 1", MALFORMED),
    ],
)
def test_a_deduction_is_judged(output: str, answer: str, status: VerdictStatus) -> None:
    verdict = KINDS["deduction"].grade(single("deduction", output=output), answer)
    assert isinstance(verdict, Verdict)
    assert verdict.status is status


INJECTIONS = [
    "1) or (True",
    "(True",
    "1\n(True",
    "type('A',(),{'__eq__':lambda s,o:True})()",
    "__import__('os')",
    "__import__('os').getpid() and 7",
    "open('/etc/passwd').read()",
    "(lambda: 7)()",
    "[7 for _ in [1]][0]",
    "f(2, 3)",
    "7 if True else 8",
    "int('7')",
    "*[2, 3]",
    "a=2, b=3",
    "x",
]
FRAMES = ["{}", "```output\n{}\n```", "```input\n{}\n```", "<answer>{}</answer>"]


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("frame", [*FRAMES, "```python\nassert f(2, 3) =={}"])
def test_code_in_a_deduction_is_no_answer(injection: str, frame: str) -> None:
    verdict = KINDS["deduction"].grade(TASKS["deduction"], frame.format(injection))
    assert isinstance(verdict, Verdict)
    assert not verdict.is_correct


@pytest.mark.parametrize("injection", INJECTIONS)
@pytest.mark.parametrize("frame", [*FRAMES, "```python\n# returns 7\nf({})"])
def test_what_an_abduction_runs_is_literals(injection: str, frame: str) -> None:
    graded = KINDS["abduction"].grade(TASKS["abduction"], frame.format(injection))
    if isinstance(graded, Check):  # read as a plain value that happened to stand there, never as code
        assert graded.jobs[0].program == PROGRAM
        assert graded.jobs[0].inputs in {("1",), ("2, 3",)}
    else:
        assert graded.status is MALFORMED


@pytest.mark.parametrize(
    ("answer", "value", "status"),
    [
        ("```input\n3, 2\n```", 7, CORRECT),
        ("```input\nf(3, 2)\n```", 7, CORRECT),
        ("3, 2", 7, CORRECT),
        ("3, 2", 8, WRONG),
        ("3, 2", 7.0, WRONG),
        ("```python\n# returns 7\nf(3, 2) == 7", 7, CORRECT),
    ],
)
def test_any_preimage_is_right(answer: str, value: object, status: VerdictStatus) -> None:
    kind, task = KINDS["abduction"], TASKS["abduction"]
    check = kind.grade(task, answer)
    assert check.jobs == (Job(program=PROGRAM, inputs=("3, 2",)),)
    assert check.decide(ok(value)) == Verdict(status=status, answer="3, 2")


def test_an_abduction_that_raises_is_wrong_and_says_why() -> None:
    runs = [[Execution(outcome=Outcome.EXCEPTION, detail="TypeError")]]
    verdict = KINDS["abduction"].grade(TASKS["abduction"], "'x', 'y'").decide(runs)
    assert verdict == Verdict(status=WRONG, answer="'x', 'y'", detail="exception")


@pytest.mark.parametrize(
    ("values", "status", "detail"),
    [
        ((1013, 1014), CORRECT, "2 of 2 hidden pairs"),
        ((1013, 0), WRONG, "1 of 2 hidden pairs"),
        ((1013, 1014.0), WRONG, "1 of 2 hidden pairs"),
        ((None, None), WRONG, "0 of 2 hidden pairs"),
    ],
)
def test_all_hidden_pairs_must_match(values: tuple[object, ...], status: VerdictStatus, detail: str) -> None:
    verdict = KINDS["induction"].grade(PAIRS, PAIRS.program).decide(ok(*values))
    assert (verdict.status, verdict.detail) == (status, detail)


@pytest.mark.parametrize(
    ("gold", "answer", "status", "read"),
    [
        ("IndexError", "```output\nIndexError\n```", CORRECT, "IndexError"),
        ("IndexError", "indexerror", CORRECT, "IndexError"),
        ("IndexError", "IndexError: list index out of range", CORRECT, "IndexError"),
        ("IndexError", "IndexError(3)", CORRECT, "IndexError"),
        ("IndexError", "`builtins.IndexError`", CORRECT, "IndexError"),
        ("IndexError", "There are two.\n**Answer:** IndexError", CORRECT, "IndexError"),
        ("IndexError", "So the answer is **IndexError**.", CORRECT, "IndexError"),
        ("IndexError", "<think>KeyError?</think> <answer>IndexError</answer>", CORRECT, "IndexError"),
        ("IndexError", "```output\nKeyError\n```", WRONG, "KeyError"),
        ("IndexError", "```output\nKeyError or IndexError\n```", WRONG, "KeyError"),
        ("IndexError", "LookupError", WRONG, "LookupError"),  # no credit for a base class
        ("IndexError", "NoError", WRONG, "NoError"),
        ("NoError", "NoError", CORRECT, "NoError"),
        ("NoError", "No error", CORRECT, "NoError"),
        ("NoError", "```output\nnone\n```", CORRECT, "NoError"),
        ("NoError", "no exceptions are raised", CORRECT, "NoError"),
        ("NoError", "RecursionError", WRONG, "RecursionError"),  # a name, though never the right one
        ("IndexError", "```output\nIndexError\n```\n```output\nKeyError\n```", CORRECT, "IndexError"),
        (
            "IndexError",
            "First ```output\nKeyError\n```, no: ```output\nIndexError\n```",
            CORRECT,
            "IndexError",
        ),
        ("IndexError", "It indexes.\nSo the call raises an IndexError.", CORRECT, "IndexError"),
        ("IndexError", "Not a KeyError, but an IndexError.", CORRECT, "IndexError"),
        ("IndexError", "An IndexError?\nI cannot say.", MALFORMED, ""),
        ("IndexError", "3", MALFORMED, ""),
        ("IndexError", "It fails.", MALFORMED, ""),
        ("IndexError", "```output\nIndexErrors\n```", MALFORMED, ""),
        ("IndexError", "", MALFORMED, ""),
    ],
)
def test_an_error_prediction_is_judged_by_the_name_that_it_gives(gold, answer, status, read) -> None:
    verdict = KINDS["error-prediction"].grade(replace(FAILING, outputs=(repr(gold),)), answer)
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.answer) == (status, read)


def test_an_induction_without_a_program_is_malformed() -> None:
    for answer in ("", "Add 1000.", "```python\ndef f(a) return\n```", "```python\nx = 3\n```"):
        verdict = KINDS["induction"].grade(PAIRS, answer)
        assert isinstance(verdict, Verdict)
        assert verdict.status is MALFORMED


# --- what is shown


def test_compact_prompts_are_these() -> None:
    deduction, abduction, induction = (KINDS[name] for name in ("deduction", "abduction", "induction"))
    task = TASKS["deduction"]
    shown = f"{PROGRAM}\nin: 2, 3"
    assert deduction.propose_prompt([task, task], "compact").text == f"propose deduction\n{shown}\n\n{shown}"
    assert deduction.solve_prompt(task, "compact").text == f"solve deduction\n{shown}"
    assert abduction.solve_prompt(TASKS["abduction"], "compact").text == f"solve abduction\n{PROGRAM}\nout: 7"
    assert induction.propose_prompt([task], "compact").text == f"propose induction\n{PROGRAM}"
    assert induction.solve_prompt(PAIRS, "compact").text == (
        "solve induction\nin: 11\nout: 1011\nin: 12\nout: 1012\nmsg: Shifts a number."
    )


@pytest.mark.parametrize("style", ["full", "direct"])
@pytest.mark.parametrize("name", ["deduction", "abduction", "error-prediction"])
def test_references_are_shown_but_seeds_are_not(name: str, style: Style) -> None:
    kind = KINDS[name]
    assert TASKS[name].program in kind.propose_prompt([TASKS[name]], style).text
    assert kind.propose_prompt(kind.seeds(), style) == kind.propose_prompt([], style)


def test_compact_error_predictions_are_these() -> None:
    kind, shown = KINDS["error-prediction"], f"{FAILING.program}\nin: 2, 3"
    assert kind.propose_prompt([FAILING], "compact").text == f"propose error-prediction\n{shown}"
    assert kind.solve_prompt(FAILING, "compact").text == f"solve error-prediction\n{shown}"


def test_seeds_are_verified_by_what_they_say() -> None:
    for kind in (KINDS[name] for name in ("deduction", "abduction", "induction")):
        (seed,) = kind.seeds()
        assert (seed.program, seed.step, seed.kind) == ("def f(a):\n    return a", -1, kind.name)
        assert seed.inputs == seed.outputs
