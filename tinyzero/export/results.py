"""Reads a run's before/after table, `evaluation.json`, and checks that it may be published."""

import re

from tinyzero.errors import ExportError
from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import Record, comparison_of

_MAX_ROWS = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./+-]{0,59}")


def read_evaluation(run: RunFolder) -> Comparison | None:
    """The run's table; None if nothing was measured.

    Raises:
        ExportError: the file is not such a table, or holds something that must not be published.
    """
    if not run.evaluation.exists():
        return None
    record = run.read_evaluation() or {}
    table = comparison_of(record)
    fault = "it has no rows" if table is None else _fault(table, record)
    if fault:
        raise ExportError(f"{run.evaluation} is not a table of results: {fault}")
    return table


def _fault(table: Comparison, record: Record) -> str:
    """The fault of a table; empty if none."""
    if not len(table.rows) == len(record["rows"]) <= _MAX_ROWS:
        return f"of {len(record['rows'])} rows, {len(table.rows)} are whole, and {_MAX_ROWS} are allowed"
    if not _NAME.fullmatch(table.set_name):
        return "the name of its set is no plain name"
    if table.attempts < 1 or table.step < 0:
        return f"it is of {table.attempts} attempts at step {table.step}"
    return next((fault for row in table.rows if (fault := _row_fault(row))), "")


def _row_fault(row: Row) -> str:
    if not _NAME.fullmatch(row.name) or row.decoding not in ("sampled", "greedy"):
        return "a row has another name than a kind and its decoding"
    shares, differences = (row.before, row.after), (row.difference, row.low, row.high)
    if not all(0 <= share <= 1 for share in shares) or not all(-1 <= each <= 1 for each in differences):
        return f"{row.name} has a figure that is no share"
    if row.low > row.high:
        return f"the interval of {row.name} ends before it begins"
    return "" if row.tasks >= 1 else f"{row.name} is of {row.tasks} tasks"
