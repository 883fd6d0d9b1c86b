import ast
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinyzero.execution.literals import MAX_ARGUMENTS_CHARS, MAX_DEPTH, MAX_INT_BITS
from tinyzero.execution.values import (
    BadLiteral,
    parse_arguments,
    parse_literal,
    render,
    render_arguments,
    same,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(1 << 200), max_value=1 << 200)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=20)
)
hashables = st.recursive(
    scalars,
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    scalars | st.sets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(hashables, inner, max_size=4)
    ),
    max_leaves=12,
)


@example(complex(0.0, -1.0))
@given(values)
def test_a_rendered_value_reads_back_as_the_same_value(value: Any) -> None:
    assert same(parse_literal(render(value)), value)
    assert render(parse_literal(render(value))) == render(value)


@given(st.lists(values, max_size=3).map(tuple))
def test_rendered_arguments_read_back(arguments: tuple[Any, ...]) -> None:
    text = render_arguments(arguments)
    if len(text) <= MAX_ARGUMENTS_CHARS:
        assert same(parse_arguments(text), arguments)


@given(values)
def test_the_reader_agrees_with_python_on_what_python_can_write(value: Any) -> None:
    text = repr(value)
    try:
        expected = ast.literal_eval(text)
    except ValueError:  # inf, nan and frozensets have no literal in Python
        return
    assert same(parse_literal(text), expected)


@pytest.mark.filterwarnings(
    "ignore:invalid"
)  # Python's own, about escapes and numbers that it reads all the same
@example("'\\8'")
@given(st.text(alphabet="[](){},:'\"\\+-.0123456789eEjJxobrn_ \nTrueNonsetfla#\u00e9"))
def test_any_text_is_read_as_python_reads_it_or_refused(text: str) -> None:
    try:
        value = parse_literal(text)
    except BadLiteral:
        return
    source = f"({text.strip()}\n)"
    if "set(" not in text and "float(" not in text:
        assert same(value, ast.literal_eval(source))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-1", -1),
        ("+ 2", 2),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("007.5", 7.5),
        ("-2j", -2j),
        ("(5-1j)", 5 - 1j),
        ("1.5 + 2J", 1.5 + 2j),
        ("set()", set()),
        ("frozenset()", frozenset()),
        ("frozenset({1, 2})", frozenset({1, 2})),
        ("float('inf')", math.inf),
        ("-float('inf')", -math.inf),
        ("float('-inf')", -math.inf),
        ("complex(float('-inf'), 0.0)", complex(-math.inf, 0)),
        ("'a' \"b\" '''c'''", "abc"),
        (r"'\n\x41\u00e9\U0001F680\N{BULLET}\101\q'", "\nA\u00e9\U0001f680\u2022A\\q"),
        (r"r'\n'", "\\n"),
        (r"b'\xff\n\u0041\777'", b"\xff\n\\u0041\xff"),
        ("rb'\\n'", b"\\n"),
        ("'a\\\nb'", "ab"),
        (r"'\ud83d\ude00'", "\ud83d\ude00"),
        ("()", ()),
        ("(1,)", (1,)),
        ("(1)", 1),
        ("1, 2", (1, 2)),
        ("[1, [2, {'a': (None, True)}],]  # a comment", [1, [2, {"a": (None, True)}]]),
        ("{}", {}),
        ("{1: 2,}", {1: 2}),
        ("{1, 2,}", {1, 2}),
        ("\n[\n 1,\n 2\n]\n", [1, 2]),
    ],
)
def test_literals_that_are_read(text: str, value: Any) -> None:
    assert same(parse_literal(text), value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "nan",
        "f(1)",
        "1 + 1",
        "9**9",
        "2j + 1",
        "--1",
        "-True",
        "-'a'",
        "not 1",
        "~1",
        "007",
        "1__0",
        "0x",
        "1x",
        "1.2.3",
        "[1",
        "1]",
        "[1, 2}",
        "{1: 2, 3}",
        "{1, 2: 3}",
        "{[1]}",
        "{{}: 1}",
        "{**{}}",
        "[*[1]]",
        "[i for i in (1, 2)]",
        "lambda: 1",
        "f'{1}'",
        "'a",
        "'a\nb'",
        "b'\u00e9'",
        "'a' b'b'",
        r"'\x4'",
        r"'\N{none}'",
        r"'\U00110000'",
        "...",
        "float('1')",
        "float(1)",
        "float()",
        "set(1)",
        "set({1}, {2})",
        "frozenset({})(1)",
        "complex('1')",
        "dict()",
        "int('1')",
        "__import__('os')",
        "'%s' % 1",
        "[1][0]",
        "(1).real",
        "1 if 1 else 2",
        "1 2",
        ",",
        "[,]",
        "[1,,2]",
        "True1",
        "0x_",
        "1e",
        "\u0661",
        "a=1",
        "1;2",
        "\x00",
        "'a' + 'b'",
        "1" * 4000,
        f"0x1{'0' * (MAX_INT_BITS // 4)}",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(BadLiteral):
        parse_literal(text)


@pytest.mark.parametrize(
    "unit", ["[", "(", "{", "-", "+", "{1:", "frozenset(", "1+", "'a", "\\", "#", " ", "not "]
)
def test_a_long_repetition_is_refused_in_bounded_depth(unit: str) -> None:
    with pytest.raises(BadLiteral):
        parse_literal(unit * 30_000)
    with pytest.raises(BadLiteral):
        parse_literal(unit * 300_000)


def test_nesting_is_capped_at_the_documented_depth() -> None:
    assert parse_literal("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    with pytest.raises(BadLiteral):
        parse_literal("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_deeply_nested_sets_cost_no_more_than_their_size() -> None:
    """A child can return this; twice the work per level would be 2**60."""
    value: Any = frozenset()
    for _ in range(59):
        value = frozenset([value])
    assert same(parse_literal(render([value])), [value])
    assert same({value: 1}, {value: 1})


def test_an_argument_list_is_capped_at_the_documented_length() -> None:
    assert parse_arguments(f"'{'a' * (MAX_ARGUMENTS_CHARS - 2)}'") == ("a" * (MAX_ARGUMENTS_CHARS - 2),)
    with pytest.raises(BadLiteral):
        parse_arguments(f"'{'a' * (MAX_ARGUMENTS_CHARS - 1)}'")


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ()),
        ("1", (1,)),
        ("1,", (1,)),
        ("1, 'a'", (1, "a")),
        ("(1, 2)", ((1, 2),)),
        ("[1], {}", ([1], {})),
    ],
)
def test_argument_lists(text: str, arguments: tuple[Any, ...]) -> None:
    assert parse_arguments(text) == arguments


