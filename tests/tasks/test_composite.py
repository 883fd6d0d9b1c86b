"""Programs out of earlier ones: what can be a block, what must be called, and what comes out runs."""

import pytest

from tinyzero.tasks.composite import as_block, compose, usable_blocks, with_blocks
from tinyzero.tasks.programs import tidy
from tinyzero.types import Prompt, Proposal, Rejection, Stage, Task

DOUBLE = "def f(a):\n    return a * 2"
COUNTDOWN = "def f(n):\n    return 0 if n < 1 else f(n - 1)"


def proposal(program):
    return Proposal(kind="deduction", program=tidy(program), inputs=("3",), parents=("p",))


def run(program, *arguments):
    names = {}
    exec(program, names)
    return names["f"](*arguments)


def test_a_block_is_the_same_function_under_another_name():
    names = {}
    exec(as_block(COUNTDOWN, "g_0"), names)
    assert "f" not in names
    assert names["g_0"](5) == 0
    assert as_block("import math\n\ndef f(a):\n    return math.floor(a)", "g_1").startswith("import math")


@pytest.mark.parametrize(
    "program",
    [
        "def h(a):\n    return a\n\ndef f(a):\n    return h(a)",
        "K = 3\n\ndef f(a):\n    return a + K",
        "class C:\n    x = 1\n\ndef f(a):\n    return a + C.x",
        "def f(a):\n    f = 3\n    return a + f",
        "def f(f):\n    return f + 1",
        "def f(a):\n    return [f for f in a]",
        "def f(a):\n    def f(b):\n        return b\n    return f(a)",
        "def f(a):\n    g_0 = 1\n    return a + g_0",
        "import math as f\n\ndef f(a):\n    return f.floor(a)",
    ],
)
def test_what_a_plain_renaming_would_break_is_no_block(program):
    assert as_block(program, "g_0") is None


def test_the_whole_runs_and_remembers_its_parents():
    sources = (as_block(DOUBLE, "g_0"), as_block(COUNTDOWN, "g_1"))
    made = compose(proposal("def f(a):\n    return g_0(a) + g_1(a)"), sources, 500)
    assert run(made.program, 3) == 6
    assert made.parents == ("p",)
    assert tidy(made.program) == made.program


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(a):\n    return a + 1", "does not call g_0"),
        ("def f(a):\n    return g_0", "does not call g_0"),
        ("def f(a):\n    return a + g_0(1)", "does not call g_0 on anything of its own"),
        ("def f(a):\n    from math import floor as g_0\n    return g_0(a)", "defines g_0"),
        (
            "def f(a):\n    try:\n        return a\n    except ValueError as g_0:\n        return g_0(a)",
            "defines g_0",
        ),
        ("def g_0(a):\n    return 1\n\ndef f(a):\n    return g_0(a)", "defines g_0"),
        ("def f(a, g_0):\n    return g_0(a)", "defines g_0"),
        ("def f(a):\n    g_0 = len\n    return g_0(a)", "defines g_0"),
    ],
)
def test_a_function_that_is_given_must_be_called_and_left_alone(program, reason):
    refused = compose(proposal(program), (as_block(DOUBLE, "g_0"),), 500)
    assert isinstance(refused, Rejection)
    assert refused.stage is Stage.ALLOWED
    assert reason in refused.detail


def test_a_whole_that_is_too_long_is_refused():
    refused = compose(proposal("def f(a):\n    return g_0(a)"), (as_block(DOUBLE, "g_0"),), 40)
    assert isinstance(refused, Rejection)
    assert "40 are allowed" in refused.detail


def test_blocks_are_numbered_over_those_that_can_be_one():
    programs = ["K = 3\n\ndef f(a):\n    return a + K", DOUBLE, COUNTDOWN, DOUBLE]
    tasks = [
        Task(id=str(i), kind="deduction", program=p, inputs=(), outputs=()) for i, p in enumerate(programs)
    ]
    chosen, sources = usable_blocks(tasks, 2, 400)
    assert [task.id for task in chosen] == ["1", "2"]
    assert [source.split("(")[0] for source in sources] == ["def g_0", "def g_1"]


def test_blocks_leave_room_for_a_program_that_calls_them():
    tasks = [
        Task(id=str(i), kind="deduction", program=program, inputs=(), outputs=())
        for i, program in enumerate([COUNTDOWN, DOUBLE])
    ]
    chosen, _ = usable_blocks(tasks, 2, len(as_block(COUNTDOWN, "g_0")) - 1)
    assert [task.id for task in chosen] == ["1"]


@pytest.mark.parametrize("style", ["full", "direct", "compact"])
def test_a_prompt_names_the_functions_and_shows_them(style):
    prompt = Prompt(kind="deduction", text="Write one.", prefill="def f(")
    shown = with_blocks(prompt, ["def g_0(a):\n    return a", "def g_1(a):\n    return a"], style)
    assert shown.text.startswith("Write one.")
    assert "def g_0(a)" in shown.text
    assert "def g_1(a)" in shown.text
    assert shown.prefill == prompt.prefill
