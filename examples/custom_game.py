"""A game of one's own: Absolute Zero with a single kind in a step, and the next kind in the next.

    tinyzero train nano-cpu --plugin examples/custom_game.py --set selfplay.game=one-kind

A game says what is played in a step. Here it changes a line of one that is there.
"""

from tinyzero.config import Config
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.plugins import Registry
from tinyzero.tasks import KINDS
from tinyzero.types import Comparer, Round, Runner, Sampler


class OneKind(AbsoluteZero):
    def play(self, step: int) -> Round:
        every = self.kinds
        name = list(every)[step % len(every)]
        try:
            self.kinds = {name: every[name]}
            return super().play(step)
        finally:
            self.kinds = every


def make(config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer) -> OneKind:
    return OneKind(config, sampler=sampler, executor=executor, kinds=KINDS)


def register(registry: Registry) -> None:
    registry.game("one-kind", make)