@pytest.mark.parametrize("text", ["x=1", "*[1]", "**{}", "1) or f(2", ",", "1,,2", "(1"])
def test_what_is_no_argument_list(text: str) -> None:
    with pytest.raises(BadLiteral):
        parse_arguments(text)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (1, 1.0),
        (1.0, 1 + 0j),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ("a", b"a"),
        (None, False),
        ([1, [True]], [1, [1]]),
        ({1: "a"}, {True: "a"}),
        ({1}, {True}),
        ({(1,)}, {(1.0,)}),
        ({"a": 1}, {"a": 1.0}),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        (0.1 + 0.2, 0.3),
        (math.inf, -math.inf),
        (math.nan, 1.0),
    ],
)
def test_values_that_differ(left: Any, right: Any) -> None:
    assert not same(left, right)
    assert not same(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (math.nan, -math.nan),
        ([math.nan], [float("nan")]),
        (0.0, -0.0),
        ({(0.0,)}, {(-0.0,)}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, "a", (2,)}, {(2,), "a", 1}),
        ({math.nan: 1}, {float("nan"): 1}),
        ({frozenset({1, 2}): {3, 4}}, {frozenset({2, 1}): {4, 3}}),
        (complex(math.nan, 1), complex(math.nan, 1)),
    ],
)
def test_values_that_are_the_same(left: Any, right: Any) -> None:
    assert same(left, right)
    assert same(right, left)


def test_float_tolerance_is_relative_and_only_on_request() -> None:
    assert same([0.1 + 0.2], [0.3], float_tolerance=True)
    assert same({"a": (1e20, 1j)}, {"a": (1e20 + 1e5, 1.0000000001j)}, float_tolerance=True)
    assert not same(1.0, 1.00000001, float_tolerance=True)
    assert not same(1, 1.0, float_tolerance=True)
    assert not same(0.0, 1e-300, float_tolerance=True)


def test_a_set_is_written_in_an_order_of_its_own() -> None:
    assert render({10, 9, 1}) == "{1, 9, 10}"
    assert render({"b", "a"}) == "{'a', 'b'}"
    assert render({"b": 1, "a": 2}) == "{'b': 1, 'a': 2}"


def test_a_subclass_has_no_rendering() -> None:
    class Liar(int):
        def __repr__(self) -> str:
            return "42"

    with pytest.raises(TypeError):
        render([Liar(7)])
    assert not same(Liar(7), 7)
