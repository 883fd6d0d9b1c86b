"""The lines of a run's logs as dataclasses. Pure: opens no files.

Lines are untrusted: a value of the wrong type is ignored, and nothing here raises.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from sys import intern
from typing import Any

from tinyzero.evaluation.comparison import Comparison, Row

Record = Mapping[str, Any]
_LARGEST = 1e15  # sums and axes of larger numbers overflow, and no metric needs them
SPAN = "span"
"""Added to the record of a step where earlier steps were left out; see `Step.span`."""
RARE = ("heldout/", "time/prepare_s")
"""How the names of metrics begin that only a few steps have. Such steps are never left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of metrics.jsonl; values that are not finite numbers are ignored.

    Attributes:
        span: for how many steps it stands: itself, and the steps before it that were left out.
    """

    number: int
    metrics: Mapping[str, float]
    span: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of samples.jsonl.

    Attributes:
        status: status of the verdict ("correct", ...), or the funnel stage that a proposal failed; "task" if
            it became a task.
        prefill: the beginning of the answer, from the prompt. answer: the complete answer with prefill.
        read: the text parsed from the answer; empty if nothing was.
        detail: the reason in a few words.
    """

    step: int
    role: str
    kind: str
    task_id: str
    prompt: str
    prefill: str
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
        author: the policy that proposed the task, `adapter@version`.
        verdicts: status -> number of attempts. solve_rate: None for a task without attempts.
        truth: of a question about a program, what the program returned; None where that is not known.
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
    truth: str | None = None

    @property
    def subject(self) -> str:
        """The task's program, or its question."""
        return self.program or self.message

    @property
    def hint(self) -> str:
        """The task's message besides its program."""
        return self.message if self.program else ""


def steps_of(records: Iterable[Record]) -> list[Step]:
    return [
        Step(
            number=whole(record["step"]),
            metrics={
                intern(name): number
                for name, value in record.items()
                if name not in ("step", SPAN) and (number := finite(value)) is not None
            },
            span=max(1, whole(record.get(SPAN))),
        )
        for record in records
        if finite(record.get("step")) is not None
    ]


def is_rare(metrics: Iterable[str]) -> bool:
    """Whether one of these metrics is one that only a few steps have."""
    return any(name.startswith(RARE) for name in metrics)


def samples_of(records: Iterable[Record]) -> list[Sample]:
    return [_sample(record) for record in records]


def tasks_of(records: Iterable[Record]) -> list[TaskRecord]:
    return [_task(record) for record in records if isinstance(record.get("id"), str)]


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """The content of evaluation.json."""
    return {
        "set": comparison.set_name,
        "attempts": comparison.attempts,
        "step": comparison.step,
        "rows": [asdict(row) for row in comparison.rows],
        "others": [asdict(row) for row in comparison.others],
        "untrained": [asdict(row) for row in comparison.untrained],
    }


def comparison_of(record: Record) -> Comparison | None:
    """The before/after table; None if the record has no row to show."""
    rows = _rows(record.get("rows"))
    if not rows:
        return None
    return Comparison(
        set_name=text(record.get("set")),
        attempts=whole(record.get("attempts")),
        step=whole(record.get("step")),
        rows=rows,
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
        name=text(item.get("name")),
        decoding=text(item.get("decoding")),
        tasks=whole(item.get("tasks")),
        **{name: number or 0.0 for name, number in numbers.items()},
    )


def _sample(record: Record) -> Sample:
    verdict, rejection = _mapping(record.get("verdict")), _mapping(record.get("rejection"))
    return Sample(
        step=whole(record.get("step")),
        role=text(record.get("role")),
        kind=text(record.get("kind")),
        task_id=text(record.get("task_id")),
        prompt=text(record.get("prompt")),
        prefill=text(record.get("prefill")),
        answer=text(record.get("prefill")) + text(record.get("completion")),
        status=text(verdict.get("status")) or text(rejection.get("stage")) or "task",
        read=text(verdict.get("answer")),
        detail=text(verdict.get("detail")) or text(rejection.get("detail")),
        tokens=whole(record.get("tokens")),
        reward=finite(record.get("reward")),
        terms=numbers(record.get("reward_terms")),
        advantage=finite(record.get("advantage")),
    )


def _task(record: Record) -> TaskRecord:
    return TaskRecord(
        step=whole(record.get("step")),
        id=text(record.get("id")),
        kind=text(record.get("kind")),
        program=text(record.get("program")),
        inputs=texts(record.get("inputs")),
        outputs=texts(record.get("outputs")),
        message=text(record.get("message")),
        shape=text(record.get("shape")),
        parents=texts(record.get("parents")),
        attempts=whole(record.get("attempts")),
        solve_rate=finite(record.get("solve_rate")),
        author=text(record.get("author")),
        verdicts=numbers(record.get("verdicts")),
        truth=truth if isinstance(truth := record.get("truth"), str) else None,
    )


def finite(value: object) -> float | None:
    """A finite number that can be drawn; None for anything else."""
    if type(value) is float:  # most values, and a long run has millions of them
        return value if -_LARGEST <= value <= _LARGEST else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) and abs(value) <= _LARGEST else None
    except OverflowError:
        return None


def whole(value: object) -> int:
    """The value as an integer; 0 if it is not a number."""
    if type(value) is int:  # the quick way for most values, and the same result
        return value if -_LARGEST <= value <= _LARGEST else 0
    return int(finite(value) or 0)


def text(value: object) -> str:
    """The value if it is a text, with `?` for half a character, which nobody could write down again."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def texts(value: object) -> tuple[str, ...]:
    return tuple(map(text, value)) if isinstance(value, list | tuple) else ()


def records(value: object) -> tuple[Record, ...]:
    return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()


def _mapping(value: object) -> Record:
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def numbers(value: object) -> dict[str, float]:
    pairs = ((text(name), finite(item)) for name, item in _mapping(value).items())
    return {name: number for name, number in pairs if number is not None}
