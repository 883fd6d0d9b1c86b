"""Runs a function on many inputs in one process, and compares what came out of it.

Large outputs leave the process as digests, since a result of the sandbox has a largest size.
"""

from collections.abc import Sequence
from typing import Any

from tinyzero.evaluation.benchmarks.base import Item
from tinyzero.evaluation.benchmarks.oracles import ORACLES, PRESENCE_ENTRIES, is_right
from tinyzero.evaluation.benchmarks.written_code import in_module
from tinyzero.execution.values import render
from tinyzero.types import Job

Rows = Sequence[Sequence[Any]]
"""One list of arguments per call."""


def outputs_job(item: Item, sources: Sequence[str], rows: Rows) -> Job:
    entry = item.fields["entry_point"]
    how = "shortened"
    if item.id in ORACLES:
        how = "in_full"
    elif entry in PRESENCE_ENTRIES and item.id.startswith("Mbpp/"):
        how = "present"
    expression = f"outputs_{how}(solution[{entry!r}], {render([list(row) for row in rows])})"
    return Job(program=in_module(sources, expression, helpers=_HELPERS), inputs=("",))


def same_output(task_id: str, output: Any, right: Any, row: Sequence[Any], tolerance: float) -> bool:  # noqa: ANN401
    if type(output) is not list or len(output) != len(right):
        return False
    return output == right if len(right) == 2 else is_right(task_id, output[0], right[0], row, tolerance)


_LONG_TEXT = 300
"""Characters of a value above which its digest is compared."""
_LONG_FLOATS = 4000
"""The same for a value that holds floats, which are compared with a tolerance."""
_HELPERS = f'''\
import hashlib


def _plain(value):
    """Instances of subclasses of builtin types (Counter, namedtuple) as what they are equal to."""
    if isinstance(value, dict):
        return {{_plain(key): _plain(item) for key, item in dict.items(value)}}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(map(_plain, value))
    for kind in (bool, int, float, complex, str, bytes):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    return value


def _text(value):
    """Equal for equal values."""
    if isinstance(value, float) and value == value and abs(value) != float("inf") and value == int(value):
        value = int(value)
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, (set, frozenset)):
        return "{{" + ",".join(sorted(map(_text, value))) + "}}"
    if isinstance(value, dict):
        return "{{" + ",".join(sorted(_text(key) + ":" + _text(value[key]) for key in value)) + "}}"
    if isinstance(value, (list, tuple)):
        if all(type(item) is str for item in value):
            return repr(value)
        return type(value).__name__ + "[" + ",".join(map(_text, value)) + "]"
    return repr(value)


def _has_floats(value):
    if isinstance(value, dict):
        return any(map(_has_floats, value)) or any(map(_has_floats, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_has_floats, value))
    return isinstance(value, (float, complex))


def _shortened(value):
    text = _text(value)
    if len(text) <= {_LONG_TEXT} or len(text) <= {_LONG_FLOATS} and _has_floats(value):
        return [value]
    return ["digest of", hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()]


def outputs_in_full(function, rows):
    return [[_plain(function(*row))] for row in rows]


def outputs_shortened(function, rows):
    return [_shortened(_plain(function(*row))) for row in rows]


def outputs_present(function, rows):
    outputs = (function(*row) for row in rows)
    return [[output if isinstance(output, bool) else output is not None] for output in outputs]


'''
