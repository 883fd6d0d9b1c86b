"""The built-in learner against the one of TRL: same policy, rollouts and advantages."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tinyzero.config import LearnerConfig
from tinyzero.learning.learner import LoraLearner
from tinyzero.policy import Policy
from tinyzero.policy.peak_memory import peak_memory
from tinyzero.race import Race, race
from tinyzero.types import (
    Answer,
    AttemptRollout,
    Completion,
    ProposalRollout,
    Rejection,
    RewardBreakdown,
    Role,
    Rollout,
    SamplingRequest,
    Stage,
    Verdict,
    VerdictStatus,
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
    policy: Policy, config: LearnerConfig, rollouts: Sequence[Rollout], *, repeats: int
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


def as_rollouts(request: SamplingRequest, completions: Sequence[Sequence[Completion]]) -> list[Rollout]:
    """Sampled answers, read by nobody, as rollouts of the request's role."""
    return [
        unread(Answer(prompt=prompt, completion=completion), request.role)
        for prompt, samples in zip(request.prompts, completions, strict=True)
        for completion in samples
    ]


def unread(answer: Answer, role: Role | None) -> Rollout:
    """A rollout without a reward, for those who look at its tokens only."""
    if role is Role.PROPOSER:
        return ProposalRollout(answer=answer, reward=RewardBreakdown(), outcome=Rejection(stage=Stage.PARSED))
    verdict = Verdict(status=VerdictStatus.MALFORMED)
    return AttemptRollout(answer=answer, reward=RewardBreakdown(), task_id="", verdict=verdict)


def mixed_advantages(count: int) -> list[float]:
    """1 and -1 in equal parts, mixed: what they are costs nothing, but zeros would be left out."""
    advantages = [1.0 if place % 2 else -1.0 for place in range(count)]
    random.Random(0).shuffle(advantages)
    return advantages
