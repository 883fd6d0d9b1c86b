"""When a value is the right output of a HumanEval+ or MBPP+ task. Pure functions on builtin values.

The rule: equal by `==`; floats within a tolerance; a table of tasks with several right outputs. The facts are
those of evalplus 0.3.1 (eval/__init__.py, eval/_special_oracle.py). One difference: there, a tolerance that a
float output switched on stays on for the later inputs of the task; here each output decides for itself.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

_FLOAT_TOLERANCE = 1e-6
"""Absolute, for outputs that are floats, of tasks without a tolerance of their own."""
_RELATIVE_TOLERANCE = 1e-7

Arguments = Sequence[Any]
_Oracle = Callable[[Any, Any, Arguments, float], bool]
"""Of the output, the reference's output, the arguments and the task's absolute tolerance."""


def is_right(task_id: str, output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    """Whether an output is right. Values that cannot be compared are not equal."""
    try:
        return ORACLES.get(task_id, _is_close)(output, right, arguments, tolerance)
    except (TypeError, ValueError, OverflowError, RecursionError, IndexError):
        return False


def _is_close(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    if output == right:
        return True
    allowed = tolerance or (_FLOAT_TOLERANCE if _is_floats(right) else 0.0)
    return allowed > 0 and type(output) is type(right) and _all_close(output, right, allowed)


def _is_floats(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _all_close(output: Any, right: Any, tolerance: float) -> bool:  # noqa: ANN401
    if isinstance(right, list | tuple):
        return (
            isinstance(output, list | tuple)
            and len(output) == len(right)
            and all(_all_close(a, b, tolerance) for a, b in zip(output, right, strict=True))
        )
    if output == right:  # infinities too
        return True
    difference = abs(output - right)
    return bool(difference <= tolerance + _RELATIVE_TOLERANCE * abs(right))


def _is_root(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    """Any root of the polynomial counts, not only the one that the reference finds."""
    (coefficients,) = arguments
    value = sum(factor * math.pow(output, power) for power, factor in enumerate(coefficients))
    return bool(abs(value) <= tolerance)


def _is_same_set(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    return set(output) == set(right)


def _is_anything(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    return True


def _is_close_or_zero(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    return bool(output == 0) or _is_close(output, right, arguments, tolerance)


def _is_presence(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    """Only whether something was found counts; the child turns what was found into a bool."""
    return bool(output == right)


def _is_surface(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    """The height of the pyramid may be read as that of its apex above the base."""
    edge, height = arguments
    surface = round(edge**2 + 2 * edge * math.hypot(edge / 2, height))
    return bool(abs(output - surface) <= tolerance) or _is_close(output, right, arguments, tolerance)


def _is_digit_distance(output: Any, right: Any, arguments: Arguments, tolerance: float) -> bool:  # noqa: ANN401
    """The shorter number may be filled with zeros."""
    first, second = map(str, arguments)
    width = max(len(first), len(second))
    digits = zip(first.zfill(width), second.zfill(width), strict=True)
    return bool(output == right or output == sum(abs(int(a) - int(b)) for a, b in digits))


ORACLES: dict[str, _Oracle] = {
    "HumanEval/32": _is_root,
    "Mbpp/164": _is_anything,  # the sums of divisors: the reference itself is wrong
    "Mbpp/295": _is_close_or_zero,
    "Mbpp/558": _is_digit_distance,
    "Mbpp/581": _is_surface,
    **dict.fromkeys(
        ("Mbpp/2", "Mbpp/7", "Mbpp/111", "Mbpp/140", "Mbpp/232", "Mbpp/249", "Mbpp/579", "Mbpp/769"),
        _is_same_set,
    ),
}
"""Tasks with several right outputs."""

PRESENCE_ENTRIES = frozenset({"check_str", "text_match_three", "text_starta_endb"})
"""Functions of MBPP+ that return a match or None."""
