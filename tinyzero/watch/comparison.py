"""The before/after table in plain text, 80 columns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinyzero.evaluation.comparison import ClaimResult, Comparison, Row, judge_claim
from tinyzero.run.events import Answered, Event
from tinyzero.run.lines import Record, whole
from tinyzero.tasks.answers import reasoning
from tinyzero.types import Claim
from tinyzero.watch.text import clipped, inert

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


def claim_record(expect: object, comparison: Comparison | None) -> dict[str, Any] | None:
    """What became of the claim in `run.expect`; None for a run without a claim.

    `difference` and `interval` are in points, and missing where there is no table before and after.
    """
    try:
        claim = Claim.parse(expect) if isinstance(expect, str) else None
    except ValueError:
        return None
    if claim is None:
        return None
    row = _row_of(claim, comparison) if comparison else None
    record = {"claim": str(claim), **asdict(claim)}
    if row is None:
        return {**record, "outcome": ClaimResult.OPEN}
    ends = [round(100 * end, 4) for end in (row.low, row.high)]
    found = {"difference": round(100 * row.difference, 4), "interval": ends}
    return {**record, **found, "outcome": judge_claim(claim, row.low, row.high)}


def _row_of(claim: Claim, comparison: Comparison) -> Row | None:
    decoding = "sampled" if claim.metric == "heldout" else claim.metric
    measured = {row.decoding for row in comparison.rows}
    return comparison.overall(decoding) if decoding in measured else None


def claim_line(expect: object, comparison: Comparison | None) -> str:
    """The claim of a run and what became of it; empty for a run without a claim."""
    record = claim_record(expect, comparison)
    if record is None:
        return ""
    why = "no measurement before and after"
    if "interval" in record:
        low, high = record["interval"]
        why = f"{record['difference']:+.1f} points, 95 % {low:+.1f} to {high:+.1f}"
    return f"claim {record['claim']}, written before the first step: {record['outcome']} ({why})"


def in_words(row: Row) -> str:
    """Whether the difference is beyond noise, in words."""
    if not row.is_beyond_noise:
        return f"not distinguishable from noise ({row.tasks} tasks)"
    way = "better" if row.difference > 0 else "worse"
    return f"{way} by {100 * abs(row.difference):.1f} points ({row.tasks} tasks)"


def _cell(row: Row) -> str:
    return f"{row.before:.2f} {row.after:.2f} {row.difference:+.2f} [{row.low:+.2f} {row.high:+.2f}]"


_MAX_LINES, _MAX_WIDTH = 16, 76


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutAnswer:
    """The greedy answer to a task after `step` steps; `answer` includes the reasoning, if any."""

    step: int
    task_id: str
    kind: str
    prompt: str
    answer: str
    tokens: int
    is_correct: bool


def answers_by_task(events: Iterable[Event]) -> dict[str, list[HeldOutAnswer]]:
    """Task id -> answers in step order. If a step was measured twice, the newest answer counts."""
    by_step: dict[str, dict[int, HeldOutAnswer]] = {}
    for event in events:
        for record in event.answers if isinstance(event, Answered) else ():
            if isinstance(record.get("id"), str):
                by_step.setdefault(record["id"], {})[event.step] = _answer(event.step, record)
    return {task: [answers[step] for step in sorted(answers)] for task, answers in by_step.items()}


def mended(answers: Mapping[str, Sequence[HeldOutAnswer]]) -> list[tuple[HeldOutAnswer, HeldOutAnswer]]:
    """First and last answer to each task that was answered wrong at first and right at last.

    Pairs come first of which the last answer reasons and the first does not, then shorter ones.
    """
    ends = [(group[0], group[-1]) for group in answers.values()]
    pairs = [(first, last) for first, last in ends if last.is_correct and not first.is_correct]
    return sorted(pairs, key=_is_plain)


def example_lines(events: Iterable[Event]) -> Iterator[str]:
    """One held-out task with a wrong answer at first and a right one at last; nothing where there is none."""
    for first, last in mended(answers_by_task(events))[:1]:
        yield "the same held-out task, before and after:"
        yield from _indented(last.prompt)
        for when, answer in (("wrong", first), ("right", last)):
            yield f"  after {answer.step} steps, {when}:"
            yield from _indented(answer.answer)


def _is_plain(pair: tuple[HeldOutAnswer, HeldOutAnswer]) -> tuple[bool, int]:
    first, last = pair
    shows_thinking = bool(reasoning(last.answer)) and not reasoning(first.answer)
    return not shows_thinking, last.tokens


def _indented(text: str) -> Iterator[str]:
    """At most so many lines of a text, each cut to the width of a small terminal."""
    lines = inert(text.strip()).splitlines()
    yield from (f"    {clipped(line, _MAX_WIDTH)}" for line in lines[:_MAX_LINES])
    if len(lines) > _MAX_LINES:
        yield f"    ... ({len(lines) - _MAX_LINES} more lines)"


def _answer(step: int, record: Record) -> HeldOutAnswer:
    kind, prompt, answer = (str(record.get(name, "")) for name in ("kind", "prompt", "answer"))
    return HeldOutAnswer(
        step=step,
        task_id=str(record["id"]),
        kind=kind,
        prompt=prompt,
        answer=answer,
        tokens=whole(record.get("tokens")),
        is_correct=record.get("is_correct") is True,
    )
