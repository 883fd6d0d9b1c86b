"""Chooses the game and its kinds of task."""

from tinyzero.config import Config
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.r_zero.game import RZero
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Kind
from tinyzero.types import Comparer, Runner, Sampler

ALL_KINDS: dict[str, Kind] = {**KINDS, QUESTION.name: QUESTION}
"""The kinds that held-out tasks can measure: kinds that a program verifies, and R-Zero's questions."""


def choose_game(
    config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer
) -> AbsoluteZero | RZero:
    """The game of `selfplay.game`. Raises ConfigError for an unknown kind or bonus."""
    if config.selfplay.game == "r-zero":
        return RZero(config, sampler=sampler, comparer=comparer, runner=executor)
    return AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)
