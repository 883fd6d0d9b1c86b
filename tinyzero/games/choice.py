"""Chooses the game and its kinds of task."""

from collections import ChainMap
from collections.abc import Mapping
from typing import Any, Protocol

from tinyzero.config import Config
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.r_zero.game import RZero
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Kind
from tinyzero.types import Comparer, Runner, Sampler

ALL_KINDS: Mapping[str, Kind] = ChainMap({QUESTION.name: QUESTION}, KINDS)
"""The kinds that held-out tasks can measure: kinds that a program verifies, and R-Zero's questions."""


class MakeGame(Protocol):
    """Gives a game, a `tinyzero.trainer.Game`, for one run."""

    def __call__(self, config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer) -> Any: ...  # noqa: ANN401  the trainer says what a game is, and stands above


GAMES: dict[str, MakeGame] = {}
"""The games of plugins, by name."""


def choose_game(config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer) -> Any:  # noqa: ANN401
    """The `tinyzero.trainer.Game` of `selfplay.game`. Raises ConfigError for an unknown kind or bonus."""
    if (make := GAMES.get(config.selfplay.game)) is not None:
        return make(config, sampler=sampler, executor=executor, comparer=comparer)
    if config.selfplay.game == "r-zero":
        return RZero(config, sampler=sampler, comparer=comparer)
    return AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)
