"""The built-in learner against the one of TRL: same policy, rollouts and advantages."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bench.laps import Race, race
from bench.peak_memory import peak_memory
from tinyzero.cli.speed import mixed_advantages
from tinyzero.config import SettledLearner
from tinyzero.learning.learner import LoraLearner
from tinyzero.policy.policy import Policy
from tinyzero.types import (
    Role,
    Rollout,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerRace:
    """Completion tokens learned from per second, and what an update needs at its peak.

    Attributes:
        ours_peak, theirs_peak: bytes above what is held between updates; NaN where it cannot be measured.
    """

    race: Race
    ours_peak: float
    theirs_peak: float


def race_against_trl(
    policy: Policy, config: SettledLearner, rollouts: Sequence[Rollout], *, repeats: int
) -> LearnerRace:
    """Whole updates, optimizer step included; both learn on the one adapter, in turn."""
    advantages = mixed_advantages(len(rollouts))
    num_tokens = float(sum(len(rollout.completion.token_ids) for rollout in rollouts))
    longest = max(len(rollout.completion.token_ids) for rollout in rollouts)
    ours, theirs = (
        LoraLearner(
            policy,
            config.model_copy(update={"engine": engine, "schedule": "constant"}),
            policy.temperature,
            completion_budgets=dict.fromkeys(Role, longest),
        )
        for engine in ("builtin", "trl")
    )

    def update(learner: LoraLearner) -> float:
        learner.update(rollouts, advantages)
        if policy.device.type == "cuda":
            torch.cuda.synchronize(policy.device)
        return num_tokens

    timed = race(lambda _: update(ours), lambda _: update(theirs), repeats=repeats)
    return LearnerRace(
        race=timed,
        ours_peak=peak_memory(lambda: update(ours), policy.device),
        theirs_peak=peak_memory(lambda: update(theirs), policy.device),
    )
