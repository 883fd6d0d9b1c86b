"""When a proposal must build on earlier programs, worked out from the schedule."""

from random import Random
from statistics import fmean

import pytest

from tinyzero.config import CurriculumConfig
from tinyzero.games.absolute_zero.briefs import kinds_in_turn, num_blocks


def shares(config, step, draws=4000):
    numbers = [num_blocks(config, step, Random(seed)) for seed in range(draws)]
    return fmean(number > 0 for number in numbers), max(numbers)


@pytest.mark.parametrize(
    ("step", "share", "functions"),
    [(0, 0, 0), (9, 0, 0), (29, 0.2 * 0.5, 1), (84, 0.75 * 0.5, 2), (109, 0.5, 2), (500, 0.5, 2)],
)
def test_share_and_number_rise_evenly_over_the_ramp(step, share, functions):
    config = CurriculumConfig(composite_share=0.5, composite_from_step=10)
    assert shares(config, step) == (pytest.approx(share, abs=0.025), functions)


def test_it_is_off_by_default():
    assert shares(CurriculumConfig(), 10_000) == (0, 0)


def test_a_remainder_goes_round():
    assert kinds_in_turn("ab", 0, 3) == ["a", "b", "a"]
    assert kinds_in_turn("ab", 1, 3) == ["b", "a", "b"]
