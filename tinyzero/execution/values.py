"""Values that programs take and return: parses, renders and compares them (strict about types)."""

import math
from collections.abc import Iterable
from typing import Any

from tinyzero.execution.literals import MAX_ARGUMENTS_CHARS, MAX_LITERAL_CHARS, BadLiteral, Reader

__all__ = ["BadLiteral", "parse_arguments", "parse_literal", "render", "render_arguments", "same"]

_FLOAT_TOLERANCE = 1e-9
"""Relative tolerance: with it, a written answer with ten correct digits is right."""


def parse_literal(text: str) -> Any:  # noqa: ANN401
    """Read one value: numbers, strings, bytes, True, False, None, and list, tuple, dict and set displays.

    It also reads signs, `1+2j`, adjacent strings, comments, and these calls as literals: `set()`,
    `frozenset({...})`, `float('nan')`, `float('inf')`, `complex(x, y)`.

    Raises:
        BadLiteral: for everything else.
    """
    reader = Reader(text, MAX_LITERAL_CHARS)
    return reader.guarded(lambda: reader.tuple_or_value(""))


def parse_arguments(text: str) -> tuple[Any, ...]:
    """Read the positional arguments of a call, without its parentheses: `"1, 'a'"` gives `(1, 'a')`.

    Raises:
        BadLiteral: like `parse_literal`; keyword and starred arguments are refused.
    """
    reader = Reader(text, MAX_ARGUMENTS_CHARS)
    return tuple(reader.guarded(lambda: reader.items("")[0]))


def render(value: Any) -> str:  # noqa: ANN401
    """The literal of a value: `parse_literal` gives the same value back.

    Sets are sorted. Dicts keep their order, since a program can see it; `same` ignores it.

    Raises:
        TypeError: the value is not a tree of exact builtin types.
    """
    return _render(value)


def render_arguments(arguments: tuple[Any, ...]) -> str:
    """The source of an argument list, which `parse_arguments` reads."""
    return ", ".join(render(argument) for argument in arguments)


def same(left: Any, right: Any, *, float_tolerance: bool = False) -> bool:  # noqa: ANN401
    """Whether two values are equal, including types: True, 1 and 1.0 differ, and so do a list and a tuple.

    nan equals nan, 0.0 equals -0.0, and the order of dicts and sets does not matter. With `float_tolerance`
    floats may differ by a relative 1e-9, as digits written by hand do, except in sets and as dict keys.
    """
    kind = type(left)
    if kind is not type(right):
        return False
    if kind is float:
        return _same_float(left, right, tolerant=float_tolerance)
    if kind is complex:
        return all(
            _same_float(a, b, tolerant=float_tolerance)
            for a, b in ((left.real, right.real), (left.imag, right.imag))
        )
    if kind in (list, tuple):
        return len(left) == len(right) and all(
            same(a, b, float_tolerance=float_tolerance) for a, b in zip(left, right, strict=True)
        )
    if kind in (set, frozenset):
        return sorted(map(_key, left)) == sorted(map(_key, right))
    if kind is dict:
        return _same_dict(left, right, float_tolerance=float_tolerance)
    return bool(left == right)


def _same_dict(left: dict[Any, Any], right: dict[Any, Any], *, float_tolerance: bool) -> bool:
    """Compare dicts. Several keys can be the same (nan and nan); their values are compared like a set."""
    mine, theirs = (_by_key(pairs) for pairs in (left, right))
    return mine.keys() == theirs.keys() and all(
        len(items) == len(theirs[key])
        and all(same(a, b, float_tolerance=float_tolerance) for a, b in zip(items, theirs[key], strict=True))
        for key, items in mine.items()
    )


def _by_key(pairs: dict[Any, Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for key, item in pairs.items():
        grouped.setdefault(_key(key), []).append(item)
    return {key: items if len(items) == 1 else sorted(items, key=_key) for key, items in grouped.items()}


def _same_float(left: float, right: float, *, tolerant: bool) -> bool:
    if left == right or (left != left and right != right):
        return True
    return tolerant and math.isclose(left, right, rel_tol=_FLOAT_TOLERANCE)


def _key(value: Any) -> str:  # noqa: ANN401
    """A key that is equal for equal values: a rendering with sorted dicts and without negative zeros."""
    return _render(value, as_key=True)


def _render(value: Any, *, as_key: bool = False) -> str:  # noqa: ANN401
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return repr(value)
    if kind is float:
        return _render_float(value + 0.0 if as_key else value)  # -0.0 + 0.0 is 0.0
    if kind is complex:
        return _render_complex(value + 0j if as_key else value)
    if kind is dict:
        pairs = [f"{_render(k, as_key=as_key)}: {_render(v, as_key=as_key)}" for k, v in value.items()]
        return f"{{{', '.join(sorted(pairs) if as_key else pairs)}}}"
    if kind is list or kind is tuple:
        items = ", ".join(_render(item, as_key=as_key) for item in value)
        return f"[{items}]" if kind is list else f"({items}{',' * (len(value) == 1)})"
    if kind is set or kind is frozenset:
        items = ", ".join(_render_set_items(value, as_key=as_key))
        display = f"{{{items}}}" if items else ""
        return (display or "set()") if kind is set else f"frozenset({display})"
    raise TypeError(f"{kind.__name__} is not one of the builtin types that programs may exchange")


def _render_set_items(values: Iterable[Any], *, as_key: bool) -> list[str]:
    """The rendered elements in sorted order. Within a key, no further keys are built: that is exponential."""
    if as_key:
        return sorted(_render(value, as_key=True) for value in values)
    elements = list(values)
    is_plain = len({type(element) for element in elements}) == 1 and type(elements[0]) in (int, str, bytes)
    return [_render(element) for element in (sorted(elements) if is_plain else sorted(elements, key=_key))]


def _render_float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float('{value}')"


def _render_complex(value: complex) -> str:
    parts = (value.real, value.imag)
    is_plain = all(math.isfinite(part) and (part or math.copysign(1, part) > 0) for part in parts)
    if is_plain and not (value.real == 0 and value.imag < 0):  # -1j reads as a negative zero and -1
        return repr(value)
    return f"complex({_render_float(value.real)}, {_render_float(value.imag)})"
