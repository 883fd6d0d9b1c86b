"""Tasks of one's own: as people write them, completed and judged by execution."""

import json

import pytest

from tinyzero.cli.own_task import complete, judge, read_task
from tinyzero.errors import ConfigError
from tinyzero.execution import Executor
from tinyzero.types import VerdictStatus

PROGRAM = "def f(x):\n    return x + 1"


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


@pytest.mark.parametrize(
    ("text", "kind", "inputs", "outputs"),
    [
        (f"{PROGRAM}\nin: 41\n", "deduction", ("41",), ()),
        (f"{PROGRAM}\nout: 42\n", "abduction", (), ("42",)),
        ("in: 1\nout: 2\nin: 3\nout: 4\nmsg: add one", "induction", ("1", "3"), ("2", "4")),
        (f"{PROGRAM}\nin: 1\nin: 2\nin: 3\nin: 4", "induction", ("1", "2", "3", "4"), ()),
        (json.dumps({"kind": "abduction", "program": PROGRAM, "inputs": ["1"]}), "abduction", ("1",), ()),
        (
            json.dumps({"program": PROGRAM, "inputs": ["[1,2]"], "outputs": ["3"]}),
            "deduction",
            ("[1, 2]",),
            ("3",),
        ),
    ],
)
def test_a_task_is_read_as_people_and_runs_write_it(text, kind, inputs, outputs):
    task = read_task(text)
    assert (task.kind, task.inputs, task.outputs) == (kind, inputs, outputs)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no task: the input is empty"),
        (PROGRAM, "is not complete"),
        ("in: 1\nout: 2", "is not complete"),
        (f"{PROGRAM}\nin: open('x')", "is not a list of literals"),
        (f"{PROGRAM}\nout: y", "is not a literal"),
        (f"{PROGRAM}\nin: 1\nwhat?", "has a line 'what\\?' after its program"),
        ("def f(:\nin: 1", "cannot be read"),
        ("{not json", "begins like JSON"),
        ('{"kind": "poetry"}', "is of kind 'poetry'; there are deduction"),
        ('{"kind": [], "inputs": "1"}', "in JSON has"),
        ('{"program": 3}', "in JSON has"),
        ("x" * 100_001, "has 100001 characters"),
    ],
)
def test_what_is_no_task_is_one_line_with_the_way(text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_task(text)
    assert "\n" not in str(caught.value)


def test_an_error_prediction_of_ones_own_is_completed_and_judged(executor):
    fields = {"kind": "error-prediction", "program": "def f(x):\n    return 1 // x", "inputs": ["0"]}
    task = complete(read_task(json.dumps(fields)), executor)
    assert task.outputs == ("'ZeroDivisionError'",)
    assert judge(task, "ZeroDivisionError", executor).status is VerdictStatus.CORRECT
    assert complete(read_task(json.dumps({**fields, "inputs": ["2"]})), executor).outputs == ("'NoError'",)
    endless = {**fields, "program": "def f(x):\n    while True:\n        x += 1"}
    with pytest.raises(ConfigError, match=r"does not answer f\(0\): timeout"):
        complete(read_task(json.dumps(endless)), executor)


def test_outputs_come_from_running_the_program(executor):
    assert complete(read_task(f"{PROGRAM}\nin: 41"), executor).outputs == ("42",)
    assert complete(read_task(f"{PROGRAM}\nin: 41\nout: 42"), executor).outputs == ("42",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{PROGRAM}\nin: 41\nout: 43", "the task says 43, its program returns 42"),
        (f"{PROGRAM}\nin: 'a'", "does not answer f\\('a'\\): exception TypeError"),
        ("def f(x):\n    while True:\n        pass\nin: 1", "does not answer f\\(1\\): timeout"),
        ("import random\ndef f(x):\n    return random.random()\nin: 1", "nondeterministic"),
    ],
)
def test_a_program_that_does_something_else_is_said(executor, text, said):
    with pytest.raises(ConfigError, match=said):
        complete(read_task(text), executor)


@pytest.mark.parametrize(
    ("text", "answer", "status"),
    [
        (f"{PROGRAM}\nin: 41", "42", "correct"),
        (f"{PROGRAM}\nin: 41", "41", "wrong"),
        (f"{PROGRAM}\nin: 41", "no idea", "malformed"),
        (f"{PROGRAM}\nout: 42", "41", "correct"),
        (f"{PROGRAM}\nout: 42", "40", "wrong"),
        ("in: 1\nout: 2\nin: 3\nout: 4", PROGRAM, "correct"),
        ("in: 1\nout: 2\nin: 3\nout: 4", "def f(x):\n    return 2", "wrong"),
    ],
)
def test_an_answer_is_judged_by_execution(executor, text, answer, status):
    task = complete(read_task(text), executor)
    assert judge(task, answer, executor).status is VerdictStatus(status)


def test_a_question_is_judged_by_its_answer(executor):
    task = read_task("question: How many sides\nhas a cube?\nanswer: 6\n")
    assert (task.kind, task.message, task.outputs) == ("question", "How many sides has a cube?", ("6",))
    assert complete(task, executor) == task
    assert judge(task, r"It has \boxed{6.0}.", executor).is_correct
    assert not judge(task, r"It has \boxed{8}.", executor).is_correct


@pytest.mark.parametrize("text", ["question: How?", "question:\nanswer: 6", "question: How?\nanswer:"])
def test_a_question_needs_an_answer(text):
    with pytest.raises(ConfigError, match="a line `answer: "):
        read_task(text)
