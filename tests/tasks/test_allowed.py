# ruff: noqa: E501
"""The static rules follow objects: what a program reaches by another name is refused as well."""

import ast

import pytest

from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.tasks.allowed import ALLOWED_MODULES, check_allowed, public_names
from tinyzero.tasks.judging import verify
from tinyzero.tasks.programs import tidy
from tinyzero.tasks.tables import is_table
from tinyzero.types import Proposal, Rejection, Stage, Task


def f(body: str, before: str = "") -> str:
    return f"{before}\ndef f(x):\n    {body}"


@pytest.mark.parametrize(
    "source",
    [
        f("return typing.sys.modules['hashlib']", "import typing"),
        f("return t.sys.flags", "import typing as t"),
        f("return statistics.random.SystemRandom().random()", "import statistics"),
        f("return random.random()", "from statistics import random"),
        f("return sys.flags", "from typing import sys"),
        f("return json.decoder.scanner", "import json"),
        f("return dataclasses.inspect.currentframe()", "import dataclasses"),
        f("return collections._sys.flags", "import collections"),
        f("return math.__loader__", "import math"),
        f("m = typing\n    return m.sys", "import typing"),
        f("return (lambda m: m.sys)(typing)", "import typing"),
        f("return [typing][0].sys", "import typing"),
        f("return copy.copy(typing).sys", "import copy, typing"),
        f("import typing\n    return typing.sys"),
        f("import typing as f2\n    return f2.sys"),
        f("import typing\n    def g(): return typing.sys\n    return g()"),
        f("return (lambda: [y for y in x if typing.sys])()", "import typing"),
        f("typing = x\n    return g()", "import typing\ndef g(): return typing.sys"),
        f("return A.typing.sys", "class A:\n    import typing"),
        f("global typing\n    return typing.sys", "import typing"),
        f("math.pi = 3\n    return math.pi", "import math"),
        f("del math.pi\n    return x", "import math"),
        f("return collections.abc.sys", "import collections.abc"),
        f("return abc.sys", "from collections import abc"),
        f("return (y for y in x).gi_frame.f_builtins['open']"),
        f("g = (y for y in x)\n    return g.gi_code"),
        f("try: 1 / 0\n    except Exception as e: return e.__traceback__.tb_frame"),
        f("return '{0.__class__}'.format(x)"),
        f("return '{x.__init__.__globals__}'.format(x=x)"),
        f("return '{:{0.__class__}}'.format(x)"),
        f("t = '{0.__' + 'class__}'\n    return t.format(x)"),
        f("return str.format('{0.__class__}', x)"),
        f("return '{x.real}'.format_map({'x': x})"),
        f("return string.Formatter().format('{0.__class__}', x)", "import string"),
        f("return Formatter().format('{0.__class__}', x)", "from string import Formatter"),
        f("return (lambda eval: 0)(x) + eval('1')"),
        f("return [eval for eval in [1]] + [eval('1')]"),
        f("return [eval for eval in [eval]][0]('1')"),
        f("def g(open): return 1\n    return open('a')"),
        f("return A.x", "class A:\n    x = eval\n    eval = 1"),
        f("global eval\n    eval = 1\n    del eval\n    return eval('1')"),
        f("return g", "g = eval('1')\neval = len"),
        f("match x:\n        case int(__class__=c): return c"),
        f("match x:\n        case A(d): return d", "class A:\n    __match_args__ = ('__dict__',)"),
        f("return operator.attrgetter('__class__')(x)", "import operator"),
        f("return operator.attrgetter('real.__class__')(x)", "import operator"),
        f("return operator.attrgetter('__cl' + 'ass__')(x)", "import operator"),
        f("return operator.methodcaller('__reduce__')(x)", "import operator"),
        f("return g('__class__')(x)", "from operator import attrgetter as g"),
        f("g = attrgetter\n    return g('__class__')(x)", "from operator import attrgetter"),
        f("return list(map(operator.attrgetter, x))", "import operator"),
        f("return typing.get_type_hints(x)", "import typing"),
        f("return datetime.datetime.now()", "import datetime"),
        f("return map(datetime.now, x)", "from datetime import datetime"),
        f("return __loader__"),
        f("return __build_class__"),
        f("return x", "from math import *\nimport os\ny = os") .replace("return x", "return y"),
    ],
)  # fmt: skip
def test_what_lies_behind_a_name_is_refused(source: str) -> None:
    reason = check_allowed(tidy(source), 5000)
    assert reason.startswith(("uses ", "imports ", "changes ", "rebinds ")), reason


@pytest.mark.parametrize(
    "source",
    [
        f("return string.upper()", "import string").replace("(x)", "(string)"),
        f("math = x\n    return math.real", ""),
        f("return collections.abc.Iterable", "import collections"),
        f("return isinstance(x, Iterable)", "from collections.abc import Iterable"),
        f("return isinstance(x, abc.Iterable)", "from collections import abc"),
        f("return sqrt(x) + pi", "from math import *"),
        f("return '{} {0!r:>{1}} {{}} {name}'.format(x, 5, name=x)"),
        f("return f'{x:>{5}} {x!r}'"),
        f("return list(map(operator.itemgetter(0), x))", "import operator"),
        f("return operator.attrgetter('real')(x)", "import operator"),
        f("return operator.methodcaller('upper')(x)", "import operator"),
        f("return datetime.datetime(2020, 1, x).isoformat()", "import datetime"),
        f("return functools.reduce(operator.add, x)", "import functools, operator"),
        f("return re.sub(r'a', lambda m: m.group(0), x, flags=re.I)", "import re"),
        f("id = x * 2\n    return id"),
        f("return hash(x)", "def hash(y):\n    return y % 7"),
        f("return A(x).__repr__()", "class A:\n    def __init__(self, x): self._x = x").replace(".__repr__()", "._x"),
        f("return decimal.Decimal(x) ** 2", "import decimal"),
        f("g = (y for y in x)\n    return g.send(None)"),
        f("match x:\n        case {'a': y, **rest}: return y, rest\n        case [a, *b]: return b\n        case _: return 0"),
        f("return heapq.nlargest(2, x)", "import heapq"),
        f("return Counter(x).most_common()", "from collections import Counter"),
        f("return P(x).a", "from dataclasses import dataclass\n@dataclass\nclass P:\n    a: int"),
        f("return E(x).name", "import enum\nclass E(enum.Enum):\n    A = 1"),
    ],
)  # fmt: skip
def test_honest_programs_are_allowed(source: str) -> None:
    assert check_allowed(tidy(source), 5000) == ""


