"""Other inputs of the same types, to test whether a program uses its input. Pure and deterministic."""

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any, TypeAlias

from tinyzero.execution.values import same

MAX_ALTERNATIVES = 6

Value: TypeAlias = Any
"""A tree of builtin values."""


def perturb(arguments: tuple[Value, ...], most: int = MAX_ALTERNATIVES) -> tuple[tuple[Value, ...], ...]:
    """At most `most` argument lists that differ from `arguments` but have the same types.

    Lists that change all arguments find a constant soonest; lists that change one argument show which one
    matters; the result has both. Empty if nothing can change (no argument, or only None).
    """
    choices = [variants(argument) for argument in arguments]
    rows = zip_longest(*choices)
    together = [
        tuple(
            variant if row < len(options) else argument
            for variant, argument, options in zip(varied, arguments, choices, strict=True)
        )
        for row, varied in enumerate(rows)
    ]
    alone = [
        (*arguments[:place], options[turn], *arguments[place + 1 :])
        for turn in range(MAX_ALTERNATIVES)
        for place, options in enumerate(choices)
        if turn < len(options)
    ]
    mixed = (row for pair in zip_longest(together, alone) for row in pair if row is not None)
    return tuple(_distinct(mixed, arguments)[:most])


def variants(value: Value) -> list[Value]:
    """Other values of exactly the type of `value`, most informative first; empty for None."""
    make = _VARIANTS.get(type(value))
    return _distinct(make(value), value) if make else []


def _distinct(values: Iterable[Value], original: Value) -> list[Value]:
    kept = [original]
    for value in values:
        if not any(same(value, other) for other in kept):
            kept.append(value)
    return kept[1:]


def _of_text(text: Value) -> list[Value]:
    letter = "z" if isinstance(text, str) else b"z"
    return [text[::-1] + letter, text[1:], text + text, text.swapcase(), text[::-1], text[:0]]


def _of_sequence(values: Value) -> list[Value]:
    return [_vary_all(values), values[:-1], values[::-1], values + values, values[:0]]


def _of_dict(values: dict[Value, Value]) -> list[dict[Value, Value]]:
    varied = dict(zip(values, _vary_all(list(values.values())), strict=True))
    return [varied, dict(list(values.items())[:-1]), {}]


def _of_set(values: Value) -> list[Value]:
    ordered = sorted(values, key=repr)  # iteration order depends on the hash seed
    kind = type(values)
    return [kind(_vary_all(ordered)), kind(ordered[:-1]), kind()]


def _vary_all(values: Value) -> Value:
    """Replace every element by its first variant, if it has one."""
    return type(values)(next(iter(variants(value)), value) for value in values)


_VARIANTS: dict[type, Callable[[Value], list[Value]]] = {
    bool: lambda value: [not value],
    int: lambda value: [2 * value + 3, value + 1, -value, value - 1, 0, value + 10],
    float: lambda value: [2 * value + 3.5, value + 1.0, -value, value - 1.0, 0.0],
    complex: lambda value: [2 * value + 3.5, value.conjugate(), -value, 0j],
    str: _of_text,
    bytes: _of_text,
    list: _of_sequence,
    tuple: _of_sequence,
    dict: _of_dict,
    set: _of_set,
    frozenset: _of_set,
}
