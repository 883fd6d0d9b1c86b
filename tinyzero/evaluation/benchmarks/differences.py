"""Base model and trained model on the same tasks: differences with paired intervals. Pure arithmetic."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tinyzero.evaluation.benchmarks.base import Benchmark
from tinyzero.evaluation.benchmarks.scoring import GradedAnswer, by_task, counts_of, measures
from tinyzero.evaluation.comparison import Fraction, bootstrap_interval, mean_ratio, ratio_interval

_NOISE = "not distinguishable from noise"
Sums = Sequence[Sequence[Fraction]]
"""[tasks][ratios] numerators and denominators; as a rule there is one ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure of two models, means over the tasks.

    Attributes:
        low, high: 95 % interval of `trained - base`, paired by task.
    """

    name: str
    base: float
    trained: float
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        return self.low > 0 or self.high < 0

    def as_json(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "trained": self.trained,
            "difference": self.trained - self.base,
            "interval": [self.low, self.high],
            "verdict": "beyond noise" if self.is_beyond_noise else _NOISE,
        }


def differences(
    benchmark: Benchmark, base: Sequence[GradedAnswer], trained: Sequence[GradedAnswer]
) -> list[Difference]:
    """A row per measure. Both models answered the same tasks equally often."""
    of_base, of_trained = (measures(benchmark, by_task(answers)) for answers in (base, trained))
    return [_difference(name, of_base[name], of_trained[name]) for name in of_base if name in of_trained]


def _difference(name: str, base: Mapping[str, float], trained: Mapping[str, float]) -> Difference:
    """Source: paired bootstrap over tasks (Efron and Tibshirani 1993, chapter 13)."""
    low, high = bootstrap_interval([[trained[task] - base[task] for task in base]])
    return Difference(
        name=name, base=fmean(base.values()), trained=fmean(trained.values()), low=low, high=high
    )


def mean_tokens(answers: Sequence[GradedAnswer]) -> float:
    """Sampled tokens per answer."""
    return fmean(graded.answer.num_tokens or 0 for graded in answers)


def difference_lines(
    rows: Sequence[Difference], base: Sequence[GradedAnswer], trained: Sequence[GradedAnswer]
) -> Iterator[str]:
    """The comparison for people, a line each."""
    yield f"{'':<22}{'base':>8}{'trained':>9}{'difference':>12}  95 % interval"
    for row in rows:
        interval = f"{row.low:+.3f} to {row.high:+.3f}"
        words = "" if row.is_beyond_noise else f"  {_NOISE}"
        difference = row.trained - row.base
        yield f"{row.name:<22}{row.base:>8.3f}{row.trained:>9.3f}{difference:>+12.3f}  {interval}{words}"
    of_base, of_trained = counts_of(base), counts_of(trained)
    for name, count in of_base.items():
        yield f"{name[4:].replace('_', ' '):<22}{count:>8}{of_trained[name]:>9}"
    yield f"{'tokens per answer':<22}{mean_tokens(base):>8.1f}{mean_tokens(trained):>9.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measure of one model or of two.

    Attributes:
        values: model -> value; nan where it is not defined.
        low, high: 95 % interval over tasks, paired: of the difference second - first, or of the only value.
    """

    name: str
    values: Mapping[str, float]
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        """Of a difference: whether its interval does not contain zero. Without an interval it is noise."""
        return self.low > 0 or self.high < 0

    def as_json(self) -> dict[str, Any]:
        interval = [_known(self.low), _known(self.high)]
        values = {model: _known(value) for model, value in self.values.items()}
        if len(values) == 1:
            return {"value": next(iter(values.values())), "interval": interval}
        first, second = self.values.values()
        verdict = "beyond noise" if self.is_beyond_noise else _NOISE
        return {**values, "difference": _known(second - first), "interval": interval, "verdict": verdict}

    def line(self) -> str:
        """The measure for people."""
        values = list(self.values.values())
        shown = "".join(f"{_short(value):>10}" for value in values)
        interval = f"{_short(self.low)} to {_short(self.high)}"
        interval = "too few tasks for an interval" if math.isnan(self.low) else interval
        if len(values) == 1:
            return f"{self.name:<30}{shown}  {interval}"
        words = "" if self.is_beyond_noise else f"  {_NOISE}"
        return f"{self.name:<30}{shown}{_short(values[1] - values[0]):>12}  {interval}{words}"


def figure(name: str, sums: Mapping[str, Sums]) -> Figure:
    """A measure with its interval. `sums`: model -> its sums, the same tasks in the same order."""
    low, high = ratio_interval(list(sums.values()))
    return Figure(name=name, values={model: mean_ratio(of) for model, of in sums.items()}, low=low, high=high)


def _known(value: float) -> float | None:
    """For JSON, which has no nan."""
    return value if math.isfinite(value) else None


def _short(value: float) -> str:
    if math.isnan(value):
        return "-"
    is_plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.3f}" if is_plain else f"{value:.3g}"
