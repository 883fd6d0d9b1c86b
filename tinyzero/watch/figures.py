"""The figures of all views, computed from a run's state: curves, funnel, phases, speed, time left. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from statistics import fmean, median
from typing import Final

from tinyzero.run.events import (
    AlarmBegan,
    AlarmOver,
    Ended,
    Event,
    Measured,
    Measuring,
    Paused,
    Prepared,
    Preparing,
    Resumed,
    Started,
)
from tinyzero.run.lines import Step, is_rare
from tinyzero.watch.state import RunState

_FUNNEL: Final = ("proposed", "parsed", "allowed", "ran", "deterministic", "nontrivial", "new")
"""Stages of a proposal, in order, as in the metrics."""
_PHASES: Final = ("propose", "verify", "solve", "judge", "learn")
_RECENT = 10
"""Number of last steps that a recent figure is the mean of."""


Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve: (step, value) in step order. A mean of several steps is placed between them.

    Attributes:
        is_control: whether it is of a control run, and drawn in grey.
    """

    name: str
    points: tuple[Point, ...]
    is_control: bool = False

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves that share an axis.

    Attributes:
        bounds: limits of the axis if known; None to take them from the data.
        spacing: steps from one point to the next; more than 1 if steps of a long run were left out.
    """

    key: str
    title: str
    series: tuple[Series, ...]
    bounds: tuple[float, float] | None = None
    spacing: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """One alarm from its start to its end.

    Attributes:
        over_at: the step at which the alarm was over or was raised again; None while it is on.
    """

    begin: AlarmBegan
    over_at: int | None = None


_TURNS = (Started, Ended, Paused, Resumed, Measuring, Measured, Preparing, Prepared)
"""Events after which the run changes its activity."""


def charts(state: RunState, most: int | None = None) -> list[Chart]:
    """The first `most` charts that have data, most important first."""
    with_data = (chart for chart in _all_charts(state) if chart.series)
    return list(islice(with_data, most))


def _all_charts(state: RunState) -> Iterator[Chart]:
    kinds = state.kinds
    title = "agreement with the majority" if state.has_votes else "solver accuracy"
    accuracy = _chart(state, "accuracy", title, _per_kind(kinds, "solver/{}/accuracy"), (0, 1))
    heldout = _chart(state, "heldout", "held-out accuracy", _heldout(state), (0, 1))
    is_curve = any(len(curve.points) > 1 for curve in heldout.series)
    yield from (heldout, accuracy) if is_curve else (accuracy, heldout)
    yield _chart(state, "proposer", "proposer reward", _per_kind(kinds, "proposer/{}/reward"), None)
    yield _chart(state, "solver", "solver reward", _per_kind(kinds, "solver/{}/reward"), None)
    yield _chart(state, "valid", "shares", _SHARES, (0, 1))
    yield _chart(state, "entropy", "policy entropy (nats a token)", _learner(state, "entropy"), None)
    yield _chart(state, "length", "tokens a completion", _LENGTHS, None)
    yield _chart(state, "seconds", "seconds a step", {phase: f"time/{phase}_s" for phase in _PHASES}, None)
    yield _chart(state, "gradient", "gradient norm", _learner(state, "grad_norm"), None)


_LENGTHS = {"proposer": "length/proposer", "solver": "length/solver"}
_SHARES = {
    "valid": "proposer/valid_share",
    "mixed": "solver/mixed_share",
    "malformed": "solver/malformed_share",
    "cut off": "truncated/solver",
}


def _chart(
    state: RunState, key: str, title: str, metrics: Mapping[str, str], bounds: tuple[float, float] | None
) -> Chart:
    series = (
        Series(name=name, points=points_of_run(state, metric), is_control=bool(state.control))
        for name, metric in metrics.items()
    )
    return Chart(
        key=key,
        title=title,
        series=tuple(curve for curve in series if curve.points),
        bounds=bounds,
        spacing=1 if is_rare(metrics.values()) else _spacing(state.steps),
    )


def _points_of(steps: Sequence[Step], metric: str) -> tuple[Point, ...]:
    """A metric over the steps. If early steps were left out, later ones are averaged to the same spacing."""
    points = tuple((step.number, step.metrics[metric]) for step in steps if metric in step.metrics)
    spacing = 1 if is_rare([metric]) else _spacing(steps)
    if spacing == 1:
        return points
    last_thin = max(step.number for step in steps if step.span > 1)
    dense = [point for point in points if point[0] > last_thin]
    return (*points[: len(points) - len(dense)], *smoothed(dense, -(-len(dense) // spacing)))


def _spacing(steps: Sequence[Step]) -> int:
    """Mean number of steps from one kept step to the next, where steps were left out; 1 if none were."""
    thin = [step.number for step in steps if step.span > 1]
    if not thin:
        return 1
    kept = [step.span for step in steps if step.number <= thin[-1]]
    return max(1, round(sum(kept) / len(kept)))


def points_of_run(state: RunState, metric: str) -> tuple[Point, ...]:
    """A metric over a run. Measurements before its first step and after its last are only in the events."""
    points = _points_of(state.steps, metric)
    if not is_rare([metric]):
        return points
    measured: dict[float, float] = {
        event.step: event.metrics[metric]
        for event in that_held(state.events)
        if isinstance(event, Measured) and metric in event.metrics
    }
    return tuple(sorted({**measured, **dict(points)}.items()))


def _per_kind(kinds: Sequence[str], pattern: str) -> dict[str, str]:
    return {kind: pattern.format(kind) for kind in kinds}


def _heldout(state: RunState) -> dict[str, str]:
    """Sampled accuracy by kind, and the means. They are measured on some steps only."""
    kinds = {kind: f"heldout/{kind}/sampled" for kind in state.kinds}
    return {**kinds, "mean": "heldout/mean/sampled", "greedy mean": "heldout/mean/greedy"}


def _learner(state: RunState, figure: str) -> dict[str, str]:
    """A figure of every trained adapter: learner/<adapter>/<figure>."""
    return {
        name.split("/")[1]: name
        for name in state.metrics
        if name.startswith("learner/") and name.endswith(f"/{figure}") and name.count("/") == 2
    }


def smoothed(points: Sequence[Point], buckets: int) -> list[Point]:
    """At most `buckets` points: means of neighbouring points, so that a longer run shows less noise."""
    if len(points) <= buckets:
        return [(float(step), value) for step, value in points]
    size = len(points) / buckets
    groups = (points[round(i * size) : round((i + 1) * size)] for i in range(buckets))
    return [(fmean([s for s, _ in group]), fmean([v for _, v in group])) for group in groups if group]


def trailing_means(points: Sequence[Point], window: int) -> list[Point]:
    """Each value as the mean of itself and up to `window` - 1 values before it."""
    sums = [0.0, *accumulate(value for _, value in points)]
    firsts = (max(0, at - window + 1) for at in range(len(points)))
    return [
        (step, (sums[at + 1] - sums[first]) / (at + 1 - first))
        for at, ((step, _), first) in enumerate(zip(points, firsts, strict=True))
    ]


def funnel(state: RunState, kind: str | None = None) -> dict[str, float]:
    """Number of proposals that passed each stage: means over the last steps with proposals.

    Without `kind`, the sum over all kinds. Stages that no step has are not part of the game, so are omitted.
    """
    names = state.kinds if kind is None else (kind,)
    metrics = {stage: [f"proposer/{name}/{stage}" for name in names] for stage in _FUNNEL}
    steps = [
        step for step in state.steps[-_RECENT:] if any(name in step.metrics for name in metrics["proposed"])
    ]
    played = [
        stage for stage in _FUNNEL if any(name in step.metrics for step in steps for name in metrics[stage])
    ]
    return {
        stage: fmean(sum(step.metrics.get(name, 0.0) for name in metrics[stage]) for step in steps)
        for stage in played
    } or dict.fromkeys(_FUNNEL, 0.0)


def phase_seconds(state: RunState) -> dict[str, float]:
    """Seconds of each phase of a step: means over the last steps. Time outside all phases is `other`."""
    steps = state.steps[-_RECENT:]
    seconds = {phase: _mean_of(steps, f"time/{phase}_s") for phase in _PHASES}
    other = step_seconds(state) - sum(seconds.values())
    return {**seconds, "other": other} if other > 0.05 * step_seconds(state) else seconds


def step_seconds(state: RunState) -> float:
    return _mean_of(state.steps[-_RECENT:], "time/step_s")


def tokens_per_s(state: RunState) -> float | None:
    """Sampled tokens per second of sampling, over the last steps."""
    steps = state.steps[-_RECENT:]
    tokens = sum(_mean_of(steps, f"tokens/{name}") for name in ("proposer", "solver", "replay"))
    seconds = _mean_of(steps, "time/propose_s") + _mean_of(steps, "time/solve_s")
    return tokens / seconds if tokens > 0 and seconds > 0 else None


def of_late(state: RunState, metric: str) -> float | None:
    """A metric's mean over the last steps."""
    values = [step.metrics[metric] for step in state.steps[-_RECENT:] if metric in step.metrics]
    return fmean(values) if values else None


