"""The untrusted side, run in this process: what it writes, the parent reads."""

import collections
import enum
import marshal
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyzero.execution import child
from tinyzero.execution.values import parse_literal, same


@pytest.fixture(autouse=True)
def keep_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child withdraws every tracer, and the one that measures coverage is one."""
    monkeypatch.setattr(child, "_set_hooks", ())


hashables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashables | st.sets(hashables, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hashables, inner, max_size=3),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values)
def test_what_a_child_writes_the_parent_reads(value: Any) -> None:
    assert same(parse_literal(child.literal(value)), value)


def nested(depth: int, wrap: Any) -> Any:
    value: Any = wrap(())
    for _ in range(depth - 1):
        value = wrap((value,))
    return value


@pytest.mark.parametrize(
    "value",
    [
        nested(child.MAX_DEPTH, list),
        nested(child.MAX_DEPTH, frozenset),
        [float("nan")] * 4000,
        [complex(float("nan"), float("-inf"))] * 1500,
        [0] * 10_000,
        (1 << child.MAX_INT_BITS) - 1,
        ["\x7f" * 14_000],
        "\U0001f680" * 14_000,
        b"\xff" * 14_000,
    ],
)
def test_the_largest_values_can_be_read(value: Any) -> None:
    assert same(parse_literal(child.literal(value)), value)


@pytest.mark.parametrize(
    "value",
    [
        nested(child.MAX_DEPTH + 1, list),
        [0] * child.MAX_NODES,
        1 << child.MAX_INT_BITS,
        "a" * (child.MAX_TEXT + 1),
        ["a" * child.MAX_TEXT] * 4,
    ],
)
def test_a_value_beyond_a_cap_is_too_large(value: Any) -> None:
    with pytest.raises(child.Unfit, match="output_too_large"):
        child.literal(value)


def test_a_doubling_of_shared_references_is_too_large_and_fast() -> None:
    value: Any = [0]
    for _ in range(50):
        value = [value, value]
    with pytest.raises(child.Unfit, match="output_too_large"):
        child.literal(value)


class Liar(int):
    def __repr__(self) -> str:
        return "42"


class Hanging(type):
    def __hash__(cls) -> int:
        raise AssertionError("a method of the program ran")

    __eq__ = __hash__  # type: ignore[assignment]


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    "value",
    [
        Liar(7),
        [Liar(7)],
        {"a": Liar(7)},
        Level.LOW,
        collections.Counter("a"),
        range(3),
        bytearray(b"a"),
        object(),
        int,
        ...,
        iter([]),
        Hanging("A", (), {})(),
        {1: 2}.keys(),
        memoryview(b""),
        len,
    ],
)
def test_what_is_not_an_exact_builtin_type_is_a_bad_type(value: Any) -> None:
    with pytest.raises(child.Unfit, match="bad_type"):
        child.literal(value)


def test_a_cycle_is_a_bad_type() -> None:
    value: list[Any] = []
    value.append({"a": (value,)})
    with pytest.raises(child.Unfit, match="bad_type"):
        child.literal(value)


def answers(program: str, *arguments: Any, num_calls: int = 1) -> list[str]:
    try:
        return child._answers(program, marshal.dumps(arguments), num_calls)
    finally:
        import gc
        import sys

        gc.enable()
        sys.setrecursionlimit(1000)


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("def f(x): return x + 1", "ok 0x2"),
        ("def f(x): raise KeyError", "exception KeyError ''"),
        ("def f(x): raise MemoryError", "oom"),
        ("def f(x): return f", "bad_type function"),
        ("def f(x: return x", "syntax_error SyntaxError"),
        ("f = 1", "no_function"),
        ("def f(x): raise type('a b', (Exception,), {})", "exception unnamed ''"),
        ("raise SystemExit", "exception SystemExit ''"),
    ],
)
def test_the_line_that_a_program_gives(program: str, line: str) -> None:
    assert answers(program, 1) == [line]


def test_each_call_gets_its_own_copy_of_the_arguments() -> None:
    assert answers("def f(x):\n    x.append(1)\n    return x", [0], num_calls=2) == ["ok [0x0, 0x1]"] * 2


def test_calls_end_with_the_first_that_gives_no_value() -> None:
    program = "n = 0\ndef f():\n    global n\n    n += 1\n    return 1 // (2 - n)"
    assert answers(program, num_calls=3) == [
        "ok 0x1",
        "exception ZeroDivisionError 'integer division or modulo by zero'",
    ]


class Left(BaseException):
    pass


def run_here(monkeypatch: pytest.MonkeyPatch, program: str, mode: int = child.CALLS) -> tuple[bytes, int]:
    """What `run` writes and the exit code it would leave with."""
    reading, writing = os.pipe()
    codes = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Left

    monkeypatch.setattr(child, "RESULT_FD", writing)
    monkeypatch.setattr(child, "_exit", leave)
    monkeypatch.setattr(child.os, "kill", lambda *_: None)
    with pytest.raises(Left):
        child.run(
            program.encode(), marshal.dumps([(1,), (2,)] if mode == child.SERIES else (1,)), 1, b"nonce", mode
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read(), codes[0]


def test_an_answer_opens_with_the_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_here(monkeypatch, "def f(x): return 'a\\nb'") == (b"nonce\nok 'a\\nb'", 0)


def test_a_series_answers_line_by_line_each_call_in_a_module_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return x // (x - 1), n"
    assert run_here(monkeypatch, program, child.SERIES) == (
        b"nonce\nexception ZeroDivisionError 'integer division or modulo by zero'\nok (0x2, 0x1)",
        0,
    )
