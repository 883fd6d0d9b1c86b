"""Chooses the tasks that a proposer sees: weights by sampling policy, then a weighted draw. Pure."""

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from random import Random

from tinyzero.config import PoolConfig
from tinyzero.tasks.pool.entries import Entry

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
