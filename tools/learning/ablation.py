"""From finished runs to the ablation table: each arm against its control, seed by seed, on the same tasks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from learning.arms import ARMS, Question
from learning.averaging import read_averaged
from learning.lengths import held_out_ids, measured_ends
from learning.report import DECODINGS, DOCS
from learning.runs import run_path
from tinyzero.evaluation.comparison import bootstrap_interval
from tinyzero.evaluation.several import t_interval
from tinyzero.run.folder import RunFolder, runs_in
from tinyzero.run.records import read

Rates = Mapping[str, float]


def write_report(output: Path, questions: Sequence[Question]) -> str:
    """Write docs/measurements/ablations.json; return the table in Markdown."""
    answers = [answer for question in questions if (answer := ask(output, question))]
    answers += [answer for arm in ARMS if ARMS[arm].average and (answer := ask_average(output, arm))]
    (DOCS / "measurements").mkdir(exist_ok=True)
    path = DOCS / "measurements" / "ablations.json"
    path.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    return table(answers)


def ask(output: Path, question: Question) -> dict[str, Any] | None:
    """The arm's held-out accuracy minus the control's, over the seeds that have both; None below two."""
    seeds = sorted(seeds_of(output, question.arm) & seeds_of(output, question.control))
    if len(seeds) < 2:
        return None
    arms = [RunFolder(run_path(output, question.arm, seed)) for seed in seeds]
    controls = [RunFolder(run_path(output, question.control, seed)) for seed in seeds]
    return {
        "question": question.title,
        "arm": question.arm,
        "control": question.control,
        "seeds": seeds,
        "tokens": [fmean(map(tokens, runs)) for runs in (arms, controls)],
        "minutes": [round(fmean(map(minutes, runs)), 2) for runs in (arms, controls)],
        **{
            decoding: compare(
                [final_rates(arm, decoding) for arm in arms],
                [final_rates(control, decoding) for control in controls],
            )
            for decoding in DECODINGS
        },
    }


def ask_average(output: Path, arm: str) -> dict[str, Any] | None:
    """Adapters averaged over the last third of the arm's runs, against its adapters as they ended."""
    runs = [RunFolder(run_path(output, arm, seed)) for seed in sorted(seeds_of(output, arm))]
    pairs = [(run, rates) for run in runs if (rates := read_averaged(run))]
    if len(pairs) < 2:
        return None
    spent = fmean(tokens(run) for run, _ in pairs)
    return {
        "question": "adapters averaged over the last third, not the last",
        "arm": f"{arm}, averaged",
        "control": arm,
        "seeds": [int(run.name.rpartition("-")[2]) for run, _ in pairs],
        "tokens": [spent, spent],
        "minutes": [round(fmean(minutes(run) for run, _ in pairs), 2)] * 2,
        **{
            decoding: compare(
                [rates[decoding] for _, rates in pairs], [final_rates(run, decoding) for run, _ in pairs]
            )
            for decoding in DECODINGS
        },
    }


def seeds_of(output: Path, arm: str) -> set[int]:
    finished = (run for run in runs_in(output) if run.read_evaluation() is not None)
    return {
        int(seed)
        for name, _, seed in (run.name.rpartition("-") for run in finished)
        if name == arm.replace(" ", "_")
    }


def compare(arms: Sequence[Rates], controls: Sequence[Rates]) -> dict[str, Any]:
    """Differences in points, with two intervals: over seeds (t), and over tasks (bootstrap of seed means).

    Args:
        arms, controls: task id -> solve rate, one mapping a seed, aligned.
    """
    pairs = list(zip(arms, controls, strict=True))
    kinds = [[task for task in ids if task in pairs[0][0]] for ids in held_out_ids().values()]
    by_task = {
        task: fmean(100 * (arm[task] - control[task]) for arm, control in pairs) for task in pairs[0][0]
    }
    groups = [[by_task[task] for task in ids] for ids in kinds]
    by_seed = [mean_over_kinds(arm, kinds) - mean_over_kinds(control, kinds) for arm, control in pairs]
    return {
        "by_seed": [round(difference, 2) for difference in by_seed],
        "mean": round(fmean(by_seed), 2),
        "over_seeds": [round(end, 2) for end in t_interval(by_seed)],
        "over_tasks": [round(end, 2) for end in bootstrap_interval(groups)],
        "accuracy": [
            round(fmean(mean_over_kinds(pair[side], kinds) for pair in pairs), 1) for side in (0, 1)
        ],
    }


def mean_over_kinds(rates: Rates, kinds: Sequence[Sequence[str]]) -> float:
    """Accuracy in per cent; every kind counts alike."""
    return 100 * fmean(fmean(rates[task] for task in ids) for ids in kinds)


def final_rates(run: RunFolder, decoding: str) -> Rates:
    """Task id -> solve rate, as last measured."""
    _, last = measured_ends(run)
    return last["rates"][decoding]


def tokens(run: RunFolder) -> float:
    """Sampled in the whole run, held-out measurements aside."""
    names = ("tokens/proposer", "tokens/solver", "tokens/replay")
    return sum(line.get(name, 0.0) for line in read(run.metrics) for name in names)


def minutes(run: RunFolder) -> float:
    return sum(line["time/step_s"] for line in read(run.metrics)) / 60


def table(answers: Sequence[Mapping[str, Any]]) -> str:
    each = ["by seed", "over seeds", "over tasks"]
    head = ["question", "sampled", *each, "greedy", *each, "tokens", "verdict"]
    rows = [head, ["---"] * len(head)]
    for answer in answers:
        cells = [answer["question"]]
        for decoding in DECODINGS:
            found = answer[decoding]
            cells += [f"{found['mean']:+.1f}", " ".join(f"{one:+.1f}" for one in found["by_seed"])]
            cells += ["{:+.1f} {:+.1f}".format(*found[over]) for over in ("over_seeds", "over_tasks")]
        cells += [
            " / ".join(f"{count / 1000:.0f} k" for count in answer["tokens"]),
            verdict(answer["sampled"]),
        ]
        rows.append(cells)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def verdict(found: Mapping[str, Any]) -> str:
    """What the intervals allow to say of sampled accuracy: three seeds may agree by luck, so both must."""
    lows, highs = zip(found["over_seeds"], found["over_tasks"], strict=True)
    return "helps" if min(lows) > 0 else "harms" if max(highs) < 0 else "not distinguishable from noise"
