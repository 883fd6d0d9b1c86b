"""Compares before and after on the same tasks: paired differences with intervals. Pure arithmetic."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import nan
from statistics import fmean

from tinyzero.types import Claim

_NUM_RESAMPLES = 10_000
_NUM_PORTIONS = 10
"""In which resamples of ratios are drawn, so that they need little memory."""
LEVEL = 0.95
MEAN = "mean"
"""Name of the row over all kinds."""

Rates = Mapping[str, float]
"""Task id -> share of correct attempts."""
Fraction = tuple[float, float]
"""A numerator and a denominator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a before/after table; accuracies are shares of correct attempts in [0, 1].

    Attributes:
        name: a task kind, `mean` for the mean over kinds, or the stratum of separate tasks.
        decoding: `sampled` or `greedy`.
        low, high: 95 % interval of `difference`, paired by task.
    """

    name: str
    decoding: str
    tasks: int
    before: float
    after: float
    difference: float
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the interval does not contain zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A policy after `step` optimizer steps, compared with the base model on a set of held-out tasks.

    Attributes:
        set_name: name of the task set. attempts: sampled answers per task; there is one greedy answer.
        others: overall rows of other measures, named by `decoding`: pass@k, the majority of the attempts,
            the share of answers that reason, their tokens.
        untrained: overall rows for other temperatures: `before` is the base model decoded as in `decoding`,
            `after` is the sampled accuracy after training.
    """

    set_name: str
    attempts: int
    step: int
    rows: Sequence[Row]
    others: Sequence[Row] = ()
    untrained: Sequence[Row] = ()

    def row(self, name: str, decoding: str) -> Row:
        """The row of this name and decoding. Raises KeyError if there is none."""
        for row in self.rows:
            if (row.name, row.decoding) == (name, decoding):
                return row
        raise KeyError(f"{name}, {decoding}")

    def other(self, measure: str) -> Row | None:
        """The row of a measure in `others`; None if there is none."""
        return next((row for row in self.others if row.decoding == measure), None)

    @property
    def best_untrained(self) -> Row | None:
        """The row of the base model's best temperature."""
        return max(self.untrained, key=lambda row: row.before, default=None)

    def overall(self, decoding: str) -> Row:
        """The mean over the kinds, or the only row."""
        rows = [row for row in self.rows if row.decoding == decoding]
        return next((row for row in rows if row.name == MEAN), rows[0])


class ClaimResult(StrEnum):
    """What an interval says of a claim."""

    HELD = "held"
    DID_NOT_HOLD = "did not hold"
    OPEN = "cannot be told"


def judge_claim(claim: Claim, low: float, high: float) -> ClaimResult:
    """Whether a claim held: all of the interval has to be on its side.

    Args:
        low, high: interval of the difference in accuracy, as shares.
    """
    least, most = (low, high) if claim.direction == "+" else (-high, -low)
    if least >= claim.points / 100:
        return ClaimResult.HELD
    return ClaimResult.DID_NOT_HOLD if most < claim.points / 100 else ClaimResult.OPEN


def compare(groups: Mapping[str, Sequence[str]], before: Rates, after: Rates, decoding: str) -> Iterator[Row]:
    """One row per group of task ids, then the unweighted mean over the groups.

    Source: paired bootstrap, tasks resampled within their group (Efron and Tibshirani 1993, chapter 13).
    """
    differences = [[after[task] - before[task] for task in ids] for ids in groups.values()]
    for (name, ids), difference in zip(groups.items(), differences, strict=True):
        yield _row(name, decoding, [ids], [difference], before, after)
    if len(groups) > 1:
        yield _row(MEAN, decoding, list(groups.values()), differences, before, after)


def _row(
    name: str,
    decoding: str,
    groups: Sequence[Sequence[str]],
    differences: Sequence[Sequence[float]],
    before: Rates,
    after: Rates,
) -> Row:
    low, high = bootstrap_interval(differences)
    was, became = (fmean(fmean(rates[task] for task in ids) for ids in groups) for rates in (before, after))
    return Row(
        name=name,
        decoding=decoding,
        tasks=sum(map(len, groups)),
        before=was,
        after=became,
        difference=became - was,
        low=low,
        high=high,
    )


def bootstrap_interval(
    groups: Sequence[Sequence[float]], *, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile interval of the mean over the groups' means.

    Args:
        groups: each has at least one value; values are resampled within their group.
        level: share of intervals that hold the true mean.
    """
    import numpy as np  # takes 0.1 s, which reading a comparison does not need

    rng = np.random.default_rng(seed)
    totals = np.zeros(_NUM_RESAMPLES)
    for values in map(np.asarray, groups):
        drawn = rng.integers(len(values), size=(_NUM_RESAMPLES, len(values)))
        totals += values[drawn].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(totals / len(groups), (tail, 1 - tail))
    return float(low), float(high)


def ratio_interval(sums: Sequence[Sequence[Sequence[Fraction]]], *, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of `mean_ratio`, or of that of the second model less that of the first.

    Args:
        sums: [models][tasks][ratios] pairs of a numerator and a denominator, one model or two; the same
            tasks are drawn for both.

    Returns:
        nan where a resample has a denominator of zero: there are too few tasks that count.

    Source: bootstrap of a ratio of sums (Efron and Tibshirani 1993, chapters 10 and 13).
    """
    import numpy as np

    arrays = [np.asarray(of_model, dtype=float) for of_model in sums]  # [tasks, ratios, 2] each
    rng, size = np.random.default_rng(seed), len(arrays[0])
    values = []
    for _ in range(_NUM_PORTIONS):
        rows = _NUM_RESAMPLES // _NUM_PORTIONS
        drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        means = []
        for array in arrays:
            totals = np.tensordot(counts, array, axes=1)  # [resamples, ratios, 2]
            denominators = np.where(totals[..., 1] > 0, totals[..., 1], np.nan)
            means.append((totals[..., 0] / denominators).mean(axis=1))
        values.append(means[-1] - means[0] if len(means) > 1 else means[0])
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(values), (tail, 1 - tail))
    return float(low), float(high)


def mean_ratio(sums: Sequence[Sequence[Fraction]]) -> float:
    """Mean over the ratios of the sum of numerators over the sum of denominators; nan where that is zero.

    Args:
        sums: [tasks][ratios] pairs.
    """
    totals = [tuple(map(sum, zip(*pairs, strict=True))) for pairs in zip(*sums, strict=True)]
    return fmean(top / bottom if bottom else nan for top, bottom in totals)
