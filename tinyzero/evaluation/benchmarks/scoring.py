"""From answers to figures: grades them in portions, and computes what a benchmark reports."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tinyzero.evaluation.benchmarks.answers import WrittenAnswer
from tinyzero.evaluation.benchmarks.base import Benchmark, Mark, Tools, Trouble
from tinyzero.evaluation.comparison import bootstrap_interval
from tinyzero.evaluation.table import majority, pass_at
from tinyzero.types import VerdictStatus

_ANSWERS_AT_ONCE = 16
_PASS_ATTEMPTS = (1, 2, 4, 5, 8, 10, 16, 32, 64, 100)
_NORMAL_QUANTILE = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedAnswer:
    """An answer with its mark."""

    answer: WrittenAnswer
    mark: Mark


def grade(
    benchmark: Benchmark,
    answers: Sequence[WrittenAnswer],
    tools: Tools,
    progress: Callable[[int], None] = lambda _: None,
) -> list[GradedAnswer]:
    """Grade answers in portions.

    Args:
        progress: is told how many are graded.
    """
    graded: list[GradedAnswer] = []
    for start in range(0, len(answers), _ANSWERS_AT_ONCE):
        portion = answers[start : start + _ANSWERS_AT_ONCE]
        marks = benchmark.grade([(answer.item, answer.text) for answer in portion], tools)
        graded += [GradedAnswer(answer=a, mark=mark) for a, mark in zip(portion, marks, strict=True)]
        progress(len(graded))
    return graded


def by_task(graded: Sequence[GradedAnswer]) -> dict[str, list[GradedAnswer]]:
    """Task id -> its answers, in order."""
    groups: dict[str, list[GradedAnswer]] = {}
    for answer in graded:
        groups.setdefault(answer.answer.item.id, []).append(answer)
    return groups


def measures(
    benchmark: Benchmark, groups: Mapping[str, Sequence[GradedAnswer]]
) -> dict[str, dict[str, float]]:
    """Measure -> task id -> value: `accuracy` (also as `avg@n`), `pass@k`, `maj@n`, `accuracy_<definition>`.

    The n is the smallest number of answers to a task; k is at most n.
    """
    attempts = min(map(len, groups.values()))
    counts = {task: (sum(_is_correct(a) for a in group), len(group)) for task, group in groups.items()}
    found = {"accuracy": {task: right / total for task, (right, total) in counts.items()}}
    if attempts > 1:
        found[f"avg@{attempts}"] = found["accuracy"]
        for k in sorted({k for k in _PASS_ATTEMPTS if k <= attempts} | {attempts}):
            found[f"pass@{k}"] = {task: pass_at(k, right, total) for task, (right, total) in counts.items()}
    if attempts > 1 and benchmark.traits.has_majority:
        found[f"maj@{attempts}"] = {
            task: majority([a.mark.verdict for a in group]) for task, group in groups.items()
        }
    names = list(dict.fromkeys(name for group in groups.values() for a in group for name in a.mark.by))
    for name in names:
        found[f"accuracy_{name}"] = {
            task: fmean(a.mark.by.get(name, False) for a in group) for task, group in groups.items()
        }
    return found


def report(benchmark: Benchmark, graded: Sequence[GradedAnswer]) -> dict[str, Any]:
    """The figures of a set of answers, as one flat JSON object; accuracies are means over tasks in [0, 1]."""
    groups = by_task(graded)
    found = measures(benchmark, groups)
    attempts = sorted({len(group) for group in groups.values()})
    return {
        "bench": benchmark.name,
        "accuracy": fmean(found["accuracy"].values()),
        "interval": list(_interval(found["accuracy"], is_single=attempts == [1])),
        "tasks": len(groups),
        "answers": len(graded),
        "samples": attempts[0],
        **{name: fmean(rates.values()) for name, rates in found.items() if name != "accuracy"},
        **counts_of(graded),
        "exceptions": {task: why for task, why in benchmark.traits.exceptions.items() if task in groups},
    }


def counts_of(graded: Sequence[GradedAnswer]) -> dict[str, int]:
    """How many answers were cut off or not judged by their content."""
    marks = [answer.mark for answer in graded]
    return {
        "num_truncated": sum(answer.answer.is_truncated for answer in graded),
        "num_unparsed": sum(mark.verdict.status is VerdictStatus.MALFORMED for mark in marks),
        **{f"num_{trouble}": sum(mark.trouble is trouble for mark in marks) for trouble in Trouble},
    }


def wilson_interval(num_correct: int, total: int) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson 1927."""
    squared = _NORMAL_QUANTILE**2
    share, scale = num_correct / total, 1 + squared / total
    centre = (share + squared / (2 * total)) / scale
    spread = math.sqrt(share * (1 - share) / total + squared / (4 * total**2)) * _NORMAL_QUANTILE / scale
    return max(0.0, centre - spread), min(1.0, centre + spread)


def _interval(rates: Mapping[str, float], *, is_single: bool) -> tuple[float, float]:
    """By Wilson where each task has one answer, else by resampling the tasks."""
    values = list(rates.values())
    return wilson_interval(round(sum(values)), len(values)) if is_single else bootstrap_interval([values])


def _is_correct(answer: GradedAnswer) -> bool:
    return answer.mark.verdict.is_correct


def table_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures of a report for people, a line each."""
    low, high = figures["interval"]
    yield f"accuracy      {figures['accuracy']:.3f}  (95 % interval {low:.3f} to {high:.3f})"
    for name, value in figures.items():
        if name.startswith(("avg@", "pass@", "maj@", "accuracy_")):
            yield f"{name.replace('accuracy_', 'by '):<13} {value:.3f}"
    counts = [f"{figures[name]} {name[4:].replace('_', ' ')}" for name in figures if name.startswith("num_")]
    for task, why in figures["exceptions"].items():
        yield f"{task} is not judged as published: {why}"
    yield f"of {figures['answers']} answers to {figures['tasks']} tasks: {', '.join(counts)}"
