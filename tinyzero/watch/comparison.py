"""The before/after table in plain text, 80 columns."""

from collections.abc import Iterator

from tinyzero.evaluation.comparison import Comparison, Row

_NAME_WIDTH = 15
_CELL_WIDTH = 31
_THINKING, _TOKENS = "thinking_share", "answer_tokens"


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The table: one line per row, sampled and greedy side by side, then the conclusion."""
    decodings = list(dict.fromkeys(row.decoding for row in comparison.rows))
    names = list(dict.fromkeys(row.name for row in comparison.rows))
    yield f"held-out accuracy before and after {comparison.step} steps (difference and its 95 % interval)"
    yield " " * _NAME_WIDTH + "".join(f"  {decoding:<{_CELL_WIDTH}}" for decoding in decodings).rstrip()
    for name in names:
        cells = [_cell(comparison.row(name, decoding)) for decoding in decodings]
        yield f"{name:<{_NAME_WIDTH}}" + "".join(f"  {cell:<{_CELL_WIDTH}}" for cell in cells).rstrip()
    yield from _others(comparison)
    yield from (f"{decoding}: {in_words(comparison.overall(decoding))}" for decoding in decodings)
    yield from what_was_learned(comparison)


def _others(comparison: Comparison) -> Iterator[str]:
    """One line per further measure, and one for the base model at lower temperatures."""
    for row in comparison.others:
        name = row.decoding.replace("_", " ")
        yield f"{name:<{_NAME_WIDTH}}  {_cell(row)}" if row.decoding != _TOKENS else _lengths(name, row)
    if comparison.untrained:
        first, *others = comparison.untrained
        cells = [f"{first.before:.2f} at {first.decoding}"]
        cells += [f"{row.before:.2f} at {row.decoding.removeprefix('temperature ')}" for row in others]
        curve = ", ".join(cells)
        yield f"{'untrained':<{_NAME_WIDTH}}  {curve}"


def _lengths(name: str, row: Row) -> str:
    return f"{name:<{_NAME_WIDTH}}  {row.before:.0f} {row.after:.0f} {row.difference:+.0f}"


def what_was_learned(comparison: Comparison) -> Iterator[str]:
    """One sentence on what the run has taught, and one where a lower temperature would have done as much."""
    measured = {row.decoding for row in comparison.rows}
    if "greedy" in measured:
        yield from _learned(comparison.overall("greedy"), comparison.other(_THINKING))
    if "sampled" in measured:
        yield from _only_sharpened(comparison.overall("sampled"), comparison.best_untrained)


def _learned(greedy: Row, thinking: Row | None) -> Iterator[str]:
    if greedy.low > 0:
        low, high = 100 * greedy.low, 100 * greedy.high
        before, after = f"{greedy.before:.0%}", f"{greedy.after:.0%}"
        yield f"learned: {after} of {greedy.tasks} tasks solved greedily, {before} before,"
        gain = f"{100 * greedy.difference:+.1f} points (95 % {low:+.1f} to {high:+.1f})"
        yield f"{gain}{_thinking(thinking)}"


def _only_sharpened(sampled: Row, best: Row | None) -> Iterator[str]:
    if best and sampled.low > 0 and best.low <= 0:
        yield f"sampled: no more than the untrained model reaches at {best.decoding} ({best.before:.2f})"


def _thinking(row: Row | None) -> str:
    if row is None or not row.is_beyond_noise:
        return ""
    return f"; {row.after:.0%} of the answers reason, {row.before:.0%} before"


def in_words(row: Row) -> str:
    """Whether the difference is beyond noise, in words."""
    if not row.is_beyond_noise:
        return f"not distinguishable from noise ({row.tasks} tasks)"
    way = "better" if row.difference > 0 else "worse"
    return f"{way} by {100 * abs(row.difference):.1f} points ({row.tasks} tasks)"


def _cell(row: Row) -> str:
    return f"{row.before:.2f} {row.after:.2f} {row.difference:+.2f} [{row.low:+.2f} {row.high:+.2f}]"