def change(state: RunState, metric: str) -> float | None:
    """Mean of the last steps minus mean of the first steps; None while they overlap."""
    values = [step.metrics[metric] for step in state.steps if metric in step.metrics]
    count = min(_RECENT, len(values) // 2)
    return fmean(values[-count:]) - fmean(values[:count]) if count >= 3 else None


def elapsed_s(state: RunState) -> float:
    """Seconds spent on steps, their preparation and measurements, over all resumes."""
    return _seconds_of_steps(state) + sum(state.measured_s)


def _seconds_of_steps(state: RunState) -> float:
    return sum(
        step.metrics.get("time/step_s", 0.0) * step.span + step.metrics.get("time/prepare_s", 0.0)
        for step in state.steps
    )


def left_s(state: RunState) -> float | None:
    """Seconds until the last step, at the recent speed; None if unknown."""
    recent = [step.metrics["time/step_s"] for step in state.steps[-_RECENT:] if "time/step_s" in step.metrics]
    if not recent or state.max_steps <= 0:
        return None
    takes_turns = any("time/prepare_s" in step.metrics for step in state.steps[1:])
    num_steps = sum(step.span for step in state.steps)
    a_step = _seconds_of_steps(state) / num_steps if takes_turns else median(recent)
    step_seconds_left = max(0, state.max_steps - state.step) * a_step
    minutes = _minutes_left_s(state)
    return step_seconds_left if minutes is None else min(step_seconds_left, minutes)


def _minutes_left_s(state: RunState) -> float | None:
    """Seconds until `run.max_minutes` are over, as of the newest step; None without such a limit."""
    minutes = state.knob("run", "max_minutes")
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or state.started_at is None:
        return None
    return max(0.0, minutes * 60 - max(0.0, state.last_step_at - state.started_at))


def best(state: RunState, metric: str, choose: Callable[[Iterable[float]], float] = max) -> float | None:
    values = [step.metrics[metric] for step in state.steps if metric in step.metrics]
    return choose(values) if values else None


def best_heldout(state: RunState) -> float | None:
    return best(state, "heldout/mean/sampled")


def alarms(state: RunState) -> list[AlarmBegan]:
    """The current alarms, newest first: alarms that are not over and were not switched off."""
    on = [spell.begin for spell in alarm_spells(state) if spell.over_at is None]
    watched = [event for event in on if event.alarm not in state.knob("watch", "silent", default=())]
    return sorted(watched, key=lambda event: event.step, reverse=True)


def alarm_spells(state: RunState) -> list[Spell]:
    """Every alarm of the run, in order."""
    spells: list[Spell] = []
    on: dict[str, int] = {}  # alarm -> its place among the spells
    for event in that_held(state.events):
        if isinstance(event, AlarmBegan | AlarmOver) and event.alarm in on:
            place = on.pop(event.alarm)
            spells[place] = replace(spells[place], over_at=event.step)
        if isinstance(event, AlarmBegan):
            on[event.alarm] = len(spells)
            spells.append(Spell(begin=event))
    return spells


def that_held(events: Sequence[Event]) -> list[Event]:
    """Events without those of lost steps: steps of a killed process that were repeated after a resume."""
    held, resumed_at = list[Event](), math.inf
    for event in reversed(events):
        if event.step <= resumed_at:
            held.append(event)
        if isinstance(event, Started):
            resumed_at = min(resumed_at, event.step)
    return held[::-1]


def phase_of_life(state: RunState) -> str:
    """The run's activity: loading, seeding, training, measuring, paused; or how it ended."""
    last = _last_turn(state)
    if isinstance(last, Ended):
        return "finished" if state.step >= state.max_steps > 0 else "stopped"
    if not state.is_running:
        return "interrupted" if last else "never started"
    if isinstance(last, Paused | Measuring | Preparing):
        return last.name
    return "training" if last else "loading"


def waiting_in_words(state: RunState) -> str:
    """What a run does between steps; empty while it plays steps or is paused."""
    last = _last_turn(state) if state.is_running else None
    if isinstance(last, Measuring):
        return f"measuring on {last.tasks} held-out tasks, as of step {last.step}"
    return preparing_in_words(last) if isinstance(last, Preparing) else ""


def preparing_in_words(event: Preparing) -> str:
    counts = f"{event.done} of {event.total}"
    return (
        f"writing questions: {counts}" if event.what == "questions" else f"filling the pool: {counts} tasks"
    )


def _last_turn(state: RunState) -> Event | None:
    return next((event for event in reversed(state.events) if isinstance(event, _TURNS)), None)


def _mean_of(steps: Sequence[Step], metric: str) -> float:
    """Mean of an amount over steps. A step without the metric counts as 0."""
    return fmean(step.metrics.get(metric, 0.0) for step in steps) if steps else 0.0
