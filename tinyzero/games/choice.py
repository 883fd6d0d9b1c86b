"""Which game is played."""

from tinyzero.config import Config
from tinyzero.games.absolute_zero import AbsoluteZero
from tinyzero.games.r_zero import RZero
from tinyzero.tasks import KINDS
from tinyzero.types import Comparer, Runner, Sampler


def choose_game(
    config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer
) -> AbsoluteZero | RZero:
    """The game of `selfplay.game`. Raises ConfigError for an unknown kind or bonus."""
    if config.selfplay.game == "r-zero":
        return RZero(config, sampler=sampler, comparer=comparer)
    return AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)
