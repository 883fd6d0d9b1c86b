"""The before/after table in plain text, 80 columns."""

from collections.abc import Iterator

from tinyzero.evaluation.comparison import Comparison, Row

_NAME_WIDTH = 15
_CELL_WIDTH = 31


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The table: a line per row, sampled and greedy side by side, and what it comes to."""
    decodings = list(dict.fromkeys(row.decoding for row in comparison.rows))
    names = list(dict.fromkeys(row.name for row in comparison.rows))
    yield f"held-out accuracy before and after {comparison.step} steps (difference and its 95 % interval)"
    yield " " * _NAME_WIDTH + "".join(f"  {decoding:<{_CELL_WIDTH}}" for decoding in decodings).rstrip()
    for name in names:
        cells = [_cell(comparison.row(name, decoding)) for decoding in decodings]
        yield f"{name:<{_NAME_WIDTH}}" + "".join(f"  {cell:<{_CELL_WIDTH}}" for cell in cells).rstrip()
    yield from (f"{decoding}: {in_words(comparison.overall(decoding))}" for decoding in decodings)


def in_words(row: Row) -> str:
    """Whether the difference is one."""
    if not row.is_beyond_noise:
        return f"not distinguishable from noise ({row.tasks} tasks)"
    way = "better" if row.difference > 0 else "worse"
    return f"{way} by {100 * abs(row.difference):.1f} points ({row.tasks} tasks)"


def _cell(row: Row) -> str:
    return f"{row.before:.2f} {row.after:.2f} {row.difference:+.2f} [{row.low:+.2f} {row.high:+.2f}]"
