"""Rewrites of programs: what they make of a program, and that none changes what it does."""

from collections.abc import Iterator

import pytest

from tinyzero.evaluation.benchmarks.base import Item
from tinyzero.evaluation.benchmarks.choice import BENCHMARKS
from tinyzero.evaluation.benchmarks.rewrites import rewrites, rewritten
from tinyzero.evaluation.heldout import find_set, read_set
from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.tasks.records import to_record

PROGRAM = """\
def g(a):
    return a + 10

def f(text, n=1):
    size = len(text)
    parts = text.split('ab')
    return (size, parts, f'{n}', g(0), True)"""


@pytest.fixture(scope="module")
def runner() -> Iterator[Executor]:
    with Executor() as executor:
        yield executor


def crux(number, code, arguments, output="0"):
    fields = {"id": f"sample_{number}", "code": code, "input": arguments, "output": output}
    return BENCHMARKS["cruxeval-o"].item(fields)


def test_each_rewrite_of_a_program_worked_out_by_hand():
    changed = dict(rewrites(PROGRAM))
    assert list(changed) == ["renamed", "reordered", "dead code", "constants"]
    assert changed["renamed"].splitlines() == [
        "def v0(v1):",
        "    return v1 + 10",
        "",
        "def f(v2, v3=1):",
        "    v4 = len(v2)",
        "    v5 = v2.split('ab')",
        "    return (v4, v5, f'{v3}', v0(0), True)",
    ]
    assert "    parts = text.split('ab')\n    size = len(text)\n" in changed["reordered"]
    assert "    spare = 0\n    size" in changed["dead code"]
    assert "    if spare > 0:\n        return spare\n    return (size" in changed["dead code"]
    assert "return a + (9 + 1)" in changed["constants"]
    assert "text.split('a' + 'b')" in changed["constants"]
    assert "f'{n}', g(1 - 1), True)" in changed["constants"]
    assert "n=0 + 1" in changed["constants"]


@pytest.mark.parametrize(
    "body",
    [
        "a = x\n    b = a\n    return b",  # the second reads what the first writes
        "b = a = x\n    a = 1\n    return a, b",  # both write a name
        "a = x.pop()\n    b = len(x)\n    return a, b",  # a method that changes its list
        "a = next(x)\n    b = next(x)\n    return a, b",
        "x += 1\n    y = 2\n    return x, y",
        "def len(v): return v.pop()\n    a = len(x)\n    b = x[0]\n    return a, b",  # no builtin
    ],
)
def test_what_may_depend_on_its_neighbour_stays_where_it_is(body):
    assert "reordered" not in dict(rewrites(f"def f(x):\n    {body}"))


def test_texts_patterns_and_annotations_are_left_alone():
    program = (
        "def f(x: 'list of int'):\n    'what it does'\n"
        "    match x:\n        case 3:\n            return f'ab{x}'"
    )
    assert "constants" not in dict(rewrites(program))
    assert list(rewrites("def f(x) return")) == []


def test_a_name_that_is_taken_is_not_given_to_dead_code():
    assert "spare_ = 0" in dict(rewrites("def f(spare): return spare"))["dead code"]


def test_rewrites_of_shipped_tasks_are_different_programs_with_the_same_results(runner):
    """Every rewrite is by rules that preserve the meaning, so that almost none is dropped."""
    path = find_set("cruxeval", "")
    assert path is not None
    tasks = [held.task for held in read_set(path, KINDS).tasks if held.task.kind != "induction"][:60]
    variants = rewritten([Item(id=task.id, fields=to_record(task)) for task in tasks], runner)
    assert sum(variants.dropped.values()) <= 2
    assert len(variants.items["renamed"]) >= 58
    assert min(map(len, variants.items.values())) >= 5
    programs = {task.id: task.program for task in tasks}
    for changed in variants.items.values():
        for name, item in changed.items():
            assert item.fields["program"] != programs[name]
            assert item.id == name


def test_a_rewrite_that_changes_a_result_is_dropped_and_counted(runner):
    """The names of locals are this program's result, so renaming them changes it."""
    items = [
        crux(0, "def f(x):\n    y = x\n    return sorted(locals())", "5", "['x', 'y']"),
        crux(1, "def f(x):\n    y = x\n    return y", "5", "5"),
        crux(2, "def f(x):\n    return 1 if x == 5 else sorted(locals())", "5", "1"),  # other inputs tell
    ]
    variants = rewritten(items, runner)
    assert list(variants.items["renamed"]) == ["sample_1"]
    assert (variants.dropped["renamed"], variants.dropped["constants"]) == (2, 0)


def test_inputs_may_be_expressions_and_programs_that_fail_are_dropped(runner):
    items = [
        crux(0, "def f(g):\n    return g(2)", "lambda x: x + 3", "5"),
        crux(1, "def f(x): return 1 / x", "0"),
    ]
    variants = rewritten(items, runner)
    assert list(variants.items["renamed"]) == list(variants.items["constants"]) == ["sample_0"]
    assert variants.dropped["constants"] == 1


def test_tasks_that_show_no_program_have_no_rewrites(runner):
    induction = {
        "kind": "induction",
        "program": "def f(a): return a",
        "inputs": ["1", "2"],
        "outputs": ["1", "2"],
    }
    items = [Item(id="a", fields=induction), Item(id="b", fields={"question": "How many?"})]
    assert not any(rewritten(items, runner).items.values())
