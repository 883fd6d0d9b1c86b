"""metrics.jsonl -> a PNG. matplotlib is an extra; without it a card simply has no picture."""

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyzero.runs.records import read

HOW_TO_GET = (
    "no curves in the card: they are drawn with matplotlib, which is not installed (pip install matplotlib)"
)
_PANELS: Mapping[str, Mapping[str, str]] = {
    "solved, share of attempts": {
        "solver/deduction/accuracy": "deduction",
        "solver/abduction/accuracy": "abduction",
        "solver/induction/accuracy": "induction",
        "solver/question/accuracy": "question (against the majority)",
        "heldout/mean/sampled": "held out",
    },
    "proposals that became tasks, share": {"proposer/valid_share": "valid"},
    "mean reward": {"proposer/reward": "proposer", "solver/reward": "solver"},
    "entropy, nats": {
        "learner/shared/entropy": "shared",
        "learner/proposer/entropy": "proposer",
        "learner/solver/entropy": "solver",
    },
}
Points = tuple[list[int], list[float]]


def can_draw() -> bool:
    return find_spec("matplotlib") is not None


def read_curves(metrics: Path) -> dict[str, dict[str, Points]]:
    """Panel -> line -> (steps, values); what was never measured is left out."""
    records = [record for record in read(metrics) if isinstance(record.get("step"), int)]
    curves = {
        panel: {label: _points(records, name) for name, label in lines.items()}
        for panel, lines in _PANELS.items()
    }
    return {
        panel: kept
        for panel, lines in curves.items()
        if (kept := {label: points for label, points in lines.items() if points[0]})
    }


def draw_curves(metrics: Path, target: Path) -> bool:
    """Draw what was measured into a PNG; False where there is nothing to draw. Needs matplotlib."""
    curves = read_curves(metrics)
    if not curves:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2 * math.ceil(len(curves) / 2)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (panel, lines) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(math.ceil(len(curves) / 2), 2, place)
        for label, (steps, values) in lines.items():
            axes.plot(steps, values, label=label, marker="." if len(steps) < 10 else "")
        axes.set(title=panel, xlabel="step")
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(target, dpi=100, metadata={"Software": None})  # the same bytes for the same run
    return True


def _points(records: Sequence[Mapping[str, Any]], name: str) -> Points:
    found = [(record["step"], float(record[name])) for record in records if _is_number(record.get(name))]
    return [step for step, _ in found], [value for _, value in found]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
