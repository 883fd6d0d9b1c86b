"""Two figures: what was learned over the steps, and what proposer and solver made of each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

COLORS = {
    "trained": "#1f77b4",
    "shuffled": "#999999",
    "own majority": "#2ca02c",
    "frozen proposer": "#e08214",
}
LEARNING = {
    "greedy": "held-out accuracy, greedy",
    "sampled": "held-out accuracy, sampled",
    "thinking_share": "held-out answers that reason",
    "answer_tokens": "tokens of a held-out answer",
}
COEVOLUTION = {
    "program_nodes": "syntax nodes of a proposed program",
    "thinking_tokens": "tokens of a thinking answer",
    "own_accuracy": "own tasks solved",
}
_WINDOW = 5
"""Steps that a point of the second figure is the mean of."""

Result = Mapping[str, Any]
Points = Sequence[tuple[float, float]]


def draw_learning(results: Sequence[Result], path: Path) -> None:
    """A panel per measure; a thin line per run, a thick one for the mean of an arm."""
    curves = {
        measure: [
            (
                result["arm"],
                [(point["step"], point[measure]) for point in result["curve"] if measure in point],
            )
            for result in results
        ]
        for measure in LEARNING
    }
    draw({title: curves[measure] for measure, title in LEARNING.items()}, path, columns=2)


def draw_coevolution(results: Sequence[Result], path: Path) -> None:
    curves = {
        name: [(result["arm"], in_windows(result["played"][name])) for result in results]
        for name in COEVOLUTION
    }
    ladder = [(result["arm"], of_ladder(result["ladder"])) for result in results if result["ladder"]]
    panels = {title: curves[name] for name, title in COEVOLUTION.items()}
    draw({**panels, "fixed ladder solved, 1 to 10 lines": ladder}, path, columns=2)


def of_ladder(rates: Mapping[int, Mapping[str, float]]) -> Points:
    """The mean over the lengths, which count alike."""
    return [(int(step), fmean(strata.values())) for step, strata in rates.items()]


def in_windows(values: Sequence[float | None]) -> Points:
    """Means of the values that are there, at the last step of each window."""
    windows = [(start, values[start : start + _WINDOW]) for start in range(0, len(values), _WINDOW)]
    known = [
        (start + len(window), [value for value in window if value is not None]) for start, window in windows
    ]
    return [(step, fmean(window)) for step, window in known if window]


def draw(panels: Mapping[str, Sequence[tuple[str, Points]]], path: Path, *, columns: int) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": path.stem, "font.size": 9})
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(8, 2.6 * rows), layout="constrained")
    for number, (title, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        for arm in dict.fromkeys(arm for arm, _ in curves):
            draw_arm(axes, arm, [points for name, points in curves if name == arm])
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("steps")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if figure.axes and figure.axes[0].lines:
        figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def draw_arm(axes: Any, arm: str, runs: Sequence[Points]) -> None:  # noqa: ANN401  matplotlib is not typed
    for points in runs:
        axes.plot(*zip(*points, strict=True), color=COLORS[arm], linewidth=0.6, alpha=0.4)
    steps = sorted({step for points in runs for step, _ in points})
    means = [fmean(value for points in runs for at, value in points if at == step) for step in steps]
    axes.plot(steps, means, color=COLORS[arm], linewidth=1.8, label=arm)
