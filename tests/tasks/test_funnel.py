"""Every stage of the funnel refuses what it is there for. Programs run in this process: they are ours."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tinyzero.execution.values import parse_arguments
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Check
from tinyzero.tasks.judging import verify
from tinyzero.types import Execution, Job, Outcome, Proposal, Rejection, Stage, Task

SINGLE = ("deduction", "abduction")


class InThisProcess:
    def run_jobs(self, jobs: Sequence[Job]) -> list[list[Execution]]:
        return [[call(job.program, parse_arguments(source)) for source in job.inputs] for job in jobs]


def outcome_of(proposal: Proposal | Rejection) -> Task | Rejection:
    (outcome,) = verify([proposal], kinds=KINDS, runner=InThisProcess(), step=7)
    return outcome


def check_of(proposal: Proposal) -> Check[Task | Rejection]:
    check = KINDS[proposal.kind].verify(proposal, step=1)
    assert isinstance(check, Check)
    return check


def call(program: str, arguments: tuple[Any, ...]) -> Execution:
    names: dict[str, Any] = {}
    exec(program, names)
    try:
        return Execution(outcome=Outcome.OK, value=names["f"](*arguments))
    except Exception as error:  # noqa: BLE001 - as the child does
        return Execution(outcome=Outcome.EXCEPTION, detail=type(error).__name__)


def funnel(kind: str, answer: str, *, max_program_chars: int = 2000) -> Task | Rejection:
    seeds = KINDS[kind].seeds()
    return outcome_of(KINDS[kind].parse_proposal(answer, seeds, max_program_chars=max_program_chars))


def fenced(program: str, arguments: str) -> str:
    return f"```python\n{program}\n```\n```input\n{arguments}\n```"


@pytest.mark.parametrize("kind", SINGLE)
def test_a_good_proposal_becomes_a_task(kind: str) -> None:
    task = funnel(kind, fenced("def add(x, y):\n    return x + y  # easy", "1,2"))
    assert isinstance(task, Task)
    assert (task.kind, task.step) == (kind, 7)
    assert task.program == "def f(x, y):\n    return x + y"
    assert (task.inputs, task.outputs) == (("1, 2",), ("3",))
    assert task.parents == tuple(seed.id for seed in KINDS[kind].seeds())


@pytest.mark.parametrize(
    ("answer", "stage", "detail"),
    [
        ("I cannot.", Stage.PARSED, "no input"),
        ("", Stage.PARSED, "no program"),
        ("```python\ndef f(a):\n    return a + 1\n```", Stage.PARSED, "no input"),
        (fenced("def f(a):\n    return a + 1", "x"), Stage.PARSED, "not a literal"),
        (fenced("def f(a):\n    return a + 1", "__import__('os').getpid()"), Stage.PARSED, "not a literal"),
        (fenced("def f(a):\n    return a + 1", "1) or (True"), Stage.PARSED, "not a literal"),
        ("```input\n3\n```", Stage.PARSED, "no program"),
        (fenced("def f(a) return a", "3"), Stage.ALLOWED, "does not parse"),
        (fenced("def f(a):\n    return a +", "3"), Stage.ALLOWED, "does not parse"),
        (fenced("def f():\n    return 1", "3"), Stage.ALLOWED, "takes no argument"),
        (fenced("import os\ndef f(a):\n    return os.getpid() + a", "3"), Stage.ALLOWED, "imports os"),
        (fenced("def f(a):\n    return a + 1", "'" + "x" * 400 + "'"), Stage.ALLOWED, "402 characters"),
        ("def f(a):\n    return a + 1\nin: '``' + '`'", Stage.PARSED, "not a literal"),
        (fenced("def f(a):\n    return '`' * a", "3"), Stage.RAN, "code fence"),
        (fenced("def f(a):\n    return a + 1", "'x'"), Stage.RAN, "exception TypeError"),
        (fenced("def f(a):\n    return a * 401", "'x'"), Stage.RAN, "403 characters"),
        (fenced("def f(a):\n    return a", "3"), Stage.NONTRIVIAL, "repeats the input"),
        (fenced("def f(a):\n    return a.strip()", "'ab'"), Stage.NONTRIVIAL, "repeats the input"),
        (fenced("def f(a):\n    return 42", "3"), Stage.NONTRIVIAL, "same for other inputs"),
        (fenced("def f(a, b):\n    return len([a, b])", "3, 4"), Stage.NONTRIVIAL, "same for other inputs"),
        (fenced("def f(a):\n    print(a)", "3"), Stage.NONTRIVIAL, "same for other inputs"),
        (fenced("def f(a, b):\n    return b", "3, 'x'"), Stage.NONTRIVIAL, "repeats an argument"),
        (fenced("def f(a):\n    return 1", "None"), Stage.NONTRIVIAL, "no input to vary"),
        (fenced("def f(*a):\n    return 1", ""), Stage.NONTRIVIAL, "no input to vary"),
    ],
)
@pytest.mark.parametrize("kind", SINGLE)
def test_a_bad_proposal_fails_its_stage(kind: str, answer: str, stage: Stage, detail: str) -> None:
    rejection = funnel(kind, answer)
    assert isinstance(rejection, Rejection)
    assert (rejection.stage, detail in rejection.detail) == (stage, True), rejection.detail


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (
            "def f(a, b):\n    return max(a, b)",
            "3, 5",
        ),  # repeats an argument here, but not always the same one
        ("def f(a):\n    return a > 4", "5"),
        ("def f(a):\n    return {'k': 1}[a] + len(a)", "'k'"),  # fails on every other input: it looks at it
        ("def f(a, b):\n    return a * 0 + len(b)", "3, 'xy'"),
        ("def f(a):\n    return sorted(a)", "[3, 1, 2]"),
    ],
)
def test_what_depends_on_its_input_is_not_trivial(program: str, arguments: str) -> None:
    assert isinstance(funnel("deduction", fenced(program, arguments)), Task)


def test_results_that_differ_between_runs_fail_as_nondeterministic() -> None:
    check = check_of(Proposal(kind="deduction", program="def f(a):\n    return a + 1", inputs=("1",)))
    flaky = Execution(outcome=Outcome.NONDETERMINISTIC)
    rejection = check.decide([[flaky], _fine(check.jobs[1])])
    assert isinstance(rejection, Rejection)
    assert rejection.stage is Stage.DETERMINISTIC


@pytest.mark.parametrize(
    "outcome", [Outcome.TIMEOUT, Outcome.BANNED, Outcome.BAD_TYPE, Outcome.OUTPUT_TOO_LARGE]
)
def test_a_run_without_a_value_fails_as_not_run(outcome: Outcome) -> None:
    check = check_of(Proposal(kind="deduction", program="def f(a):\n    return a + 1", inputs=("1",)))
    runs = [[Execution(outcome=outcome)], _fine(check.jobs[1])]
    assert check.decide(runs) == Rejection(stage=Stage.RAN, detail=outcome)


def _fine(job: Job) -> Sequence[Execution]:
    return [Execution(outcome=Outcome.OK, value=place) for place, _ in enumerate(job.inputs)]


def test_the_size_cap_is_the_callers() -> None:
    answer = fenced("def f(a):\n    return a + 1", "1")
    assert isinstance(funnel("deduction", answer, max_program_chars=26), Task)
    rejection = funnel("deduction", answer, max_program_chars=25)
    assert isinstance(rejection, Rejection)
    assert rejection.stage is Stage.ALLOWED


def test_the_check_for_determinism_comes_first_and_all_runs_have_the_proposers_limit() -> None:
    for kind in KINDS.values():
        proposal = Proposal(kind=kind.name, program="def f(a):\n    return a + 1", inputs=("1",))
        first, *others = check_of(proposal).jobs
        assert first == Job(program=proposal.program, inputs=("1",), is_proposal=True, check_determinism=True)
        assert all(job.is_proposal and not job.check_determinism for job in others)


def test_renamed_tasks_have_the_same_id_and_other_inputs_another() -> None:
    one = funnel("deduction", fenced("def f(a, b):\n    return a * b", "2, 3"))
    renamed = funnel("deduction", fenced("def g(x, y):\n    return x * y  # product", "2,   3"))
    elsewhere = funnel("deduction", fenced("def f(a, b):\n    return a * b", "2, 4"))
    other_kind = funnel("abduction", fenced("def f(a, b):\n    return a * b", "2, 3"))
    tasks = [task for task in (one, renamed, elsewhere, other_kind) if isinstance(task, Task)]
    assert len(tasks) == 4
    assert tasks[0].id == tasks[1].id
    assert len({task.id for task in tasks}) == 3
    assert len({task.shape for task in tasks}) == 1


# --- induction

FOUR = "```input\n1\n2\n3\n4\n```\n```message\nAdds one.\n```"


def propose_pairs(answer: str, program: str = "def f(a):\n    return a + 1") -> Task | Rejection:
    kind = KINDS["induction"]
    subject = Task(id="s", kind="deduction", program=program, inputs=("1",), outputs=("2",))
    return outcome_of(kind.parse_proposal(answer, [subject]))


def test_inputs_for_a_program_become_a_task() -> None:
    task = propose_pairs(FOUR)
    assert isinstance(task, Task)
    assert (task.inputs, task.outputs) == (("1", "2", "3", "4"), ("2", "3", "4", "5"))
    assert (task.message, task.parents) == ("Adds one.", ("s",))


def test_a_proposed_program_does_not_replace_the_subject() -> None:
    task = propose_pairs("```python\ndef f(a):\n    return 0\n\nprint(f(1))\nf(2)\nf(3)\nf(4)\n```")
    assert isinstance(task, Task)
    assert task.program == "def f(a):\n    return a + 1"


@pytest.mark.parametrize(
    ("answer", "stage", "detail"),
    [
        ("nothing", Stage.PARSED, "0 different inputs"),
        ("```input\n1\n2\n3\n```", Stage.PARSED, "3 different inputs"),
        ("```input\n1\n1\n 1\n2\n3\n```", Stage.PARSED, "3 different inputs"),
        ("```input\n1\nx\n3\n4\n```", Stage.PARSED, "not a literal"),
        ("in: 1\nin: 2\nin: 3\nin: 'a'", Stage.RAN, "TypeError"),
        (FOUR.replace("Adds one.", "def f(a): return a + 1"), Stage.ALLOWED, "contains code"),
        (FOUR.replace("Adds one.", "x" * 301), Stage.ALLOWED, "301 characters"),
    ],
)
def test_bad_inputs_fail_their_stage(answer: str, stage: Stage, detail: str) -> None:
    rejection = propose_pairs(answer)
    assert isinstance(rejection, Rejection)
    assert (rejection.stage, detail in rejection.detail) == (stage, True), rejection.detail


def test_calls_that_were_only_thought_of_are_no_inputs() -> None:
    task = propose_pairs(
        "1. `f(8)` or\n2. `f(9)`?\n</think>\n" + "\n".join(f"{n}. `f({n})`" for n in range(1, 5))
    )
    assert isinstance(task, Task)
    assert task.inputs == ("1", "2", "3", "4")


def test_outputs_that_are_all_equal_are_trivial() -> None:
    rejection = propose_pairs(FOUR, "def f(a):\n    return a > 0")
    assert rejection == Rejection(stage=Stage.NONTRIVIAL, detail="all outputs are the same")


def test_more_inputs_than_needed_are_left_out() -> None:
    task = propose_pairs("```input\n" + "\n".join(map(str, range(15))) + "\n```")
    assert isinstance(task, Task)
    assert len(task.inputs) == 10


def test_an_argument_list_that_spans_lines_is_one_input() -> None:
    answer = "```input\n[1,\n 2]\n```\n```input\n[3]\n```\n```input\n[4]\n```\n```input\n[]\n```"
    task = propose_pairs(answer, "def f(a):\n    return len(a)")
    assert isinstance(task, Task)
    assert task.inputs == ("[1, 2]", "[3]", "[4]", "[]")


# --- error prediction


def propose_error(program: str, arguments: str) -> Task | Rejection:
    return funnel("error-prediction", fenced(program, arguments))


@pytest.mark.parametrize(
    ("program", "arguments", "name"),
    [
        ("def f(a, b):\n    return a // b", "7, 0", "ZeroDivisionError"),
        ("def f(a, b):\n    return a // b", "7, 2", "NoError"),  # 0 is among the other inputs
        ("def f(a, b):\n    return {'x': a}[b]", "1, 'y'", "KeyError"),
        ("def f(a):\n    return int(a)", "'1x'", "ValueError"),
        ("def f(a):\n    try:\n        return a[3]\n    except IndexError:\n        return 0", "'abc'", None),
        ("def f(a):\n    return a[0].upper() * 9999", "'abc'", "NoError"),  # the value is asked of nobody
    ],
)
def test_a_call_that_may_fail_becomes_an_error_prediction(
    program: str, arguments: str, name: str | None
) -> None:
    task = propose_error(program, arguments)
    if name is None:
        assert isinstance(task, Rejection)  # what is always caught never shows
        assert task.stage is Stage.NONTRIVIAL
    else:
        assert isinstance(task, Task)
        assert (task.inputs, task.outputs, task.step) == ((arguments,), (repr(name),), 7)


@pytest.mark.parametrize(
    ("program", "stage", "detail"),
    [
        ("def f(a):\n    return a + 1", Stage.NONTRIVIAL, "ends with NoError for other inputs too"),
        ("def f(a):\n    return a + 'x'", Stage.NONTRIVIAL, "ends with TypeError for other inputs too"),
        ("def f(a):\n    if a > 2:\n        raise ValueError\n    return a", Stage.ALLOWED, "uses raise"),
        ("def f(a):\n    assert a > 5\n    return a", Stage.ALLOWED, "uses assert"),
        (
            "def g():\n    yield 1\n\ndef f(a):\n    return g().throw(KeyError) if a else 1",
            Stage.ALLOWED,
            "uses .throw",
        ),
        (
            "class KeyError(Exception):\n    pass\n\ndef f(a):\n    return KeyError",
            Stage.ALLOWED,
            "defines a class KeyError",
        ),
        ("def f(a):\n    return f(a)", Stage.RAN, "ends with RecursionError"),
        ("import json\ndef f(a):\n    return json.loads('x' * a)", Stage.RAN, "ends with JSONDecodeError"),
    ],
)
def test_an_error_that_says_nothing_of_the_input_is_no_task(program: str, stage: Stage, detail: str) -> None:
    rejection = propose_error(program, "3")
    assert isinstance(rejection, Rejection)
    assert (rejection.stage, detail in rejection.detail) == (stage, True), rejection.detail


def test_an_error_prediction_without_other_inputs_is_no_task() -> None:
    rejection = propose_error("def f(a):\n    return a[0]", "None")
    assert rejection == Rejection(stage=Stage.NONTRIVIAL, detail="ends with TypeError for other inputs too")


@pytest.mark.parametrize(
    ("outcome", "stage"),
    [
        (Outcome.TIMEOUT, Stage.RAN),
        (Outcome.OUT_OF_MEMORY, Stage.RAN),
        (Outcome.CRASHED, Stage.RAN),
        (Outcome.BANNED, Stage.RAN),
        (Outcome.BAD_TYPE, Stage.RAN),
        (Outcome.NO_FUNCTION, Stage.RAN),
        (Outcome.NONDETERMINISTIC, Stage.DETERMINISTIC),
    ],
)
def test_an_end_that_is_no_exception_is_no_error_prediction(outcome: Outcome, stage: Stage) -> None:
    kind = KINDS["error-prediction"]
    proposal = kind.parse_proposal(fenced("def f(a, b):\n    return a // b", "7, 2"), [])
    assert isinstance(proposal, Proposal)
    zero = Execution(outcome=Outcome.EXCEPTION, detail="ZeroDivisionError")
    check = check_of(proposal)
    refused = check.decide([[Execution(outcome=outcome)], [zero] * len(check.jobs[1].inputs)])
    assert isinstance(refused, Rejection)
    assert refused.stage is stage


def test_other_ends_of_other_inputs_do_not_make_a_task() -> None:
    kind = KINDS["error-prediction"]
    proposal = kind.parse_proposal(fenced("def f(a, b):\n    return a + b", "7, 2"), [])
    assert isinstance(proposal, Proposal)
    own, slow = Execution(outcome=Outcome.OK, value=9), Execution(outcome=Outcome.TIMEOUT)
    check = check_of(proposal)
    refused = check.decide([[own], [own, *[slow] * (len(check.jobs[1].inputs) - 1)]])
    assert isinstance(refused, Rejection)
    assert refused.stage is Stage.NONTRIVIAL


def test_the_seed_of_error_prediction_passes_its_own_funnel() -> None:
    (seed,) = KINDS["error-prediction"].seeds()
    assert propose_error(seed.program, seed.inputs[0]) == replace(seed, step=7, parents=(seed.id,))
