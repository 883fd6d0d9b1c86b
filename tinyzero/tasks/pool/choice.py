"""Which tasks are shown to a proposer: weights by policy, and a weighted draw. Pure."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from tinyzero.config import PoolConfig
from tinyzero.tasks.pool.entries import Entry

_LEAST = 0.02
"""No task is shut out: a weight of 0 would starve what was unlucky once."""


def choose(entries: Sequence[Entry], count: int, config: PoolConfig, rng: Random) -> list[Entry]:
    """At most `count` different entries, by `config.reference_sampling`."""
    if config.reference_sampling == "uniform":
        return rng.sample(entries, min(count, len(entries)))
    weights = _WEIGHTS[config.reference_sampling](entries)
    return draw_weighted(entries, weights, count, rng)


def draw_weighted(entries: Sequence[Entry], weights: Sequence[float], count: int, rng: Random) -> list[Entry]:
    """At most `count` entries without replacement, each next one in proportion to its weight (above 0).

    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006): the largest u^(1/w).
    """
    keys = [rng.random() ** (1.0 / weight) for weight in weights]
    order = sorted(range(len(entries)), key=keys.__getitem__, reverse=True)
    return [entries[place] for place in order[:count]]


def _recent(entries: Sequence[Entry]) -> list[float]:
    """In proportion to age, as the option "step" of Absolute Zero's code: step + 1, seeds like step 0."""
    return [float(max(entry.task.step, 0) + 1) for entry in entries]


def _novel(entries: Sequence[Entry]) -> list[float]:
    return [max(_LEAST, entry.novelty) for entry in entries]


def _learnable(entries: Sequence[Entry]) -> list[float]:
    """By closeness of the solve rate to one half; tasks never attempted count as farthest."""
    return [_closeness(entry.solve_rate) for entry in entries]


def _closeness(solve_rate: float | None) -> float:
    return _LEAST if solve_rate is None else max(_LEAST, 1 - abs(solve_rate - 0.5) / 0.5)


_WEIGHTS: Mapping[str, Callable[[Sequence[Entry]], list[float]]] = {
    "recent": _recent,
    "novel": _novel,
    "learnable": _learnable,
}
