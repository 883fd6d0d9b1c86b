"""Perturbed inputs: same types, different values, same every time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.execution.values import same
from tinyzero.tasks.perturb import MAX_ALTERNATIVES, perturb, variants


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, [False]),
        (3, [9, 4, -3, 2, 0, 13]),
        (0, [3, 1, -1, 10]),
        (1.5, [6.5, 2.5, -1.5, 0.5, 0.0]),
        ("ab", ["baz", "b", "abab", "AB", "ba", ""]),
        ("", ["z"]),
        (b"a", [b"az", b"", b"aa", b"A"]),
        ([1, 2], [[5, 7], [1], [2, 1], [1, 2, 1, 2], []]),
        ((), []),
        ((True,), [(False,), (), (True, True)]),
        ({"k": 1}, [{"k": 5}, {}]),
        ({1, 2}, [{5, 7}, {1}, set()]),
        (None, []),
    ],
)
def test_variants_are_these(value: Any, expected: list[Any]) -> None:
    assert variants(value) == expected
    assert all(type(variant) is type(value) for variant in variants(value))


def test_arguments_change_together_and_alone() -> None:
    assert perturb((1, 2)) == ((5, 7), (5, 2), (2, 3), (1, 7), (-1, -2), (2, 2))


def test_an_argument_that_cannot_change_stays() -> None:
    assert perturb((None, 1)) == ((None, 5), (None, 2), (None, -1), (None, 0), (None, 11))


def test_nothing_to_change_gives_nothing() -> None:
    assert perturb(()) == ()
    assert perturb((None,)) == ()


def test_a_set_of_strings_is_varied_in_the_same_order_everywhere() -> None:
    assert variants({"b", "a", "c"})[1] == {"a", "b"}


LEAVES = st.none() | st.booleans() | st.integers(-50, 50) | st.floats(width=16) | st.text(max_size=4)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=6
)


@given(st.lists(VALUES, max_size=3).map(tuple))
def test_alternatives_differ_from_the_arguments_and_each_other(arguments: tuple[Any, ...]) -> None:
    rows = perturb(arguments)
    assert len(rows) <= MAX_ALTERNATIVES
    seen = [arguments]
    for row in rows:
        assert [type(value) for value in row] == [type(value) for value in arguments]
        assert not any(same(row, other) for other in seen)
        seen.append(row)
    assert same(perturb(arguments), rows)
