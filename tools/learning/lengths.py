"""How solve rates depend on the length of programs: the held-out tasks as a ladder."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import fmean

from tinyzero.evaluation.heldout import read_set
from tinyzero.policy import resolve_base
from tinyzero.runs import checkpoints
from tinyzero.runs.folder import RunFolder
from tinyzero.tasks import KINDS


def rates_by_length(run: RunFolder) -> dict[str, dict[str, float]]:
    """Body lines -> greedy solve rate before and after, over the tasks that have a program to run."""
    first, last = (end["rates"]["greedy"] for end in measured_ends(run))
    ladder: dict[str, list[str]] = {}
    for task, length in body_lines().items():
        if task in first and task in last:
            ladder.setdefault(str(length), []).append(task)
    return {
        length: {
            "tasks": len(tasks),
            "before": fmean(first[task] for task in tasks),
            "after": fmean(last[task] for task in tasks),
        }
        for length, tasks in sorted(ladder.items(), key=lambda item: int(item[0]))
    }


def measured_ends(run: RunFolder) -> tuple[Mapping[str, Mapping[str, Mapping[str, float]]], ...]:
    """The first and the last measurement of a finished run."""
    folder = checkpoints.latest(run)
    assert folder is not None, f"{run.path} is finished and has no checkpoint"  # noqa: S101
    saved = json.loads((folder / "probe" / "heldout.json").read_text(encoding="utf-8"))
    return saved["first"], saved["last"]


@cache
def body_lines() -> Mapping[str, int]:
    """Id of nano's held-out tasks of deduction -> lines of the program below `def`."""
    tasks = [item.task for item in read_set(Path(resolve_base("nano")) / "heldout.jsonl", KINDS).tasks]
    return {task.id: task.program.count("\n") for task in tasks if task.kind == "deduction"}
