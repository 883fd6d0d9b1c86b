"""Chooses the game and its kinds of task."""

from collections import ChainMap
from collections.abc import Mapping
from typing import Protocol

from tinyzero.config import Config
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.controls import ChangedRewards, Game, shuffled
from tinyzero.games.r_zero.game import RZero
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Kind
from tinyzero.types import Comparer, Runner, Sampler

ALL_KINDS: Mapping[str, Kind] = ChainMap({QUESTION.name: QUESTION}, KINDS)
"""The kinds that held-out tasks can measure: kinds that a program verifies, and R-Zero's questions."""


class MakeGame(Protocol):
    """Gives a game for one run."""

    def __call__(self, config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer) -> Game: ...


GAMES: dict[str, MakeGame] = {}
"""The games of plugins, by name."""


def choose_game(config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer) -> Game:
    """The game of `selfplay.game`, or its control. Raises ConfigError for an unknown kind or bonus."""
    if (make := GAMES.get(config.selfplay.game)) is not None:
        game = make(config, sampler=sampler, executor=executor, comparer=comparer)
    elif config.selfplay.game == "r-zero":
        game = RZero(config, sampler=sampler, comparer=comparer, runner=executor)
    else:
        game = AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)
    return ChangedRewards(game, config, shuffled) if config.rewards.control == "shuffled" else game
