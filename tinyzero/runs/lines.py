"""What the lines of a run's logs hold, as nouns. Pure; knows no files.

Lines come from outside: whatever is not of the expected type is left out, and nothing here raises.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyzero.comparison import Comparison, Row

Record = Mapping[str, Any]
_LARGEST = 1e15  # sums and axes of larger numbers overflow, and none has a meaning here


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of metrics.jsonl; figures that are no finite number are left out."""

    number: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of samples.jsonl.

    Attributes:
        status: of the verdict ("correct", ...), or the funnel stage that a proposal failed; "task" for one
            that became a task.
        answer: the whole answer, prefill included. read: what was read from it, empty where nothing was.
        detail: why, in a few words.
    """

    step: int
    role: str
    kind: str
    task_id: str
    prompt: str
    answer: str
    status: str
    read: str
    detail: str
    tokens: int
    reward: float | None
    terms: Mapping[str, float]
    advantage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """One line of tasks.jsonl.

    Attributes:
        author: the policy that proposed it, `adapter@version`.
        verdicts: status -> attempts. solve_rate: None for a task that was never attempted.
    """

    step: int
    id: str
    kind: str
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str
    shape: str
    parents: tuple[str, ...]
    attempts: int
    solve_rate: float | None
    author: str = ""
    verdicts: Mapping[str, float] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What it is about: its program, or the question that it asks."""
        return self.program or self.message

    @property
    def hint(self) -> str:
        """What is said besides its program."""
        return self.message if self.program else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of events.jsonl. `time`: seconds since 1970."""

    name: str
    time: float
    step: int
    detail: Record

    @property
    def advice(self) -> str:
        """What to do about it; an event that has advice is an alarm."""
        return _text(self.detail.get("advice"))


def steps_of(records: Iterable[Record]) -> list[Step]:
    return [
        Step(
            number=whole(record["step"]),
            metrics={
                name: number
                for name, value in record.items()
                if name != "step" and (number := finite(value)) is not None
            },
        )
        for record in records
        if finite(record.get("step")) is not None
    ]


def samples_of(records: Iterable[Record]) -> list[Sample]:
    return [_sample(record) for record in records]


def tasks_of(records: Iterable[Record]) -> list[TaskRecord]:
    return [_task(record) for record in records if isinstance(record.get("id"), str)]


def events_of(records: Iterable[Record]) -> list[Event]:
    return [
        Event(
            name=_text(record.get("event")),
            time=finite(record.get("time")) or 0.0,
            step=whole(record.get("step")),
            detail={key: value for key, value in record.items() if key not in ("event", "time", "step")},
        )
        for record in records
    ]


def comparison_of(record: Record) -> Comparison | None:
    """The before/after table, None where it holds nothing that can be shown."""
    found = _rows(record.get("rows"))
    if not found:
        return None
    return Comparison(
        set_name=_text(record.get("set")),
        attempts=whole(record.get("attempts")),
        step=whole(record.get("step")),
        rows=found,
        others=_rows(record.get("others")),
        untrained=_rows(record.get("untrained")),
    )


def _rows(items: object) -> tuple[Row, ...]:
    return tuple(row for item in items if (row := _row(item))) if isinstance(items, list) else ()


def _row(item: object) -> Row | None:
    if not isinstance(item, Mapping):
        return None
    numbers = {name: finite(item.get(name)) for name in ("before", "after", "difference", "low", "high")}
    if any(number is None for number in numbers.values()):
        return None
    return Row(
        name=_text(item.get("name")),
        decoding=_text(item.get("decoding")),
        tasks=whole(item.get("tasks")),
        **{name: number or 0.0 for name, number in numbers.items()},
    )


def _sample(record: Record) -> Sample:
    verdict, rejection = _mapping(record.get("verdict")), _mapping(record.get("rejection"))
    return Sample(
        step=whole(record.get("step")),
        role=_text(record.get("role")),
        kind=_text(record.get("kind")),
        task_id=_text(record.get("task_id")),
        prompt=_text(record.get("prompt")),
        answer=_text(record.get("prefill")) + _text(record.get("completion")),
        status=_text(verdict.get("status")) or _text(rejection.get("stage")) or "task",
        read=_text(verdict.get("answer")),
        detail=_text(verdict.get("detail")) or _text(rejection.get("detail")),
        tokens=whole(record.get("tokens")),
        reward=finite(record.get("reward")),
        terms=_numbers(record.get("reward_terms")),
        advantage=finite(record.get("advantage")),
    )


def _task(record: Record) -> TaskRecord:
    return TaskRecord(
        step=whole(record.get("step")),
        id=_text(record.get("id")),
        kind=_text(record.get("kind")),
        program=_text(record.get("program")),
        inputs=_texts(record.get("inputs")),
        outputs=_texts(record.get("outputs")),
        message=_text(record.get("message")),
        shape=_text(record.get("shape")),
        parents=_texts(record.get("parents")),
        attempts=whole(record.get("attempts")),
        solve_rate=finite(record.get("solve_rate")),
        author=_text(record.get("author")),
        verdicts=_numbers(record.get("verdicts")),
    )


def finite(value: object) -> float | None:
    """A number that can be drawn, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) and abs(value) <= _LARGEST else None
    except OverflowError:
        return None


def whole(value: object) -> int:
    """A whole number, 0 where there is none."""
    return int(finite(value) or 0)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, value)) if isinstance(value, list | tuple) else ()


def _mapping(value: object) -> Record:
    return value if isinstance(value, Mapping) else {}


def _numbers(value: object) -> dict[str, float]:
    return {name: number for name, item in _mapping(value).items() if (number := finite(item)) is not None}
