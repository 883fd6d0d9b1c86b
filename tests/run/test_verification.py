"""Tasks of a file are believed in nothing: they go through the funnel again."""

import pytest
from made import task

from tinyzero.execution import Executor
from tinyzero.run.lines import tasks_of
from tinyzero.run.verification import difference, verify_again
from tinyzero.tasks import KINDS
from tinyzero.types import Rejection, Task

INDUCTION = {
    "kind": "induction",
    "program": "def f(a):\n    return a + 1",
    "inputs": ["1", "2", "3", "40"],
    "outputs": ["2", "3", "4", "41"],
    "message": "one more",
}


@pytest.fixture(scope="module")
def verify():
    with Executor() as executor:

        def run(*records):
            parsed = tasks_of(records)
            found = verify_again(parsed, executor, KINDS, max_program_chars=400, step=7)
            return [
                (outcome, difference(record, outcome)) for record, outcome in zip(parsed, found, strict=True)
            ]

        yield run


def test_honest_tasks_of_every_kind_hold(verify):
    (first, _), (second, _) = verify(task(1), task(1, **INDUCTION))
    assert isinstance(first, Task)
    assert isinstance(second, Task)
    assert (first.outputs, first.step) == (("10",), 7)
    same = [task(1, name=first.id), task(1, name=second.id, **INDUCTION)]
    assert [words for _, words in verify(*same)] == ["", ""]


def test_an_error_prediction_is_verified_again_and_its_bans_hold(verify):
    program = "def f(a, b):\n    return [10, 20][a - b]"
    fields = {"kind": "error-prediction", "program": program, "inputs": ["5, 3"], "outputs": ["'IndexError'"]}
    ((outcome, _),) = verify(task(1, **fields))
    assert isinstance(outcome, Task)
    assert outcome.outputs == ("'IndexError'",)
    ((_, words),) = verify(task(1, **{**fields, "outputs": ["'NoError'"]}))
    assert words == "outputs are now 'IndexError'"
    ((_, words),) = verify(task(1, **{**fields, "program": "def f(a, b):\n    raise KeyError"}))
    assert words == "not allowed: uses raise"


def test_a_forged_output_is_found_and_computed_anew(verify):
    ((outcome, words),) = verify(task(1, outputs=["11"]))
    assert outcome.outputs == ("10",)
    assert words == "outputs are now 10"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "riddle"}, "not parsed: no task kind 'riddle'"),
        ({"program": "import os\ndef f(a, b):\n    return os.getpid()"}, "not allowed"),
        ({"program": "def f(a, b):\n    return " + "a + " * 200 + "b"}, "not allowed"),
        ({"program": "def f(a, b):\n    return 1 // 0"}, "not ran: exception ZeroDivisionError"),
        ({"program": "def f(a, b):\n    return 3"}, "not nontrivial"),
        ({"program": ""}, "not parsed: no program"),
        ({"inputs": ["__import__('os')"]}, "not parsed"),
        ({"inputs": []}, "not parsed: 0 inputs"),
        ({"kind": "induction", "message": "def f(a): return a"}, "not allowed: the message contains code"),
    ],
)
def test_what_a_proposer_may_not_do_a_file_may_not_either(verify, change, words):
    ((outcome, difference),) = verify(task(1, **change))
    assert isinstance(outcome, Rejection)
    assert difference.startswith(words)
