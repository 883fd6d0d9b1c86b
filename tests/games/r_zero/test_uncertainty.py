import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.games.attempts import uncertainty
from tinyzero.games.r_zero.survey import challenger_reward


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 0.0), (0.125, 0.25), (0.5, 1.0), (0.75, 0.5), (0.875, 0.25), (1.0, 0.0)]
)
def test_uncertainty_is_greatest_where_half_agree(share, expected):
    assert uncertainty(share) == expected


@pytest.mark.parametrize(
    ("share", "repetition", "terms", "total"),
    [
        (0.5, 0.25, {"uncertainty": 1.0, "repetition": -0.25}, 0.75),
        (0.75, 0.125, {"uncertainty": 0.5, "repetition": -0.125}, 0.375),
        (0.875, 0.75, {"uncertainty": 0.25, "repetition": -0.25}, 0.0),
        (1.0, 0.5, {"uncertainty": 0.0, "repetition": 0.0}, 0.0),
        (None, 0.0, {"uncertainty": 0.0, "repetition": 0.0}, 0.0),
        (None, 0.5, {"uncertainty": 0.0, "repetition": 0.0}, 0.0),
    ],
)
def test_a_challenger_earns_uncertainty_less_repetition_and_never_less_than_nothing(
    share, repetition, terms, total
):
    reward = challenger_reward(share, repetition)
    assert reward.terms == terms
    assert reward.total == total


def test_repetition_is_weighed():
    assert challenger_reward(0.5, 0.25, repetition_weight=2).terms == {"uncertainty": 1.0, "repetition": -0.5}
    assert challenger_reward(0.5, 0.25, repetition_weight=0).total == 1.0


@given(share=st.floats(0, 1), repetition=st.floats(0, 1), weight=st.floats(0, 10))
def test_the_terms_add_up_to_the_floored_difference(share, repetition, weight):
    reward = challenger_reward(share, repetition, repetition_weight=weight)
    assert reward.total == max(0.0, uncertainty(share) - weight * repetition)
