"""Held-out accuracy before and now, whether the difference is above noise, and a sentence about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyzero.evaluation.comparison import Comparison
from tinyzero.run.events import Measured
from tinyzero.watch import figures
from tinyzero.watch.state import RunState

_ACCURACY, _GAIN_LOW = "heldout/mean/sampled", "heldout/mean/gain_low"
_SMALL = 0.02  # a smaller change of the accuracy on own tasks is not worth a sentence

Noise = Literal["above noise", "within noise", "below noise", "no interval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Accuracy on held-out tasks after `since` steps, the first measurement, and after `step`, the newest.

    Attributes:
        low, high: 95 % interval of the difference, paired by task; None if the run recorded none.
    """

    before: float
    now: float
    step: int
    since: int = 0
    low: float | None = None
    high: float | None = None

    @property
    def difference(self) -> float:
        return self.now - self.before

    @property
    def noise(self) -> Noise:
        """The only rule in all views: above or below noise if the interval does not contain zero."""
        if self.low is None or self.high is None:
            return "no interval"
        if self.low > 0:
            return "above noise"
        return "below noise" if self.high < 0 else "within noise"


def gain(state: RunState) -> Gain | None:
    """The newest measurement beside the first; None where nothing was measured."""
    measured = measurements(state)
    table = gain_of(state.comparison)
    if table is not None and table.step >= max(measured, default=0):
        return table
    if not measured:
        return None
    first, last = _first(measured), max(measured)
    return gain_between(measured[first], measured[last], since=first, step=last)


def gain_between(
    first: Mapping[str, float], newest: Mapping[str, float], *, since: int = 0, step: int
) -> Gain:
    """From the metrics of two measurements, which record only the lower end of the interval.

    The interval of a mean over hundreds of tasks is symmetric, but for the last digit.
    """
    before, now, low = first[_ACCURACY], newest[_ACCURACY], newest.get(_GAIN_LOW)
    high = None if low is None else 2 * (now - before) - low
    return Gain(before=before, now=now, step=step, since=since, low=low, high=high)


def gain_of(comparison: Comparison | None) -> Gain | None:
    """From the table at the end of a run; None without a table."""
    if comparison is None or not comparison.rows:
        return None
    decodings = {row.decoding for row in comparison.rows}
    row = comparison.overall("sampled" if "sampled" in decodings else comparison.rows[0].decoding)
    return Gain(before=row.before, now=row.after, step=comparison.step, low=row.low, high=row.high)


def measurements(state: RunState) -> dict[int, Mapping[str, float]]:
    """Step -> metrics, in step order. Those before the first step and after the last are only events."""
    measured = {
        event.step: event.metrics
        for event in figures.that_held(state.events)
        if isinstance(event, Measured) and _ACCURACY in event.metrics
    }
    measured |= {step.number: step.metrics for step in state.steps if _ACCURACY in step.metrics}
    return dict(sorted(measured.items()))


def _first(measured: Mapping[int, Mapping[str, float]]) -> int:
    """The step that later ones are compared with: a run whose held-out tasks change is measured anew."""
    first, has_interval = min(measured), False
    for step, metrics in measured.items():
        if has_interval and _GAIN_LOW not in metrics:
            first = step
        has_interval = has_interval or _GAIN_LOW in metrics
    return first


def verdict(known: Gain | None) -> str:
    """What a run has come to, with its figures, in a sentence."""
    if known is None or known.step == known.since:
        return (
            "Not measured on held-out tasks before and after, so nothing says whether it learned; "
            "tinyzero eval can measure it."
        )
    interval = "" if known.low is None else f", 95 % {known.low:+.3f} to {known.high:+.3f}"
    return (
        f"{_VERDICTS[known.noise]}: held-out accuracy {known.before:.3f} before, {known.now:.3f} after "
        f"{known.step} steps ({known.difference:+.3f}{interval})."
    )


_VERDICTS: Mapping[Noise, str] = {
    "above noise": "Learned: better at tasks that it never saw, above noise",
    "within noise": "No gain above noise at tasks that it never saw",
    "below noise": "Worse at tasks that it never saw, beyond noise",
    "no interval": "The run has no interval that says whether this is noise",
}


def coach(state: RunState) -> list[str]:
    """What to think of a run so far, in plain words: the same in several lengths, longest first."""
    known = gain(state)
    if known is None or known.step == known.since:
        return [*_before_a_gain(state, known)]
    short, long = _SAYINGS[known.noise]
    if figures.phase_of_life(state) == "finished":
        short, long = (text.replace("Learning", "Learned").replace(" so far", "") for text in (short, long))
    own = _about_its_own_tasks(state, known)
    return [*([f"{long} {own}"] if own else []), long, short]


_SAYINGS: Mapping[Noise, tuple[str, str]] = {
    "above noise": (
        "Learning: better at unseen tasks.",
        "Learning: better at tasks it never saw, above noise.",
    ),
    "within noise": (
        "No gain above noise so far.",
        "No gain above noise so far at tasks it never saw.",
    ),
    "below noise": (
        "Worse at unseen tasks, beyond noise.",
        "Worse at tasks it never saw, beyond noise.",
    ),
    "no interval": (
        "No interval: noise is unknown.",
        "This run recorded no interval, so nothing says whether the difference is noise.",
    ),
}


def _about_its_own_tasks(state: RunState, known: Gain) -> str:
    """Why accuracy on its own tasks may move the other way: the proposer decides how hard they are."""
    change = figures.change(state, "solver/accuracy")
    if change is None or abs(change) < _SMALL or known.noise == "no interval":
        return ""
    if known.noise == "above noise":
        harder = "Its own tasks get harder, so accuracy on them falls."
        return harder if change < 0 else "Accuracy on its own tasks rises, too."
    easier = "Accuracy on its own tasks rises, which proves nothing: they may get easier."
    return easier if change > 0 else "Accuracy on its own tasks falls, too."


def _before_a_gain(state: RunState, known: Gain | None) -> list[str]:
    """Where there is nothing to compare yet."""
    if state.knob("evaluation", "heldout") == "none":
        nothing = "so nothing says whether it learns."
        return [f'Not measured: evaluation.heldout is "none", {nothing}', "Not measured: no held-out tasks."]
    if not state.is_running:
        return ["Not measured twice, so nothing says whether it learned.", "Not measured twice."]
    if known is None:
        return ["Nothing was measured on held-out tasks yet.", "Nothing was measured yet."]
    when = f"step {_next_step(state)}"
    return [f"Held-out accuracy has one value so far; the next comes at {when}.", f"Measured next at {when}."]


def _next_step(state: RunState) -> int:
    every = state.knob("evaluation", "every_steps")
    if not isinstance(every, int) or every <= 0:
        return state.max_steps
    return min((state.step // every + 1) * every, state.max_steps)
