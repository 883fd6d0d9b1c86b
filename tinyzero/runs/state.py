"""One run as a view sees it, folded from the records in its folder. Pure; knows no files and no screen.

Records come from outside: whatever is not of the expected type is left out, and nothing here raises.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Record = Mapping[str, Any]

KEPT_SAMPLES = 300
KEPT_TASKS = 3000
"""What a live view looks back on; a view of the whole run reads without limits."""


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
    """One line of tasks.jsonl; `solve_rate` is None for a task that was never attempted."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """Before and after on one part of a held-out set; low, high: the 95 % interval of the difference."""

    name: str
    decoding: str
    tasks: int
    before: float
    after: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """evaluation.json: the base model against the trained one."""

    set_name: str
    attempts: int
    step: int
    rows: tuple[ComparisonRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One run as of now.

    Attributes:
        config, environment: as the files of these names have them.
        steps: in order, without gaps of our making. samples, tasks, events: oldest first.
        last_step_at: when the newest step was written, seconds since 1970; 0 where there is none.
        is_running: a process is training it on this machine.
    """

    name: str = ""
    path: str = ""
    config: Record = field(default_factory=dict)
    environment: Record = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    samples: tuple[Sample, ...] = ()
    tasks: Mapping[str, TaskRecord] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    comparison: Comparison | None = None
    last_step_at: float = 0.0
    is_running: bool = False

    @property
    def step(self) -> int:
        return self.steps[-1].number if self.steps else 0

    @property
    def metrics(self) -> Mapping[str, float]:
        """The newest step's."""
        return self.steps[-1].metrics if self.steps else {}

    def knob(self, section: str, key: str, default: Any = None) -> Any:  # noqa: ANN401  a JSON value
        """A configuration value; the default where the file has none."""
        values = self.config.get(section)
        return values.get(key, default) if isinstance(values, Mapping) else default

    @property
    def kinds(self) -> tuple[str, ...]:
        """Task kinds: those that were asked for, then any other that was played."""
        named = self.knob("selfplay", "kinds", ())
        asked = [kind for kind in named if isinstance(kind, str)] if isinstance(named, list | tuple) else []
        played = sorted(
            name.split("/")[1]
            for name in self.metrics
            if name.endswith(("/accuracy", "/proposed")) and name.count("/") == 2
        )
        return tuple(dict.fromkeys([*asked, *played]))

    @property
    def max_steps(self) -> int:
        return _whole(self.knob("run", "max_steps", 0))

    def until(self, step: int) -> "RunState":
        """The run as it was after `step` steps; a replay shows these one after another."""
        return replace(
            self,
            steps=tuple(item for item in self.steps if item.number <= step),
            samples=tuple(sample for sample in self.samples if sample.step <= step),
            events=tuple(event for event in self.events if event.step <= step and event.name != "end"),
            comparison=self.comparison if step >= self.step else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Records that were added to a run's logs."""

    metrics: Sequence[Record] = ()
    samples: Sequence[Record] = ()
    tasks: Sequence[Record] = ()
    events: Sequence[Record] = ()

    def __bool__(self) -> bool:
        return bool(self.metrics or self.samples or self.tasks or self.events)


def fold(state: RunState, news: News, *, keep_all: bool = False) -> RunState:
    """The state after the news; without `keep_all`, old samples and tasks are forgotten."""
    first = min((step.number for step in steps_of(news.metrics)), default=None)
    kept = state.steps if first is None else tuple(step for step in state.steps if step.number < first)
    samples = (*state.samples, *samples_of(news.samples))
    tasks = {**state.tasks, **{task.id: task for task in tasks_of(news.tasks)}} if news.tasks else state.tasks
    if not keep_all:
        samples = samples[-KEPT_SAMPLES:]
        tasks = dict(list(tasks.items())[-KEPT_TASKS:]) if len(tasks) > 2 * KEPT_TASKS else tasks
    return replace(
        state,
        steps=(*kept, *steps_of(news.metrics)),
        samples=samples,
        tasks=tasks,
        events=(*state.events, *events_of(news.events)),
    )


def steps_of(records: Iterable[Record]) -> list[Step]:
    return [
        Step(
            number=_whole(record["step"]),
            metrics={
                name: number
                for name, value in record.items()
                if name != "step" and (number := _number(value)) is not None
            },
        )
        for record in records
        if _number(record.get("step")) is not None
    ]


def samples_of(records: Iterable[Record]) -> list[Sample]:
    return [_sample(record) for record in records]


def tasks_of(records: Iterable[Record]) -> list[TaskRecord]:
    return [_task(record) for record in records if isinstance(record.get("id"), str)]


def events_of(records: Iterable[Record]) -> list[Event]:
    return [
        Event(
            name=_text(record.get("event")),
            time=_number(record.get("time")) or 0.0,
            step=_whole(record.get("step")),
            detail={key: value for key, value in record.items() if key not in ("event", "time", "step")},
        )
        for record in records
    ]


def comparison_of(record: Record) -> Comparison | None:
    """The before/after table, None where it holds nothing that can be shown."""
    rows = record.get("rows")
    found = [row for item in rows if (row := _row(item))] if isinstance(rows, list) else []
    if not found:
        return None
    return Comparison(
        set_name=_text(record.get("set")),
        attempts=_whole(record.get("attempts")),
        step=_whole(record.get("step")),
        rows=tuple(found),
    )


def _row(item: object) -> ComparisonRow | None:
    if not isinstance(item, Mapping):
        return None
    numbers = {name: _number(item.get(name)) for name in ("before", "after", "difference", "low", "high")}
    if any(number is None for number in numbers.values()):
        return None
    return ComparisonRow(
        name=_text(item.get("name")),
        decoding=_text(item.get("decoding")),
        tasks=_whole(item.get("tasks")),
        **{name: number or 0.0 for name, number in numbers.items()},
    )


def _sample(record: Record) -> Sample:
    verdict, rejection = _mapping(record.get("verdict")), _mapping(record.get("rejection"))
    return Sample(
        step=_whole(record.get("step")),
        role=_text(record.get("role")),
        kind=_text(record.get("kind")),
        task_id=_text(record.get("task_id")),
        prompt=_text(record.get("prompt")),
        answer=_text(record.get("prefill")) + _text(record.get("completion")),
        status=_text(verdict.get("status")) or _text(rejection.get("stage")) or "task",
        read=_text(verdict.get("answer")),
        detail=_text(verdict.get("detail")) or _text(rejection.get("detail")),
        tokens=_whole(record.get("tokens")),
        reward=_number(record.get("reward")),
        terms=_numbers(record.get("reward_terms")),
        advantage=_number(record.get("advantage")),
    )


def _task(record: Record) -> TaskRecord:
    return TaskRecord(
        step=_whole(record.get("step")),
        id=_text(record.get("id")),
        kind=_text(record.get("kind")),
        program=_text(record.get("program")),
        inputs=_texts(record.get("inputs")),
        outputs=_texts(record.get("outputs")),
        message=_text(record.get("message")),
        shape=_text(record.get("shape")),
        parents=_texts(record.get("parents")),
        attempts=_whole(record.get("attempts")),
        solve_rate=_number(record.get("solve_rate")),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _whole(value: object) -> int:
    return int(_number(value) or 0)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, value)) if isinstance(value, list | tuple) else ()


def _mapping(value: object) -> Record:
    return value if isinstance(value, Mapping) else {}


def _numbers(value: object) -> dict[str, float]:
    return {name: number for name, item in _mapping(value).items() if (number := _number(item)) is not None}
