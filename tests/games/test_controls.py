"""Control runs: the game is played as it is, and pays rewards that nobody earned."""

from random import Random

import pytest
from rollouts import rollout_of

from tinyzero.config import Config
from tinyzero.games.choice import choose_game
from tinyzero.games.controls import ChangedRewards, shuffled
from tinyzero.types import Role


def test_the_configuration_chooses_the_control():
    def chosen(control, game):
        config = Config.model_validate({"rewards": {"control": control}, "selfplay": {"game": game}})
        return choose_game(config, sampler=None, executor=None, comparer=None)

    for game in ("absolute-zero", "r-zero"):
        assert isinstance(chosen("shuffled", game), ChangedRewards)
        assert not isinstance(chosen("none", game), ChangedRewards)


@pytest.mark.parametrize("role", list(Role))
def test_the_random_numbers_of_the_shuffle_are_those_of_its_name(role):
    """A name that changes would make another experiment of every control that was ever run."""
    rollouts = [rollout_of(role, terms={"x": float(number)}) for number in range(6)]
    dealt = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    Random(f"7/3/shuffle/{role.value}").shuffle(dealt)
    assert [reward.total for reward in shuffled(rollouts, "7/3")] == dealt
