"""Games whose rewards or labels are not what was earned: the controls of whether self-play works."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from tinyzero.config import Config
from tinyzero.games import advantages
from tinyzero.games.r_zero.survey import Survey
from tinyzero.trainer import Game
from tinyzero.types import (
    AttemptRollout,
    Preparation,
    RewardBreakdown,
    Role,
    Rollout,
    Round,
    VerdictStatus,
)

Change = Callable[[Sequence[Rollout], str], list[RewardBreakdown]]
"""From a round's rollouts and the name of its random numbers to their rewards, aligned."""


class ChangedRewards:
    """A game that is played as it is and pays something else."""

    def __init__(self, game: Game, config: Config, change: Change) -> None:
        self._game = game
        self._config = config
        self._change = change

    def prepare(self, step: int) -> Iterator[Preparation]:
        return self._game.prepare(step)

    def play(self, step: int) -> Round:
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


def majority(rollouts: Sequence[Rollout], stream: str) -> list[RewardBreakdown]:
    """1 for an attempt that says what most attempts at its task say, else 0; proposers keep their rewards.

    What a policy can gain without any check of its answers: it agrees with itself more.
    """
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for rollout in rollouts:
        if isinstance(rollout, AttemptRollout) and (answer := _answer(rollout)) is not None:
            votes[rollout.task_id][answer] += 1
    winners = {task: count.most_common(1)[0][0] for task, count in votes.items()}
    return [_agreement(rollout, winners) for rollout in rollouts]


def _agreement(rollout: Rollout, winners: Mapping[str, str]) -> RewardBreakdown:
    if not isinstance(rollout, AttemptRollout):
        return rollout.reward
    answer = _answer(rollout)
    agrees = answer is not None and answer == winners[rollout.task_id]
    return RewardBreakdown(terms={"agreement": float(agrees)})


def _answer(attempt: AttemptRollout) -> str | None:
    """The answer that was read, None where none could be read."""
    verdict = attempt.verdict
    return None if verdict.status is VerdictStatus.MALFORMED else verdict.answer


CHANGES: Mapping[str, Change] = {"shuffled": shuffled, "majority": majority}


def truth(survey: Survey) -> str:
    """What the program of a question returned: a label that no vote can get wrong."""
    return survey.task.truth or ""


def random_label(survey: Survey) -> str:
    """One of the different answers to a question, each alike: a label without any knowledge."""
    answers = sorted({*filter(None, survey.texts)})
    return Random(survey.task.id).choice(answers) if answers else ""


LABELS: Mapping[str, Callable[[Survey], str]] = {"truth": truth, "random": random_label}
