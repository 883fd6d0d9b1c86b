"""From finished runs to the tables and the JSON of all figures; `learning.pictures` draws them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from learning.lengths import held_out_ids, read_ladder
from learning.pictures import draw_coevolution, draw_learning
from learning.runs import MANY, base_path
from tinyzero.evaluation.several import t_interval
from tinyzero.run.folder import RunFolder, runs_in
from tinyzero.run.records import read

DOCS = Path(__file__).parents[2] / "docs"
LAST_STEPS = 5
DECODINGS = ("sampled", "greedy")
MEASURED = (*DECODINGS, "thinking_share", "answer_tokens")
PLAYED = {
    "program_nodes": "proposer/program_nodes",
    "thinking_tokens": "solver/thinking_tokens",
    "thinking_share": "solver/thinking_share",
    "own_accuracy": "solver/accuracy",
    "mixed": "solver/mixed_share",
    "valid": "proposer/valid_share",
    "new": "proposer/new_share",
    "distinct_shapes": "proposer/distinct_shapes",
}
"""Of every step: what proposer and solver make of each other."""

Result = Mapping[str, Any]


def write_report(output: Path, arms: Sequence[str]) -> str:
    """Write docs/measurements/nano-learning.json and two figures; return the tables in Markdown."""
    finished = [describe(run) for run in runs_in(output) if run.read_evaluation() is not None]
    results = [result for arm in arms for result in finished if result["arm"] == arm]
    (DOCS / "measurements").mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    (DOCS / "measurements" / "nano-learning.json").write_text(text + "\n", encoding="utf-8")
    draw_learning(results, DOCS / "nano-learning.svg")
    draw_coevolution(results, DOCS / "nano-coevolution.svg")
    tables = (run_table, coevolution_table, ladder_table)
    untrained = untrained_lines(results, output)
    return "\n\n".join([arm_table(results, untrained), *(table(results) for table in tables)])


def describe(run: RunFolder) -> dict[str, Any]:
    """The figures of one finished run."""
    lines, evaluation = list(read(run.metrics)), run.read_evaluation() or {}
    arm, _, seed = run.name.rpartition("-")
    return {
        "arm": arm.replace("_", " "),
        "seed": int(seed),
        "steps": lines[-1]["step"],
        "minutes": round(sum(line["time/step_s"] for line in lines) / 60, 1),
        **{name: evaluation.get(name, []) for name in ("rows", "others", "untrained")},
        "curve": curve(run, lines),
        "played": {name: [rounded(line.get(key)) for line in lines] for name, key in PLAYED.items()},
        "end": {name: round(mean_of(lines[-LAST_STEPS:], key), 3) for name, key in PLAYED.items()},
        "ladder": read_ladder(run),
        "environment": run.environment(),
    }


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def mean_of(lines: Sequence[Mapping[str, float]], key: str) -> float:
    """NaN where no line has it."""
    values = [line[key] for line in lines if key in line]
    return fmean(values) if values else float("nan")


def curve(run: RunFolder, lines: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """What held-out tasks said, mean over the kinds, wherever it was measured, from the base model on."""
    base = [event for event in read(run.events) if event["event"] == "measured" and event["step"] == 0]
    keys = {measure: f"heldout/mean/{measure}" for measure in MEASURED}
    return [
        {"step": line["step"], **{name: round(line[key], 4) for name, key in keys.items() if key in line}}
        for line in [*base[:1], *lines]
        if keys["sampled"] in line
    ]


def arm_table(results: Sequence[Result], untrained: Sequence[Sequence[str]]) -> str:
    """A line per arm: means over the seeds, in points, with the interval over the seeds.

    Args:
        untrained: further lines, of the untrained model.
    """
    head = ["arm", "seeds", "greedy", "over seeds", "sampled", "over seeds"]
    head += ["above the best temperature", "over seeds", "pass@8", "majority"]
    lines = []
    for arm, group in by_arm(results).items():
        above = [max(of(result, "untrained"), key=lambda row: row["before"]) for result in group]
        cells = [arm, str(len(group))]
        for gains in (
            gain(group, "greedy"),
            gain(group, "sampled"),
            [100 * row["difference"] for row in above],
        ):
            cells += [f"{fmean(gains):+.1f}", interval(gains)]
        cells += [f"{fmean(gain(group, other)):+.1f}" for other in ("pass@8", "majority")]
        lines.append(cells)
    return markdown(head, [*lines, *untrained])


def untrained_lines(results: Sequence[Result], output: Path) -> list[list[str]]:
    """What the untrained model gains in sampled accuracy by a lower temperature, and by a vote."""
    group = next(iter(by_arm(results).values()), [])
    named: dict[str, list[float]] = {}
    for result in group:
        sampled = overall(result, "sampled")["before"]
        for row in of(result, "untrained"):
            gained = 100 * (row["before"] - sampled)
            named.setdefault(f"untrained, {row['decoding']}", []).append(gained)
        if (voted := majority_of_many(base_path(output, result["seed"]) / MANY)) is not None:
            named.setdefault("untrained, majority of 24", []).append(100 * (voted - sampled))
    return [
        [name, str(len(gains)), "-", "-", f"{fmean(gains):+.1f}", interval(gains), *"----"]
        for name, gains in named.items()
    ]


def majority_of_many(folder: Path) -> float | None:
    """Share of tasks of which the majority of 24 answers is right, kinds alike; None if not measured."""
    if not folder.is_dir():
        return None
    rates = json.loads((folder / "heldout.json").read_text(encoding="utf-8"))["last"]["rates"]["majority"]
    kinds = [[rates[task] for task in ids if task in rates] for ids in held_out_ids().values()]
    return fmean(fmean(kind) for kind in kinds)


def run_table(results: Sequence[Result]) -> str:
    """A line per run: before and after, with the interval over the tasks."""
    head = ["arm", "seed", "greedy", "95 %", "sampled", "95 %", "pass@8", "majority", "reason", "tokens"]
    lines = []
    for result in results:
        cells = [result["arm"], str(result["seed"])]
        for decoding in ("greedy", "sampled"):
            row = overall(result, decoding)
            cells += [f"{row['before']:.3f} to {row['after']:.3f}", f"{row['low']:+.3f} {row['high']:+.3f}"]
        for measure, digits in (("pass@8", 2), ("majority", 2), ("thinking_share", 2), ("answer_tokens", 0)):
            row = overall(result, measure)
            cells.append(f"{row['before']:.{digits}f} to {row['after']:.{digits}f}")
        lines.append(cells)
    return markdown(head, lines)


def coevolution_table(results: Sequence[Result]) -> str:
    """A line per arm: what was played in the first steps and in the last, means over the seeds."""
    head = ["arm", "nodes of a program", "tokens of a thinking answer", "reason", "own tasks solved", "mixed"]
    names = ("program_nodes", "thinking_tokens", "thinking_share", "own_accuracy", "mixed")
    lines = []
    for arm, group in by_arm(results).items():
        cells = [arm]
        for name in names:
            first, last = (
                played(group, name, part) for part in (slice(LAST_STEPS), slice(-LAST_STEPS, None))
            )
            digits = 1 if first >= 2 else 2
            cells.append(f"{first:.{digits}f} to {last:.{digits}f}")
        lines.append(cells)
    return markdown(head, lines)


def played(group: Sequence[Result], name: str, part: slice) -> float:
    values = [value for result in group for value in result["played"][name][part] if value is not None]
    return fmean(values) if values else float("nan")


def ladder_table(results: Sequence[Result]) -> str:
    """A line per arm: greedy accuracy by the length of the programs, before and after; seeds averaged."""
    measured = [result for result in results if result["ladder"]]
    strata = list(dict.fromkeys(name for result in measured for name in ends(result)[0]))
    lines = [
        [
            arm,
            *(
                f"{fmean(first[name] for first, _ in pairs):.2f} to "
                f"{fmean(last[name] for _, last in pairs):.2f}"
                for name in strata
            ),
        ]
        for arm, group in by_arm(measured).items()
        if (pairs := [ends(result) for result in group])
    ]
    return markdown(["arm", *strata], lines)


def ends(result: Result) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The first and the last measurement of the ladder."""
    rates = list(result["ladder"].values())
    return rates[0], rates[-1]


def by_arm(results: Sequence[Result]) -> dict[str, list[Result]]:
    arms = dict.fromkeys(result["arm"] for result in results)
    return {arm: [result for result in results if result["arm"] == arm] for arm in arms}


def gain(group: Sequence[Result], measure: str) -> list[float]:
    """Of every run of an arm, in points."""
    return [100 * overall(result, measure)["difference"] for result in group]


def overall(result: Result, measure: str) -> Mapping[str, Any]:
    """The row over all kinds."""
    rows = [row for row in (*result["rows"], *result["others"]) if row["decoding"] == measure]
    return next((row for row in rows if row["name"] == "mean"), rows[0])


def of(result: Result, part: str) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = result[part]
    return rows


def interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "-"
    low, high = t_interval(values)
    return f"{low:+.1f} {high:+.1f}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
