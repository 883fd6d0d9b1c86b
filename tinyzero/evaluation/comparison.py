"""Before against after on the same tasks: paired differences with intervals. Pure arithmetic."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

NUM_RESAMPLES = 10_000
LEVEL = 0.95
MEAN = "mean"
"""Name of the row over all kinds."""

Rates = Mapping[str, float]
"""Task id -> share of correct attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a before/after table; accuracies are shares of correct attempts in [0, 1].

    Attributes:
        name: a task kind, `mean` over the kinds, or the name of tasks that are kept apart.
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
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A policy after `step` optimizer steps against the base model, on a set of held-out tasks.

    Attributes:
        set_name: of the tasks. attempts: sampled answers to each task; the greedy answer is one.
        others: overall rows of other measures, named by `decoding`: pass@k, the majority of the attempts,
            the share of answers that reason, their tokens.
        untrained: overall rows whose `before` is the base model decoded as `decoding` says, at another
            temperature, and whose `after` is the sampled accuracy after training.
    """

    set_name: str
    attempts: int
    step: int
    rows: Sequence[Row]
    others: Sequence[Row] = ()
    untrained: Sequence[Row] = ()

    def row(self, name: str, decoding: str) -> Row:
        """Raises KeyError where the table has no such line."""
        for row in self.rows:
            if (row.name, row.decoding) == (name, decoding):
                return row
        raise KeyError(f"{name}, {decoding}")

    def other(self, measure: str) -> Row | None:
        """The row of one of the other measures."""
        return next((row for row in self.others if row.decoding == measure), None)

    @property
    def best_untrained(self) -> Row | None:
        """Of the base model's temperatures the one that is right most often."""
        return max(self.untrained, key=lambda row: row.before, default=None)

    def overall(self, decoding: str) -> Row:
        """The mean over the kinds, or the only row there is."""
        rows = [row for row in self.rows if row.decoding == decoding]
        return next((row for row in rows if row.name == MEAN), rows[0])


def compare(groups: Mapping[str, Sequence[str]], before: Rates, after: Rates, decoding: str) -> Iterator[Row]:
    """One row per group of task ids, and the mean over the groups (each counts alike) as the last.

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


def bootstrap_interval(groups: Sequence[Sequence[float]], *, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean over groups of the mean within each.

    Args:
        groups: at least one value each; values are resampled within their group.
    """
    import numpy as np  # a tenth of a second that whoever only reads a comparison need not wait

    rng = np.random.default_rng(seed)
    totals = np.zeros(NUM_RESAMPLES)
    for values in map(np.asarray, groups):
        drawn = rng.integers(len(values), size=(NUM_RESAMPLES, len(values)))
        totals += values[drawn].mean(axis=1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(totals / len(groups), (tail, 1 - tail))
    return float(low), float(high)
