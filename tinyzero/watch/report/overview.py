"""The beginning of a report: what the runs came to, a table over them, and what tells them apart."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from tinyzero.watch import figures
from tinyzero.watch.figures import Chart
from tinyzero.watch.heldout import Gain, gain, verdict
from tinyzero.watch.report.curves import compared
from tinyzero.watch.report.html import charts, figure, section, table, words
from tinyzero.watch.state import RunState
from tinyzero.watch.view import duration

_HEAD = (
    "run",
    "model",
    "steps",
    "held-out before",
    "now",
    "difference",
    "95 % interval",
    "noise",
    "accuracy on own tasks",
    "valid",
    "time",
    "state",
)
_OWN_TO_EACH_RUN = ("run.output", "run.name")


def titled(state: RunState) -> str:
    """The run's name, and that it is a control."""
    return f"{state.name} (control: {state.control} rewards)" if state.control else state.name


def overview(states: Sequence[RunState]) -> str:
    """A sentence, and a row for each run."""
    gains = [gain(state) for state in states]
    rows = [_row(state, known) for state, known in zip(states, gains, strict=True)]
    if mean := _mean_row(gains):
        rows.append(mean)
    return f'<section><p class="verdict">{words(_sentence(gains))}</p>{table(_HEAD, rows)}</section>'


def _sentence(gains: Sequence[Gain | None]) -> str:
    """What one run, or several together, came to."""
    if len(gains) == 1:
        return verdict(gains[0])
    changed = _changed(gains)
    if not changed:
        return verdict(None)
    counts = {
        noise: sum(known.noise == noise for known in changed) for noise in ("above noise", "below noise")
    }
    unknown = len(gains) - len(changed)
    others = f"; {unknown} of {len(gains)} were not measured before and after" if unknown else ""
    worse = f", and fell below it in {counts['below noise']}" if counts["below noise"] else ""
    return (
        f"Held-out accuracy rose above noise in {counts['above noise']} of {len(changed)} runs{worse}: "
        f"{_mean_difference(changed)} on average, {_range(changed)}{others}."
    )


def _changed(gains: Sequence[Gain | None]) -> list[Gain]:
    return [known for known in gains if known is not None and known.step != known.since]


def _mean_difference(changed: Sequence[Gain]) -> str:
    return f"{fmean(known.difference for known in changed):+.3f}"


def _range(changed: Sequence[Gain]) -> str:
    differences = [known.difference for known in changed]
    return f"{min(differences):+.3f} to {max(differences):+.3f}"


def _row(state: RunState, known: Gain | None) -> tuple[object, ...]:
    preset = state.environment.get("preset", "")
    return (
        titled(state),
        f"{state.knob('model', 'base', '')}{f' ({preset})' if preset else ''}",
        f"{state.step}/{state.max_steps}",
        *_cells(known),
        figure(figures.of_late(state, "solver/accuracy")),
        figure(figures.of_late(state, "proposer/valid_share")),
        duration(figures.elapsed_s(state)),
        figures.phase_of_life(state),
    )


def _cells(known: Gain | None) -> tuple[str, ...]:
    """Before, now, difference, interval, noise."""
    if known is None:
        return "-", "-", "-", "", "not measured"
    if known.step == known.since:
        return figure(known.before), "-", "-", "", "measured once"
    interval = "" if known.low is None else f"{known.low:+.3f} to {known.high:+.3f}"
    return figure(known.before), figure(known.now), f"{known.difference:+.3f}", interval, known.noise


def _mean_row(gains: Sequence[Gain | None]) -> tuple[object, ...] | None:
    """The mean over several runs, with the lowest and the highest of them."""
    changed = _changed(gains)
    if len(changed) < 2:
        return None
    before, now = (fmean(values) for values in zip(*((one.before, one.now) for one in changed), strict=True))
    among = f"runs: {_range(changed)}"
    name = f"mean of {len(changed)}"
    return (name, "", "", figure(before), figure(now), _mean_difference(changed), among, "", "", "", "", "")


def side_by_side(states: Sequence[RunState]) -> Iterator[str]:
    """Settings that differ, and charts with a curve for each run; empty for a single run."""
    if len(states) < 2:
        return
    yield section("Settings that differ", _differing(states))
    of_runs = [(titled(state), chart) for state in states for chart in _overall(state)]
    keys = dict.fromkeys(chart.key for _, chart in of_runs)
    drawn = [compared([(name, chart) for name, chart in of_runs if chart.key == key]) for key in keys]
    yield section("Side by side", charts([chart for chart in drawn if chart is not None]))


def _differing(states: Sequence[RunState]) -> str:
    settings = [dict(_flat(state.config)) for state in states]
    keys = dict.fromkeys(key for each in settings for key in each if key not in _OWN_TO_EACH_RUN)
    rows = [
        (key, *(each.get(key, "-") for each in settings))
        for key in keys
        if len({each.get(key) for each in settings}) > 1
    ]
    return table(("setting", *(state.name for state in states)), rows) if rows else "<p>None.</p>"


def _flat(tree: Mapping[str, object], start: str = "") -> Iterator[tuple[str, str]]:
    """`section.key` and its value in words."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", "none" if value is None else str(value)


def _overall(state: RunState) -> Iterator[Chart]:
    """The few charts that compare runs, with one curve per run, from before the first step on."""
    for title, metric, bounds in (
        ("held-out accuracy", "heldout/mean/sampled", (0.0, 1.0)),
        ("solver accuracy", "solver/accuracy", (0.0, 1.0)),
        ("valid share", "proposer/valid_share", (0.0, 1.0)),
        ("proposer reward", "proposer/reward", None),
        ("solver reward", "solver/reward", None),
        ("seconds a step", "time/step_s", None),
    ):
        points = figures.points_of_run(state, metric)
        if points:
            yield Chart(
                key=metric,
                title=title,
                series=(figures.Series(name="", points=points, is_control=bool(state.control)),),
                bounds=bounds,
            )
