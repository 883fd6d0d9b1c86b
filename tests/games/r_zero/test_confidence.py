import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.games.r_zero.survey import confidence, consistency


def test_confidence_is_the_geometric_mean_of_the_probabilities():
    assert confidence([math.log(0.5), math.log(0.125)]) == pytest.approx(0.25)
    assert confidence([0.0, 0.0]) == 1
    assert confidence([math.log(0.5)] * 7) == pytest.approx(0.5)


def test_confidence_stays_between_0_and_1():
    assert confidence([]) == 0
    assert confidence([1e-7]) == 1  # a kernel's rounding
    assert confidence([-math.inf, 0.0]) == 0


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([8], 1.0),
        ([1], 1.0),
        ([1] * 8, 0.0),
        ([2, 2], 0.5),  # entropy log 2 of log 4
        ([4, 4], 2 / 3),  # entropy log 2 of log 8
        ([2, 1, 1], 0.25),  # entropy 1.5 log 2 of 2 log 2
        ([4, 0], 1.0),
        ([], 0.0),
    ],
)
def test_consistency_is_what_entropy_leaves(sizes, expected):
    assert consistency(sizes) == pytest.approx(expected)


@given(st.lists(st.integers(0, 50), max_size=20))
def test_consistency_stays_between_0_and_1_and_ignores_the_order(sizes):
    assert 0 <= consistency(sizes) <= 1
    assert consistency(sorted(sizes)) == consistency(sizes)
