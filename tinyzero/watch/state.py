"""The state of one run for the views, built from the records in its folder. Pure: no files, no screen."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tinyzero.evaluation.comparison import Comparison
from tinyzero.run.events import Ended, Event, Measured, Measuring, events_of, start_times
from tinyzero.run.lines import (
    Record,
    Sample,
    Step,
    TaskRecord,
    finite,
    is_rare,
    samples_of,
    steps_of,
    tasks_of,
    text,
    whole,
)
from tinyzero.run.records import stands_for_others

_KEPT_SAMPLES = 300
_KEPT_TASKS = 3000
"""Number of records that a live view keeps; a view of a complete run has no limit."""
_MOST_STEPS, _FIRST_STEPS, _NEWEST_STEPS = 12_000, 20, 1000
"""Beyond the first number, a live view keeps half of the steps between the first and the newest."""
_PER_KIND: Final = re.compile(r"solver/[^/]+/accuracy|proposer/[^/]+/proposed")
"""Metrics that name a kind of task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The current state of one run.

    Attributes:
        config, environment: contents of the files of these names.
        steps: in order; of the early steps of a long run, some that stand for all (see `Step.span`).
        samples, tasks, events: oldest first.
        has_all_tasks: whether `tasks` are all tasks of the run, and not only the newest.
        started_at: when the newest process began to train, seconds since 1970; None if none did.
        last_step_at: when the newest step was written, seconds since 1970; 0 without steps.
        measuring_since: when the newest measurement on held-out tasks began, seconds since 1970.
        measured_s: how long each measurement took, in order.
        is_running: whether a process on this machine trains the run.
    """

    name: str = ""
    path: str = ""
    config: Record = field(default_factory=dict)
    environment: Record = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    samples: tuple[Sample, ...] = ()
    tasks: Mapping[str, TaskRecord] = field(default_factory=dict)
    has_all_tasks: bool = True
    events: tuple[Event, ...] = ()
    comparison: Comparison | None = None
    started_at: float | None = None
    last_step_at: float = 0.0
    measuring_since: float = 0.0
    measured_s: tuple[float, ...] = ()
    is_running: bool = False

    @property
    def step(self) -> int:
        return self.steps[-1].number if self.steps else 0

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics of the newest step."""
        return self.steps[-1].metrics if self.steps else {}

    def knob(self, section: str, key: str, default: Any = None) -> Any:  # noqa: ANN401  a JSON value
        """A configuration value; the default if the file has none."""
        values = self.config.get(section)
        return values.get(key, default) if isinstance(values, Mapping) else default

    @property
    def has_votes(self) -> bool:
        """Whether answers are compared with their majority (R-Zero), and not with what is right."""
        return bool(self.knob("selfplay", "game") == "r-zero")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Task kinds: the configured kinds, then any other kind in the metrics; R-Zero has only one."""
        if self.has_votes:
            return ("question",)
        named = self.knob("selfplay", "kinds", ())
        configured = (
            [kind for kind in named if isinstance(kind, str)] if isinstance(named, list | tuple) else []
        )
        played = sorted(name.split("/")[1] for name in self.metrics if _PER_KIND.fullmatch(name))
        return tuple(dict.fromkeys([*configured, *played]))

    @property
    def control(self) -> str:
        """The kind of control that the run is; empty for a run with its own rewards."""
        kind = self.knob("rewards", "control", "none")
        return kind if isinstance(kind, str) and kind != "none" else ""

    @property
    def max_steps(self) -> int:
        return whole(self.knob("run", "max_steps", 0))

    def until(self, step: int) -> "RunState":
        """The state after `step` steps, for replays."""
        return replace(
            self,
            steps=tuple(item for item in self.steps if item.number <= step),
            samples=tuple(sample for sample in self.samples if sample.step <= step),
            events=tuple(
                event for event in self.events if event.step <= step and not isinstance(event, Ended)
            ),
            comparison=self.comparison if step >= self.step else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """New records of a run's logs."""

    metrics: Sequence[Record] = ()
    samples: Sequence[Record] = ()
    tasks: Sequence[Record] = ()
    events: Sequence[Record] = ()

    def __bool__(self) -> bool:
        return bool(self.metrics or self.samples or self.tasks or self.events)


def fold(state: RunState, news: News, *, keep_all: bool = False) -> RunState:
    """The state with the new records. Without `keep_all`, old samples and tasks, and some steps, go."""
    steps = _with_steps(state.steps, steps_of(news.metrics))
    samples = (*state.samples, *samples_of(news.samples if keep_all else news.samples[-_KEPT_SAMPLES:]))
    tasks = {**state.tasks, **{task.id: task for task in tasks_of(news.tasks)}} if news.tasks else state.tasks
    if not keep_all:
        steps = _halved(steps) if len(steps) > _MOST_STEPS else steps
        samples = samples[-_KEPT_SAMPLES:]
        tasks = dict(list(tasks.items())[-_KEPT_TASKS:]) if len(tasks) > 2 * _KEPT_TASKS else tasks
    since, seconds = _measuring_times(state, news.events)
    return replace(
        state,
        steps=steps,
        samples=samples,
        tasks=tasks,
        events=(*state.events, *events_of(news.events)),
        started_at=max(start_times(news.events), default=state.started_at),
        measuring_since=since,
        measured_s=seconds,
    )


def _measuring_times(state: RunState, events: Sequence[Record]) -> tuple[float, tuple[float, ...]]:
    """When the newest measurement began, and how long each took that came to its end."""
    since, seconds = state.measuring_since, list(state.measured_s)
    for record in events:
        name, at = text(record.get("event")), finite(record.get("time")) or 0.0
        if name == Measuring.name:
            since = at
        elif name == Measured.name and since:
            seconds.append(max(0.0, at - since))
    return since, tuple(seconds)


def _with_steps(steps: tuple[Step, ...], added: Sequence[Step]) -> tuple[Step, ...]:
    """All steps; added steps replace those of their numbers and later."""
    first = min((step.number for step in added), default=None)
    kept = steps if first is None else (step for step in steps if step.number < first)
    return (*kept, *added)


def _halved(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """One of every two steps between the first and the newest; steps with rare metrics are all kept."""
    kept, span = list(steps[:_FIRST_STEPS]), 0
    for place, step in enumerate(steps[_FIRST_STEPS:-_NEWEST_STEPS]):
        span += step.span
        if stands_for_others(place, 2) or is_rare(step.metrics):
            kept.append(replace(step, span=span))
            span = 0
    next_step, *others = steps[-_NEWEST_STEPS:]
    return (*kept, replace(next_step, span=next_step.span + span), *others)
