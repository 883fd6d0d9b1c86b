# ruff: noqa: E501
"""Whatever a model writes is a proposal, a rejection, a job or a verdict; it never raises."""

import sys
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyzero.execution import Executor
from tinyzero.games.r_zero.equivalence.comparer import same_by_form
from tinyzero.games.r_zero.equivalence.forms import normal_form
from tinyzero.games.r_zero.question import Question, read_answer
from tinyzero.tasks import KINDS
from tinyzero.tasks.allowed import check_allowed
from tinyzero.tasks.base import Check
from tinyzero.tasks.composite import as_block, compose
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.programs import BadProgram, canonical, shape, tidy
from tinyzero.types import Proposal, Rejection, Stage, Task, Verdict

DEEP = 8000
BODIES = [
    "return x + 0x" + "f" * 4000,
    "return x + 0b" + "1" * 15000,
    "return x + 0o" + "7" * 5000,
    "return x + " + "9" * 5000,
    "return f'{x}{\"\N{NO-BREAK SPACE}\".join(x)}'",
    "return f'{x!r:{\"\u200b\"}}'",
    "return f'{x}{chr(10).join([\"\\n\"])}'",
    "return f'{{{x}}}' f\"{x:{x}}\" '\\N{BULLET}'",
    "return f'{x:\\n}'",
    "return '\ud800' + x",
    "return x + '\\ud800'",
    "return '\0'",
    "return " + "(" * DEEP + "x" + ")" * DEEP,
    "return " + "[" * 150 + "x" + "]" * 150,
    "return " + "-" * DEEP + "x",
    "return " + "not " * 4000 + "x",
    "return x" + "[0]" * 5000,
    "return x" + "()" * 5000,
    "return " + "lambda: " * 2000 + "x",
    "return " + "x if x else " * 1500 + "x",
    "return " + "f'{" * 30 + "x" + "}'" * 30,
    "return x" + " + x" * 4000,
    "return x ** 9" + " ** 9" * 4000,
    "return 1e" + "9" * 4000,
    "return x * 1e999 - 1e999j",
    "\treturn x\n        return x",
    "return x\f\n\f  ",
    "return x\r    return 3",
    "match x:\n        case {'a': [1, *rest], **others}: return rest\n        case _: return x",
    "match x:\n        case -0x" + "f" * 4000 + ": return 1",
    "return (y := x) + y",
    "return {**x, 'a': 1}, [*x], (*x, 1)",
    "x: 'int' = 5; y: int; return x",
    "global g; g = x; nonlocal_ = 3; return g",
    "return ｘ + 𝐱",  # noqa: RUF001 - the parser takes both for x
    "yield x; await x",
    "type X = int; return x",
    "def g[T: 'text'](a: T) -> T: return a\n    return g(x)",
    "try: pass\n    except* ValueError: pass\n    return x",
    "a" + "b" * 15000 + " = x",
    "return x\n" + "    # " + "c" * 15000,
    "pass;" * 3000,
    "\n    ".join(f"a{n} = a{n - 1}" for n in range(1, 900)),
    "return x <> 3",
    "print x; exec 'a'",
    "return x\\",
    "return '''",
    "return x.\\\n  y",
    "return 1_000_000 if x else 1__0",
    "return 0777",
    "return x is 1, '\\d', x is not ()",
    "del x; raise x from x; assert x, 'text'; import x.y.z as q; from . import *",
    "return b'\\xff' + rb'\\x' + u'a' + f''",
    "return ...",
    "return x @ x; x @= x; x //= 2; x >>= 1",
    "async with x as y: pass",
    "return [a async for a in x]",
    "return {y: z for y in x for z in y if y if z}",
    "with (x as y, y as z): return z",
]
TEXTS = [
    "",
    "\ufeffdef f(x):\n    return x",
    "def f(x):\r    return x",
    "def f(x):\r\n\treturn x\r\n",
    "\ud800",
    "\0" * 100,
    "```" * 5000,
    "\\boxed{" * 4000,
    "\\boxed{" + "1" * 20000 + "!}",
    "<question>" * 2000 + "\ud800</question>\\boxed{1}",
    "<answer>" * 3000,
    "<think>" * 3000 + "</think>" * 3000,
    "def f(x, /, *a, b=1, **c): return x\nin: 1",
    "x = 1\n" * 3000 + "def f(x): return x",
    "\n".join(f"a{n} = a{n - 1}" for n in range(1, 1000)) + "\ndef f(x): return a999",
    "f = f = f\ndef f(x): return f\n",
    "def f(x): return x\n" * 500,
    "class f: pass\ndef g(x): return x",
    "def _(x): return x",
    "def __import__(x): return x",
]
INPUTS = [
    "1",
    "0x" + "f" * 3000,
    "9" * 3900,
    "1e400",
    "[" * 2000,
    "'\\ud800'",
    "'\ud800'",
    "'\\N{" + "A" * 900 + "}'",
    "-" * 3000 + "1",
    "{float('nan'): 1, float('nan'): 2}",
    "b'\\777'",
    "1if 1else 2",
    "f(1)",
    "*x",
    "x=1",
    "\0",
    "1 \r 2",
    "set(" * 100,
]