def test_no_public_name_is_a_module() -> None:
    for module in ALLOWED_MODULES:
        names = public_names(module)
        assert names
        assert not names & {"sys", "os", "random", "re" if module != "re" else "", "builtins", "inspect"}


SECRET = "the answer is 17"


@pytest.mark.parametrize(
    "body",
    [
        f"if x:\n        '{SECRET}'\n        y = 1\n    else:\n        '{SECRET}'\n    return x + 1",
        f"for y in []:\n        '{SECRET}'\n    else:\n        '{SECRET}'\n    return x + 1",
        f"while 0: '{SECRET}'\n    return x + 1",
        f"try: '{SECRET}'\n    except ValueError: '{SECRET}'\n    else: '{SECRET}'\n    finally: '{SECRET}'\n    return x",
        f"def g():\n        '{SECRET}'\n        class A:\n            '{SECRET}'\n            def h(self): '{SECRET}'\n        return 1\n    return x",
        f"match x:\n        case 1: '{SECRET}'\n        case _: b'{SECRET}'\n    return x + 1",
        f"f'{SECRET}'\n    return x + 1",
        f"'the answer' + ' is 17'\n    ('{SECRET}', 1)\n    ['{SECRET}']\n    return x + 1",
        f"_ = '{SECRET}'\n    return x + 1",
        f"hint = note = ('{SECRET}', 5)\n    return x + 1",
        f"y: '{SECRET}' = x\n    z: '{SECRET}'\n    return y + 1",
        f"def g(y: '{SECRET}') -> '{SECRET}': return y\n    return g(x)",
        f"class A:\n        y: '{SECRET}'\n        z: '{SECRET}' = 1\n    return x + 1",
        f"assert '{SECRET}'\n    assert x, '{SECRET}'\n    return x + 1",
        f"'''{SECRET}'''; return x + 1  # {SECRET}",
        f"async def g():\n        '{SECRET}'\n    return x + 1",
    ],
)  # fmt: skip
def test_no_text_without_effect_reaches_a_prompt(body: str) -> None:
    program = tidy(f(body))
    assert "answer" not in program, program
    assert tidy(program) == program
    ast.parse(program)


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (f("return {5: 7}[x]"), "5"),
        (f("return {5: 7, 6: 8, 13: 9}[x]"), "5"),
        (f("return T[x]", "T = {5: 7}"), "5"),
        (f("t = {5: 7}\n    return t.get(x, 9)"), "5"),
        (f("return [10, 20, 30, 40, 50, 60, 70][x]"), "2"),
        (f("return 'abcdefgh'[x]"), "3"),
        (f("return dict([(5, 7)])[x]"), "5"),
        (f("return 7 if x != 13 else 8"), "13"),
        (f("return 7 if x != 13 else 8"), "5"),
        (f("return 7 + (x == 13)"), "13"),
        (f("return x == 13"), "13"),
        (f("if x == 5:\n        return 7\n    return 9"), "5"),
        (f("if x == 5: return 7\n    elif x == 6: return 8\n    else: return 9"), "5"),
        (
            f("match x:\n        case 5: return 7\n        case 'a' | 6: return 8\n        case _: return 9"),
            "5",
        ),
        (f("try: return {5: 7}[x]\n    except KeyError: return 0"), "5"),
        (f("return 0 if x in (5, 6) else 1"), "5"),
        (f("y = 3\n    if x == 'ab': y = 4\n    return y"), "'ab'"),
        (f("return len('abc') if x == 'k' else 9"), "'k'"),
        (f("return 0 ** abs(x - 13)"), "13"),
    ],
)
def test_what_only_looks_its_input_up_is_trivial(source: str, arguments: str) -> None:
    outcome = outcome_of(source, arguments)
    assert isinstance(outcome, Rejection), outcome
    assert outcome.stage is Stage.NONTRIVIAL


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (f("return x > 4"), "5"),
        (f("return 'even' if x % 2 == 0 else 'odd'"), "5"),
        (f("return x[1]"), "[1, 2, 3]"),
        (f("return sum(x) if x == sorted(x) else 0"), "[1, 2, 3]"),
        (f("return {'a': 1, 'b': 2}[x[0]] + len(x)"), "'abc'"),
        (f("return 'c' in x"), "'abc'"),
        (f("return x.count('a')"), "'banana'"),
        (f("return not x < 6"), "1"),
    ],
)
def test_what_takes_thought_is_not_trivial(source: str, arguments: str) -> None:
    outcome = outcome_of(source, arguments)
    assert isinstance(outcome, Task), outcome


def outcome_of(source: str, arguments: str) -> Task | Rejection:
    proposal = Proposal(kind="deduction", program=tidy(source), inputs=(arguments,))
    with Executor() as executor:
        (outcome,) = verify([proposal], kinds=KINDS, runner=executor, step=1)
    return outcome


def test_a_name_given_in_terms_of_itself_is_no_table() -> None:
    assert not is_table(f("y = y\n    return y"))
