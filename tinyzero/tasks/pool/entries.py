"""An entry of the pool: a task, its novelty, and the results of the attempts at it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from random import Random
from typing import Any

from tinyzero.config import PoolConfig
from tinyzero.tasks.records import from_record, to_record
from tinyzero.types import Task

_KEPT_MEASUREMENTS = 32
"""Maximum number of measurements of a task: the first one and the newest ones are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAttempts:
    """The attempts at a task in one step."""

    step: int
    correct: int
    attempts: int

    @property
    def solve_rate(self) -> float:
        return self.correct / self.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task in the pool.

    Attributes:
        novelty: distance to the nearest task of its kind when it was added, in [0, 1].
        measurements: oldest first.
    """

    task: Task
    novelty: float = 1.0
    measurements: tuple[StepAttempts, ...] = ()

    @property
    def solve_rate(self) -> float | None:
        """The newest solve rate of several attempts, else the newest; None for a task without attempts."""
        for item in reversed(self.measurements):
            if item.attempts > 1:
                return item.solve_rate
        return self.measurements[-1].solve_rate if self.measurements else None

    @property
    def is_mixed(self) -> bool:
        """Whether some of the newest attempts succeeded and some failed: only such tasks teach."""
        rate = self.solve_rate
        return rate is not None and 0 < rate < 1

    def measured(self, measurement: StepAttempts) -> "Entry":
        kept = (*self.measurements, measurement)
        if len(kept) > _KEPT_MEASUREMENTS:
            kept = (kept[0], *kept[-_KEPT_MEASUREMENTS + 1 :])
        return replace(self, measurements=kept)


def entry_to_record(entry: Entry) -> dict[str, Any]:
    """The record of a task, with the pool's data on it."""
    measurements = [[item.step, item.correct, item.attempts] for item in entry.measurements]
    return {**to_record(entry.task), "novelty": entry.novelty, "measurements": measurements}


def entry_from_record(record: Any) -> Entry:  # noqa: ANN401  whatever a file holds
    """The entry of a record. A plain task record gives an entry without attempts.

    Raises:
        ValueError, TypeError: the record is not valid.
    """
    task = from_record(record)
    assert isinstance(record, Mapping)  # noqa: S101  from_record has refused all else
    novelty = record.get("novelty", 1.0)
    if not isinstance(novelty, int | float) or not 0 <= novelty <= 1:
        raise ValueError(f"the novelty is {novelty!r}, and not between 0 and 1")
    measurements = tuple(_measurement(*numbers) for numbers in record.get("measurements", ()))
    return Entry(task=task, novelty=float(novelty), measurements=measurements)


def _measurement(step: object, correct: object, attempts: object) -> StepAttempts:
    if not (isinstance(step, int) and isinstance(correct, int) and isinstance(attempts, int)):
        raise ValueError("a measurement is three whole numbers")  # noqa: TRY004  of a file, not of an argument
    if not 0 <= correct <= attempts or attempts == 0:
        raise ValueError(f"{correct} of {attempts} attempts cannot be right")
    return StepAttempts(step=step, correct=correct, attempts=attempts)


_LEAST = 0.02
"""Smallest weight. With a weight of 0, a task with one unlucky measurement would never be drawn again."""


def choose(entries: Sequence[Entry], count: int, config: PoolConfig, rng: Random) -> list[Entry]:
    """At most `count` different entries, by `config.reference_sampling`."""
    if config.reference_sampling == "uniform":
        return rng.sample(entries, min(count, len(entries)))
    weights = _WEIGHTS[config.reference_sampling](entries)
    return draw_weighted(entries, weights, count, rng)


def draw_weighted(entries: Sequence[Entry], weights: Sequence[float], count: int, rng: Random) -> list[Entry]:
    """At most `count` entries without replacement; each draw is proportional to the weights (above 0).

    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006): the largest u^(1/w).
    """
    keys = [rng.random() ** (1.0 / weight) for weight in weights]
    return [entries[place] for place in nlargest(count, range(len(entries)), key=keys.__getitem__)]


def _recent(entries: Sequence[Entry]) -> list[float]:
    """Weight step + 1, with seeds at step 0, like the option "step" of Absolute Zero's code."""
    return [float(max(entry.task.step, 0) + 1) for entry in entries]


def _novel(entries: Sequence[Entry]) -> list[float]:
    return [max(_LEAST, entry.novelty) for entry in entries]


def _learnable(entries: Sequence[Entry]) -> list[float]:
    """Weight by closeness of the solve rate to one half. A task without attempts gets the lowest weight."""
    return [_closeness(entry.solve_rate) for entry in entries]


def _closeness(solve_rate: float | None) -> float:
    return _LEAST if solve_rate is None else max(_LEAST, 1 - abs(solve_rate - 0.5) / 0.5)


_WEIGHTS: Mapping[str, Callable[[Sequence[Entry]], list[float]]] = {
    "recent": _recent,
    "novel": _novel,
    "learnable": _learnable,
}