def answers() -> list[str]:
    programs = [f"def f(x):\n    {body}" for body in BODIES] + TEXTS
    written = [f"```python\n{program}\n```\n```input\n1\n```\n```message\nhint\n```" for program in programs]
    given_inputs = [
        f"```python\ndef f(x):\n    return [x]\n```\n```input\n{text}\n```\n```output\n{text}\n```\n\\boxed{{{text}}}"
        for text in INPUTS
    ]
    return [*written, *given_inputs, *programs, *INPUTS]


SUBJECT = Task(
    id="s", kind="deduction", program="def f(x):\n    return [x]", inputs=("1",) * 4, outputs=("[1]",) * 4
)


def read_everything(text: str) -> list[Proposal]:
    """Give a text to every reader, and return what it proposes."""
    proposals = []
    for kind in (*KINDS.values(), Question()):
        for answer in (text, f"{kind.propose_prompt([SUBJECT], 'direct').prefill}{text}"):
            proposal = kind.parse_proposal(answer, [SUBJECT])
            assert isinstance(proposal, Proposal | Rejection)
            proposals += [proposal] if isinstance(proposal, Proposal) else []
        for style in ("full", "direct"):
            given_task = kind.solve_prompt(SUBJECT, style)
            assert isinstance(kind.grade(SUBJECT, given_task.prefill + text), Check | Verdict)
    normal = normal_form(read_answer(text))
    assert same_by_form(normal, "1") in (True, False, None)
    use_as_program(text)
    return proposals


def use_as_program(text: str) -> None:
    try:
        program = tidy(text)
    except BadProgram:
        return
    assert tidy(program) == program
    assert isinstance(check_allowed(program, 2000), str)
    assert canonical(program)
    assert shape(program)
    block = as_block(program, "g_0")
    proposal = Proposal(kind="deduction", program=program, inputs=("1",))
    assert isinstance(compose(proposal, [block] if block else [], 2000), Proposal | Rejection)


@pytest.mark.parametrize("text", answers(), ids=lambda text: repr(text[:40]))
def test_no_hostile_text_raises(text: str) -> None:
    read_everything(text)


@pytest.mark.slow
def test_hostile_texts_go_through_the_whole_funnel() -> None:
    with Executor() as executor:
        for kind in KINDS.values():
            proposals = [kind.parse_proposal(text, [SUBJECT]) for text in answers()]
            num_read = sum(isinstance(proposal, Proposal) for proposal in proposals)
            assert num_read > 5 or kind.name == "induction"  # which wants four inputs
            outcomes = verify(proposals, kinds=KINDS, runner=executor, step=1)
            assert all(isinstance(outcome, Task | Rejection) for outcome in outcomes)
            verdicts = judge_answers([SUBJECT], [answers()], kinds={"deduction": kind}, runner=executor)
            assert all(isinstance(verdict, Verdict) for verdict in verdicts[0])


