"""The tidy form, the rules for proposals and the normal forms, on tables worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.execution import Executor
from tinyzero.tasks.allowed import ALLOWED_MODULES, check_allowed
from tinyzero.tasks.programs import BadProgram, canonical, digest, shape, tidy, with_definitions

SIMPLE = "def f(a):\n    return a + 1"
USES = "def f(a):\n    return {}.x + a"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SIMPLE, SIMPLE),
        ("def f( a ) :\n\n\treturn (a)+1  # f(3) is 4\n", SIMPLE),
        ('def f(a: int) -> "List[int]":\n    """f(3) == 4"""\n    return a + 1', SIMPLE),
        ("def plus(a):\n    return a + 1", SIMPLE),
        (SIMPLE + "\nprint(f(3))\nf(4)\n'done'", SIMPLE),
        (SIMPLE + "\nif __name__ == '__main__':\n    print(f(3))", SIMPLE),
        (
            "def count(n):\n    return 0 if n < 1 else 1 + count(n - 1)",
            "def f(n):\n    return 0 if n < 1 else 1 + f(n - 1)",
        ),
        ("import math\nK = 2\n\ndef f(a):\n    return math.sqrt(a * K)",) * 2,
        ("def g(a):\n    return a\n\ndef f(a):\n    return g(a)",) * 2,
        ("def f(*a):\n    return a[0]",) * 2,
        ("import os\nX = 1\n\ndef g(b):\n    return X\n\n" + SIMPLE + "\nassert f(1) == 2", SIMPLE),
        (
            "import math, os.path as p\nY = 2\n\ndef g(b):\n    return Y\n\ndef f(a):\n    return g(a)",
            "Y = 2\n\ndef g(b):\n    return Y\n\ndef f(a):\n    return g(a)",
        ),
        ("def f(a):\n    return a\n\n" + SIMPLE, SIMPLE),
        ('def f(a):\n    "only words"', "def f(a):\n    pass"),
    ],
)
def test_a_program_is_tidied(source: str, expected: str) -> None:
    assert tidy(source) == expected
    assert tidy(expected) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(a) return a", "does not parse"),
        ("x = 3", "defines 0 functions"),
        ("def g(a):\n    return a\n\ndef h(a):\n    return a", "defines 2 functions and none is named f"),
        ("def f():\n    return 3", "takes no argument"),
        ("def f(*, a=1):\n    return a", "takes no argument"),
        ("class A:\n    def f(self, a):\n        return a", "defines 0 functions"),
        ("async def f(a):\n    return a", "line 1: only imports, definitions"),
        ("for i in range(3):\n    pass\n" + SIMPLE, "line 1: only imports, definitions"),
        ("f = lambda a: a", "defines 0 functions"),
        ("def f(a):\n    return " + "(" * 250 + "a" + ")" * 250, "does not parse|nested"),
        ("def f(a):\n    return " + "-" * 3000 + "a", "does not parse|nested"),
        ("def f(a):\n    return a" + ".b" * 3000, "does not parse|nested"),
        ("def f(a):\n    return a" + " + a" * 6000, "longer than"),
        ("def f(a):\n    return '\0'", "does not parse"),
    ],
)
def test_what_is_no_program_of_ours_is_refused(source: str, reason: str) -> None:
    with pytest.raises(BadProgram, match=reason):
        tidy(source)


def test_a_strange_escape_warns_nobody() -> None:
    assert tidy("def f(a):\n    return a + '\\d'") == "def f(a):\n    return a + '\\\\d'"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\n" + USES.format("os"), "imports os"),
        ("import os.path as p\n" + USES.format("p"), "imports os.path"),
        ("from random import choice\n" + USES.format("choice"), "imports random"),
        ("from . import x\n" + USES.format("x"), "imports relatively"),
        ("def f(a):\n    import time\n    return time.time() - a", "imports time"),
        ("import hashlib\n" + USES.format("hashlib"), "imports hashlib"),
        ("from datetime import datetime\n\ndef f(a):\n    return datetime.now().year - a", "uses .now"),
        ("import datetime\n\ndef f(a):\n    return datetime.date.today().year - a", "uses .today"),
        ("import uuid, math\n" + USES.format("math"), "imports uuid"),
        ("def f(a):\n    return __import__('os').getpid() + a", "uses __import__"),
        ("def f(a):\n    return eval(a)", "uses eval"),
        ("def f(a):\n    return exec(a)", "uses exec"),
        ("def f(a):\n    return compile(a, '', 'eval')", "uses compile"),
        ("def f(a):\n    return open(a)", "uses open"),
        ("def f(a):\n    return input(a)", "uses input"),
        ("def f(a):\n    return hash(a)", "uses hash"),
        ("def f(a):\n    return id(a)", "uses id"),
        ("def f(a):\n    return list(map(hash, a))", "uses hash"),
        ("def f(a):\n    return globals()", "uses globals"),
        ("def f(a):\n    return str(object()) + a", "uses object"),
        ("def f(a):\n    return a.__class__.__subclasses__()", "uses .__subclasses__"),
    ],
)
def test_what_depends_on_the_machine_is_not_allowed(source: str, reason: str) -> None:
    assert check_allowed(tidy(source), 2000) == reason


@pytest.mark.parametrize(
    "source",
    [
        SIMPLE,
        "import math\nfrom collections import Counter\n\ndef f(a):\n    return Counter(a).most_common(1)",
        "import datetime\n\ndef f(a):\n    return datetime.date(2024, 2, a).weekday()",
        "def f(input):\n    return input[::-1]",
        "def f(a):\n    id = a * 2\n    return id",
        "def f(a):\n\n    def hash(x):\n        return x % 7\n    return hash(a)",
        "class P:\n\n    def __init__(self, x):\n        self.x = x\n\ndef f(a):\n    return P(a).x",
    ],
)
def test_a_pure_program_is_allowed(source: str) -> None:
    assert check_allowed(tidy(source), 2000) == ""


def test_the_size_cap_counts_the_tidy_form() -> None:
    source = SIMPLE + "  # " + "x" * 500
    assert len(SIMPLE) == 26
    assert check_allowed(tidy(source), 26) == ""
    assert check_allowed(tidy(source), 25) == "program has 26 characters, 25 are allowed"


LOOP = "def f(items):\n    total = 0\n    for item in items:\n        total += item * 2\n    return total"


def test_renamed_variables_share_both_normal_forms() -> None:
    renamed = "def f(xs):\n    s = 0\n    for x in xs:\n        s += x * 2\n    return s"
    assert canonical(LOOP) == canonical(renamed)
    assert shape(LOOP) == shape(renamed)


def test_changed_constants_share_the_shape_only() -> None:
    other = LOOP.replace("* 2", "* 31")
    assert canonical(LOOP) != canonical(other)
    assert shape(LOOP) == shape(other)


@pytest.mark.parametrize(
    "other",
    [
        LOOP.replace("* 2", "+ 2"),
        LOOP.replace("+=", "-="),
        LOOP.replace("* 2", "* 2.0"),
        LOOP.replace("in items", "in sorted(items)"),
        LOOP.replace("return total", "return -total"),
        LOOP.replace("item * 2", "total * 2"),
    ],
)
def test_changed_operations_change_the_shape(other: str) -> None:
    assert shape(LOOP) != shape(other)


def test_builtins_and_methods_are_part_of_the_shape() -> None:
    assert shape("def f(a):\n    return min(a)") != shape("def f(a):\n    return max(a)")
    assert shape("def f(a):\n    return a.upper()") != shape("def f(a):\n    return a.lower()")


def test_comments_docstrings_and_annotations_change_nothing() -> None:
    dressed = 'def f(a: int) -> int:\n    """Adds."""\n    # one\n    return a + 1'
    assert canonical(dressed) == canonical(SIMPLE)
    assert shape(dressed) == shape(SIMPLE)


def test_functions_and_keyword_arguments_are_renamed() -> None:
    one = "def g(x, step):\n    return x + step\n\ndef f(a):\n    return g(a, step=2)"
    two = "def h(u, by):\n    return u + by\n\ndef f(b):\n    return h(b, by=2)"
    assert canonical(one) == canonical(two)


def test_swapped_roles_of_two_names_are_a_difference() -> None:
    assert canonical("def f(a, b):\n    return a - b") != canonical("def f(a, b):\n    return b - a")


def test_a_digest_keeps_its_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a") == digest("a")
    assert len(digest("a")) == 16


@given(st.text(max_size=200))
def test_any_text_is_tidied_or_refused(text: str) -> None:
    try:
        program = tidy(text)
    except BadProgram:
        return
    assert tidy(program) == program


def test_every_allowed_module_can_be_imported_in_the_sandbox() -> None:
    imports = "\n".join(f"import {name}" for name in sorted(ALLOWED_MODULES - {"__future__"}))
    imports = f"from __future__ import annotations\n{imports}"
    with Executor() as executor:
        (execution,) = executor.run(f"{imports}\n\ndef f(a):\n    return a", ["1"])
    assert execution.value == 1, execution


@pytest.mark.parametrize(
    ("source", "program"),
    [
        ("f = lambda a, b=2, *c: a + b", "def f(a, b=2, *c):\n    return a + b"),
        ("import math\ng = lambda a: math.floor(a)", "import math\n\ndef g(a):\n    return math.floor(a)"),
        ("h = lambda a: a\nf = lambda a: h(a)", "h = lambda a: a\n\ndef f(a):\n    return h(a)"),
        ("key = lambda a: a\ndef f(a):\n    return key(a)", None),
        ("f = (lambda a: a)(3)", None),
        ("f = lambda a: (", None),
    ],
)
def test_a_named_lambda_is_a_definition(source: str, program: str | None) -> None:
    assert with_definitions(source) == (program or source)
