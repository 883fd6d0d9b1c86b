"""The events of a run: everything besides its steps. A type for each event, and its line in events.jsonl.

Lines are untrusted: a value of the wrong type reads as 0 or "", and an unknown event is ignored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from tinyzero.run.lines import Record, finite, numbers, records, text, texts, whole
from tinyzero.types import Preparable


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A process began to train, after `step` steps; `changed`: differences from the environment before."""

    name: ClassVar = "start"
    step: int
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process has ended its part of the run; `reason` is a `StopReason`."""

    name: ClassVar = "end"
    step: int
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointed:
    """A checkpoint was written, which took `seconds`."""

    name: ClassVar = "checkpoint"
    step: int
    path: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDamaged:
    """A damaged checkpoint was skipped when the run was resumed."""

    name: ClassVar = "checkpoint_damaged"
    checkpoint: str
    damage: str
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """The probe begins to measure on `tasks` held-out tasks."""

    name: ClassVar = "measuring"
    step: int
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The probe has measured these metrics."""

    name: ClassVar = "measured"
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The model's greedy answers to a few held-out tasks, as records of the probe."""

    name: ClassVar = "answered"
    step: int
    answers: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """The game prepares for its next step: it has `done` of `total` tasks or questions."""

    name: ClassVar = "seeding"
    step: int
    what: Preparable
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The game has finished preparing, or was stopped while preparing."""

    name: ClassVar = "seeded"
    step: int
    what: Preparable
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A person paused the run, which gave `freed_gib` back to the card."""

    name: ClassVar = "paused"
    step: int
    freed_gib: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A paused run continues, or stops."""

    name: ClassVar = "resumed"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmBegan:
    """A figure of the run crossed the threshold of an alarm; `advice` says what to do."""

    step: int
    alarm: str
    value: float
    threshold: float
    advice: str

    @property
    def name(self) -> str:
        """The event's name on disk."""
        return self.alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmOver:
    """The alarm is over: the figure is within the threshold again."""

    name: ClassVar = "alarm_over"
    step: int
    alarm: str
    value: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Tasks of another run or a file, `source`, will join the pool or the questions."""

    name: ClassVar = "imported"
    step: int
    tasks: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reacted:
    """An alarm has acted, as `watch.react` says: `action` is a `Reaction`."""

    name: ClassVar = "reacted"
    step: int
    alarm: str
    action: str


Event = (
    Started
    | Ended
    | Checkpointed
    | CheckpointDamaged
    | Measuring
    | Measured
    | Answered
    | Preparing
    | Prepared
    | Paused
    | Resumed
    | AlarmBegan
    | AlarmOver
    | Imported
    | Reacted
)


def details_of(event: Event) -> dict[str, Any]:
    """The fields of an event's line besides its name and time."""
    match event:
        case Started(step=step, changed=changed):
            return {"step": step, "changed": changed} if changed else {"step": step}
        case CheckpointDamaged(checkpoint=checkpoint, damage=damage):
            return {"checkpoint": checkpoint, "damage": damage}
        case Measured(step=step, metrics=metrics):
            return {"step": step, **metrics}
        case Preparing(step=step, what=what, done=done, total=total):
            return {"step": step, "tasks": done, "wanted": total, "what": what}
        case Prepared(step=step, what=what, done=done):
            return {"step": step, "tasks": done, "what": what}
        case AlarmBegan():
            return {name: value for name, value in asdict(event).items() if name != "alarm"}
        case Paused(step=step, freed_gib=freed_gib):
            return {"step": step, "freed_gib": round(freed_gib, 2)} if freed_gib else {"step": step}
        case Imported(step=step, tasks=tasks, source=source):
            return {"step": step, "tasks": tasks, "from": source}
        case _:
            return asdict(event)


def events_of(records: Iterable[Record]) -> list[Event]:
    """The events of these lines; unknown events are ignored."""
    return [event for record in records if (event := _event(record)) is not None]


def start_times(records: Iterable[Record]) -> list[float]:
    """The times at which processes began to train, seconds since 1970."""
    return [finite(record.get("time")) or 0.0 for record in records if record.get("event") == Started.name]


def _event(record: Record) -> Event | None:
    name = text(record.get("event"))
    if name in _READERS:
        return _READERS[name](record)
    if advice := text(record.get("advice")):
        return AlarmBegan(
            step=_step(record),
            alarm=name,
            value=_number(record, "value"),
            threshold=_number(record, "threshold"),
            advice=advice,
        )
    return None


def _step(record: Record) -> int:
    return whole(record.get("step"))


def _number(record: Record, key: str) -> float:
    return finite(record.get(key)) or 0.0


def _what(record: Record) -> Preparable:
    return "questions" if record.get("what") == "questions" else "tasks"


def _measured(record: Record) -> Measured:
    return Measured(
        step=_step(record),
        metrics={name: value for name, value in numbers(record).items() if name not in ("step", "time")},
    )


_READERS: Final[Mapping[str, Callable[[Record], Event]]] = {
    Started.name: lambda record: Started(step=_step(record), changed=texts(record.get("changed"))),
    Ended.name: lambda record: Ended(
        step=_step(record), reason=text(record.get("reason")), seconds=_number(record, "seconds")
    ),
    Checkpointed.name: lambda record: Checkpointed(
        step=_step(record), path=text(record.get("path")), seconds=_number(record, "seconds")
    ),
    CheckpointDamaged.name: lambda record: CheckpointDamaged(
        checkpoint=text(record.get("checkpoint")), damage=text(record.get("damage"))
    ),
    Measuring.name: lambda record: Measuring(step=_step(record), tasks=whole(record.get("tasks"))),
    Measured.name: _measured,
    Answered.name: lambda record: Answered(step=_step(record), answers=records(record.get("answers"))),
    Preparing.name: lambda record: Preparing(
        step=_step(record),
        what=_what(record),
        done=whole(record.get("tasks")),
        total=whole(record.get("wanted")),
    ),
    Prepared.name: lambda record: Prepared(
        step=_step(record), what=_what(record), done=whole(record.get("tasks"))
    ),
    Paused.name: lambda record: Paused(step=_step(record), freed_gib=_number(record, "freed_gib")),
    Resumed.name: lambda record: Resumed(step=_step(record)),
    AlarmOver.name: lambda record: AlarmOver(
        step=_step(record),
        alarm=text(record.get("alarm")),
        value=_number(record, "value"),
        threshold=_number(record, "threshold"),
    ),
    Imported.name: lambda record: Imported(
        step=_step(record), tasks=whole(record.get("tasks")), source=text(record.get("from"))
    ),
    Reacted.name: lambda record: Reacted(
        step=_step(record), alarm=text(record.get("alarm")), action=text(record.get("action"))
    ),
}
