"""From finished runs to the table, the JSON of all figures, and the picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tinyzero.run.folder import RunFolder, runs_in
from tinyzero.run.records import read

DOCS = Path(__file__).parents[2] / "docs"
LAST_STEPS = 20
COLORS = {"trained": "#1f77b4", "shuffled": "#999999", "frozen proposer": "#e08214"}
DECODINGS = ("sampled", "greedy")


def write_report(output: Path, arms: Sequence[str]) -> str:
    """Write docs/measurements/nano-learning.json and docs/nano-learning.svg; return the table in Markdown."""
    found = [describe(run) for run in runs_in(output) if run.read_evaluation() is not None]
    results = [item for arm in arms for item in found if item["arm"] == arm]
    (DOCS / "measurements").mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    (DOCS / "measurements" / "nano-learning.json").write_text(text + "\n", encoding="utf-8")
    draw(results, DOCS / "nano-learning.svg")
    return table(results)


def describe(run: RunFolder) -> dict[str, Any]:
    """The figures of one finished run."""
    lines = list(read(run.metrics))
    arm, _, seed = run.name.rpartition("-")
    return {
        "arm": arm.replace("_", " "),
        "seed": int(seed),
        "steps": lines[-1]["step"],
        "minutes": round(sum(line["time/step_s"] for line in lines) / 60, 1),
        "rows": (run.read_evaluation() or {}).get("rows", []),
        "curve": curve(run, lines),
        "end": {name: round(mean_of(lines[-LAST_STEPS:], key), 3) for name, key in ENDINGS.items()},
        "environment": run.environment(),
    }


ENDINGS = {
    "own_accuracy": "solver/accuracy",
    "valid": "proposer/valid_share",
    "new": "proposer/new_share",
    "distinct_shapes": "proposer/distinct_shapes",
    "mixed": "solver/mixed_share",
}


def mean_of(lines: Sequence[Mapping[str, float]], key: str) -> float:
    return fmean(line[key] for line in lines if key in line)


def curve(run: RunFolder, lines: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Held-out accuracy, mean over the kinds, wherever it was measured: step, sampled, greedy."""
    base = [event for event in read(run.events) if event["event"] == "measured" and event["step"] == 0]
    keys = {decoding: f"heldout/mean/{decoding}" for decoding in DECODINGS}
    return [
        {"step": line["step"], **{decoding: round(line[key], 4) for decoding, key in keys.items()}}
        for line in [*base[:1], *lines]
        if keys["sampled"] in line
    ]


def table(results: Sequence[Mapping[str, Any]]) -> str:
    head = ["arm", "seed", "steps", "sampled", "95 %", "greedy", "95 %", "own tasks", "new", "shapes"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        cells = [result["arm"], result["seed"], result["steps"]]
        for decoding in DECODINGS:
            row = next(row for row in result["rows"] if (row["name"], row["decoding"]) == ("mean", decoding))
            cells += [f"{row['before']:.3f} to {row['after']:.3f}", f"{row['low']:+.3f} {row['high']:+.3f}"]
        end = result["end"]
        rows.append([str(cell) for cell in (*cells, end["own_accuracy"], end["new"], end["distinct_shapes"])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel per decoding, a line per run, a colour per arm."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "nano-learning", "font.size": 9})
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, decoding in zip(figure.subplots(1, 2, sharex=True), DECODINGS, strict=True):
        for arm in dict.fromkeys(result["arm"] for result in results):
            for number, result in enumerate(item for item in results if item["arm"] == arm):
                points = result["curve"]
                axes.plot(
                    [point["step"] for point in points],
                    [point[decoding] for point in points],
                    color=COLORS[arm],
                    linewidth=1.4,
                    label=arm if number == 0 else None,
                )
        axes.set_title(f"held-out accuracy, {decoding}", loc="left", fontsize=9)
        axes.set_xlabel("steps")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
