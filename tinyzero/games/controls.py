"""Games whose rewards are not what was earned: the controls of the question whether self-play works."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Protocol

from tinyzero.config import Config
from tinyzero.games import advantages
from tinyzero.types import Preparation, RewardBreakdown, Role, Rollout, Round


class Game(Protocol):
    """What a trainer plays, and what is played under a control. See `tinyzero.trainer.Game`."""

    def prepare(self, step: int) -> Iterator[Preparation]: ...
    def play(self, step: int) -> Round: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path) -> None: ...


class ChangedRewards:
    """A game that is played as it is and pays something else."""

    def __init__(
        self, game: Game, config: Config, change: Callable[[Sequence[Rollout], str], list[RewardBreakdown]]
    ) -> None:
        """A control of `game`.

        Args:
            change: from a round's rollouts and the name of its random numbers to their rewards, aligned.
        """
        self._game = game
        self._config = config
        self._change = change

    def prepare(self, step: int) -> Iterator[Preparation]:
        return self._game.prepare(step)

    def play(self, step: int) -> Round:
        """A round with other rewards and their advantages; its metrics are those of what was earned."""
        played = self._game.play(step)
        rewards = self._change(played.rollouts, f"{self._config.run.seed}/{step}")
        rollouts = [
            replace(rollout, reward=reward) for rollout, reward in zip(played.rollouts, rewards, strict=True)
        ]
        siblings = self._config.selfplay.siblings
        estimated = advantages.estimate(rollouts, self._config.advantages, siblings=siblings)
        return replace(played, rollouts=rollouts, advantages=estimated)

    def save(self, folder: Path) -> None:
        self._game.save(folder)

    def load(self, folder: Path) -> None:
        self._game.load(folder)


def shuffled(rollouts: Sequence[Rollout], stream: str) -> list[RewardBreakdown]:
    """The rewards of each role, dealt out at random among its rollouts: self-play without its signal."""
    rewards = [rollout.reward for rollout in rollouts]
    for role in Role:
        places = [index for index, rollout in enumerate(rollouts) if rollout.role is role]
        dealt = [rewards[index] for index in places]
        Random(f"{stream}/shuffle/{role}").shuffle(dealt)
        for index, reward in zip(places, dealt, strict=True):
            rewards[index] = reward
    return rewards
