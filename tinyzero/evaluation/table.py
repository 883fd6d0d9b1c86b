"""Computes metrics and the before/after table from measurements of a held-out set. Pure arithmetic."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from tinyzero.evaluation.comparison import MEAN, Comparison, Rates, Row, compare
from tinyzero.evaluation.heldout import HeldOutTask
from tinyzero.tasks.answers import reasoning
from tinyzero.types import Task, Verdict

GREEDY, SAMPLED = "greedy", "sampled"
THINKING, TOKENS = "thinking_share", "answer_tokens"
_MAJORITY = "majority"
_PASS_ATTEMPTS = 8
"""The k of pass@k, if a task has that many answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswers:
    """The answers to one task, aligned: full texts, numbers of sampled tokens, verdicts."""

    task: Task
    texts: Sequence[str]
    tokens: Sequence[int]
    verdicts: Sequence[Verdict]

    @property
    def num_correct(self) -> int:
        return sum(verdict.is_correct for verdict in self.verdicts)

    @property
    def solve_rate(self) -> float:
        return self.num_correct / len(self.verdicts)

    @property
    def thinking_share(self) -> float:
        return fmean(bool(reasoning(text)) for text in self.texts)


def solve_rates(answered: Sequence[JudgedAnswers]) -> Rates:
    return {item.task.id: item.solve_rate for item in answered}


def sampled_scores(answered: Sequence[JudgedAnswers]) -> dict[str, Rates]:
    """Measure -> task id -> value: solve rate, share of the answers that reason, their mean length."""
    return {
        SAMPLED: solve_rates(answered),
        THINKING: {item.task.id: item.thinking_share for item in answered},
        TOKENS: {item.task.id: fmean(item.tokens) for item in answered},
    }


def group_scores(answered: Sequence[JudgedAnswers]) -> dict[str, Rates]:
    """Scores of all answers to a task together: whether any is right, and whether the majority is."""
    k = min(_PASS_ATTEMPTS, *(len(item.verdicts) for item in answered))
    passes = {item.task.id: pass_at(k, item.num_correct, len(item.verdicts)) for item in answered}
    return {f"pass@{k}": passes, _MAJORITY: {item.task.id: majority(item.verdicts) for item in answered}}


def pass_at(k: int, num_correct: int, attempts: int) -> float:
    """Probability that k attempts, drawn without replacement, include a right one.

    Source: the unbiased estimator of Chen et al. (arXiv:2107.03374), eq. 1.
    """
    return 1.0 - comb(attempts - num_correct, k) / comb(attempts, k)


def majority(verdicts: Sequence[Verdict]) -> float:
    """Probability that the most frequent answer is right, with ties broken at random.

    Answers are compared as text. All unreadable answers count as one answer.
    """
    votes: Mapping[str, list[bool]] = defaultdict(list)
    for verdict in verdicts:
        votes[verdict.answer].append(verdict.is_correct)
    most = max(map(len, votes.values()))
    return fmean(group[0] for group in votes.values() if len(group) == most)


LOWER_TEMPERATURES = (0.7, 0.5, 0.3)
"""Further temperatures at which `evaluation.curve` measures the base model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Scores after `step` steps: measure -> task id -> value.

    Attributes:
        is_complete: whether it covers all tasks with all attempts, as at the start and end of a run.
    """

    step: int
    rates: Mapping[str, Rates]
    is_complete: bool = True


def colder(temperature: float) -> str:
    """The name of the measure: the base model's solve rates at another temperature."""
    return f"temperature {temperature:g}"


def heldout_metrics(
    tasks: Sequence[HeldOutTask], measured: Measurement, first: Measurement
) -> dict[str, float]:
    """`heldout/<row>/<measure>`, and the lower end of the interval for the gain in sampled accuracy.

    Args:
        tasks: the tasks that every measurement covers, so that the figures of a run are comparable.
    """
    of_kinds, apart = _rows_of_kinds(tasks), _rows_apart(tasks)
    metrics: dict[str, float] = {}
    for measure in (SAMPLED, GREEDY, THINKING, TOKENS):
        if (rates := measured.rates.get(measure)) is None:  # measured by an earlier version
            continue
        means = {row: fmean(rates[task] for task in ids) for row, ids in {**of_kinds, **apart}.items()}
        means[MEAN] = fmean(means[kind] for kind in of_kinds or means)
        metrics |= {f"heldout/{row.replace(' ', '_')}/{measure}": value for row, value in means.items()}
    if first.step != measured.step:
        groups = of_kinds or apart
        metrics["heldout/mean/gain_low"] = overall(groups, first, measured, SAMPLED).low
    return metrics


def comparison_of(
    name: str, tasks: Sequence[HeldOutTask], first: Measurement, last: Measurement, attempts: int
) -> Comparison:
    """The table of `last` compared with `first`; each row covers the tasks that both have.

    Args:
        name: name of the set. attempts: sampled answers per task.
    """
    strata = strata_of(tasks)
    in_both = [measure for measure in first.rates if measure in last.rates]
    return Comparison(
        set_name=name,
        attempts=attempts,
        step=last.step,
        rows=tuple(row for decoding in (SAMPLED, GREEDY) for row in _rows(tasks, first, last, decoding)),
        others=tuple(
            overall(strata, first, last, measure) for measure in in_both if measure not in (SAMPLED, GREEDY)
        ),
        untrained=tuple(
            overall(strata, first, last, SAMPLED, untrained=measure)
            for measure in map(colder, LOWER_TEMPERATURES)
            if measure in first.rates
        ),
    )


def _rows(
    tasks: Sequence[HeldOutTask], first: Measurement, last: Measurement, decoding: str
) -> Iterator[Row]:
    before, after = first.rates[decoding], last.rates[decoding]
    if groups := _in_both(_rows_of_kinds(tasks), before, after):
        yield from compare(groups, before, after, decoding)
    for group in _rows_apart(tasks).items():
        if groups := _in_both(dict([group]), before, after):
            yield from compare(groups, before, after, decoding)


def overall(
    groups: Mapping[str, Sequence[str]],
    first: Measurement,
    last: Measurement,
    measure: str,
    *,
    untrained: str | None = None,
) -> Row:
    """The row over all groups, with equal weights.

    Args:
        untrained: the measure of `first`, if it differs; it then names the row's decoding.
    """
    before, after = first.rates[untrained or measure], last.rates[measure]
    *_, row = compare(_in_both(groups, before, after), before, after, untrained or measure)
    return row


def _in_both(groups: Mapping[str, Sequence[str]], before: Rates, after: Rates) -> dict[str, list[str]]:
    kept = {name: [task for task in ids if task in before and task in after] for name, ids in groups.items()}
    return {name: ids for name, ids in kept.items() if ids}


def strata_of(tasks: Sequence[HeldOutTask]) -> Mapping[str, Sequence[str]]:
    """What the row over all kinds is the mean of: name -> task ids."""
    return _rows_of_kinds(tasks) or _rows_apart(tasks)


def _rows_of_kinds(tasks: Sequence[HeldOutTask]) -> dict[str, list[str]]:
    """Kind -> ids of the tasks that count in its row."""
    return _grouped(item for item in tasks if not item.stratum)


def _rows_apart(tasks: Sequence[HeldOutTask]) -> dict[str, list[str]]:
    """Stratum -> ids of its tasks."""
    return _grouped(item for item in tasks if item.stratum)


def _grouped(tasks: Iterator[HeldOutTask]) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for item in tasks:
        rows.setdefault(item.row, []).append(item.task.id)
    return rows