@pytest.mark.parametrize("body", BODIES[:3])
def test_a_constant_that_cannot_be_written_in_decimals_is_a_rejection(body: str) -> None:
    answer = f"```python\ndef f(x):\n    {body}\n```\n```input\n1\n```"
    rejection = KINDS["deduction"].parse_proposal(answer, [], max_program_chars=100_000)
    assert isinstance(rejection, Rejection)
    assert rejection.stage is Stage.ALLOWED


@pytest.mark.parametrize("text", ["half a \ud800 character", "a NUL \0 here"])
def test_what_no_tokenizer_takes_is_in_no_prompt(text: str) -> None:
    calls = "\n".join(f"{n}. `f({n})`" for n in range(1, 5))
    message = KINDS["induction"].parse_proposal(f"{calls}\n```message\n{text}\n```", [SUBJECT])
    question = Question().parse_proposal(f"<question>{text}?</question>\n\\boxed{{1}}", [])
    for rejection in (message, question):
        assert isinstance(rejection, Rejection)
        assert rejection.stage is Stage.ALLOWED


def test_a_reader_has_room_for_what_it_reads_however_deep_its_caller_stands() -> None:
    def deep(levels: int) -> Sequence[Proposal]:
        return deep(levels - 1) if levels else read_everything(answers()[0])

    deep(sys.getrecursionlimit() - 100 - _depth())


def _depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


pieces = st.sampled_from(
    [*BODIES, *INPUTS, "def f(x):\n    return ", "x", "```", "```python\n", "```input\n", "\n", "    ", "f'{", "}'",
     "\\boxed{", "<answer>", "lambda: ", "(", ")", "[", "'", '"', "0x", "\ud800", "\0", "\f", "\r", "\N{NO-BREAK SPACE}",
     "import math\n", "match x:\n", "case ", ":=", "**", "1e", "9" * 40, "# ", "class A:\n", "@", "-", "in: ", "Output: "]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(pieces | st.text(max_size=20), max_size=12).map("".join))
def test_no_mixture_raises(text: str) -> None:
    read_everything(text[:30_000])


UNITS = [
    "```output\n",
    "````output\n",
    "``` ",
    "> ```\n",
    "~~~\n",
    "\\boxed {",
    "\\fbox{}",
    "\\boxed 1 ",
    "\\text{",
    "\\text{a}",
    "$",
    "_",
    "`",
    "> ",
    "f(3) = ",
    "the output of ",
    "output is ",
    "Final answer:\n",
    "**Output**\n",
    "#",
    "\u200b",
    "a\u200b",
    "<think>\n",
    "</think>",
    "<output>",
    "f = lambda x: ",
    ">>> ",
    "½",
    "²",
    "1,",
    "6 because ",
    "= ",
    "\\boxed{",
    "```python\n",
    "\n- f([1,(2),(3),",
    "\\'",
    "f(1)\n",
    "output: ",
    "<answer>",
    "print(f(",
    "*",
    " ",
]


@pytest.mark.parametrize("unit", UNITS)
def test_reading_takes_work_that_grows_with_the_length_only(unit: str) -> None:
    """Four times the text, far less than sixteen times the work: a square would show."""
    short, long = (unit * (size // len(unit)) for size in (7_500, 30_000))
    assert _work(long) < 10 * max(_work(short), 0.02)


def _work(text: str) -> float:
    """Seconds of processor time to read a text; the least of three, since other processes disturb it."""
    return min(_seconds(text) for _ in range(3))


def _seconds(text: str) -> float:
    started = time.process_time()
    for kind in (*KINDS.values(), Question()):
        kind.parse_proposal(text, [SUBJECT])
        kind.grade(SUBJECT, text)
    normal_form(text[:10_000])
    return time.process_time() - started
