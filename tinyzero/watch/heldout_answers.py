"""A model's answers to the same held-out tasks during training, from a run's `answered` events. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinyzero.run.events import Answered, Event
from tinyzero.run.lines import Record, whole
from tinyzero.tasks.answers import reasoning
from tinyzero.watch.text import clipped, inert

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
