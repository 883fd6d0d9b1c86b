"""A model's answers to the same held-out tasks during training, from a run's `answered` events. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tinyzero.run.events import Answered, Event
from tinyzero.run.lines import Record, whole


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
    """First and last answer to each task whose first answer was wrong and whose last answer is right."""
    ends = [(group[0], group[-1]) for group in answers.values()]
    return [(first, last) for first, last in ends if last.is_correct and not first.is_correct]


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
