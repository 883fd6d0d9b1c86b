"""Which references are drawn: by hand-worked weights, without replacement, by the given randomness."""

from collections import Counter
from random import Random

import pytest

from tinyzero.config import PoolConfig
from tinyzero.tasks.pool.entries import Entry, StepAttempts, choose, draw_weighted
from tinyzero.types import Task


def entry(name, *, step=0, novelty=1.0, rate=None):
    task = Task(id=name, kind="deduction", program="", inputs=(), outputs=(), step=step)
    measured = () if rate is None else (StepAttempts(step=step, correct=round(8 * rate), attempts=8),)
    return Entry(task=task, novelty=novelty, measurements=measured)


def shares(entries, config, draws=4000):
    """How often each comes first."""
    firsts = Counter(choose(entries, 1, config, Random(seed))[0].task.id for seed in range(draws))
    return [firsts[one.task.id] / draws for one in entries]


@pytest.mark.parametrize(
    ("sampling", "entries", "expected"),
    [
        ("uniform", [entry("a", step=9), entry("b")], [1 / 2, 1 / 2]),
        ("recent", [entry("a", step=-1), entry("b", step=2)], [1 / 4, 3 / 4]),
        ("novel", [entry("a", novelty=0.9), entry("b", novelty=0.1)], [9 / 10, 1 / 10]),
        # Distance to 1/2 is at most 1/2: a rate of 1/4 weighs 1/2; an untried or decided one the least, 0.02.
        ("learnable", [entry("a", rate=0.5), entry("b", rate=0.25)], [2 / 3, 1 / 3]),
        ("learnable", [entry("a", rate=0.5), entry("b")], [1 / 1.02, 0.02 / 1.02]),
        ("learnable", [entry("a", rate=1.0), entry("b", rate=0.0)], [1 / 2, 1 / 2]),
    ],
)
def test_a_reference_comes_as_often_as_its_weight_says(sampling, entries, expected):
    config = PoolConfig(reference_sampling=sampling)
    # The standard deviation of a share near 1/2 is 0.008 at 4000 draws.
    assert shares(entries, config) == pytest.approx(expected, abs=0.03)


def test_a_weighted_draw_is_without_replacement_and_in_proportion():
    entries = [entry("a"), entry("b"), entry("c")]
    seconds = Counter()
    for seed in range(4000):
        drawn = draw_weighted(entries, [1, 1, 2], 2, Random(seed))
        assert drawn[0] is not drawn[1]
        seconds[frozenset(one.task.id for one in drawn)] += 1
    # {a, b}: 1/4 * 1/3 + 1/4 * 1/3
    assert seconds[frozenset("ab")] / 4000 == pytest.approx(1 / 6, abs=0.03)
    assert draw_weighted(entries, [1, 1, 2], 9, Random(1))[:2] == draw_weighted(
        entries, [1, 1, 2], 2, Random(1)
    )
    assert draw_weighted([], [], 3, Random(0)) == []
