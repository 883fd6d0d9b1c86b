"""Rewards that no run of the product pays: agreement of a solver with itself."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tinyzero.types import AttemptRollout, RewardBreakdown, Rollout, VerdictStatus


def majority(rollouts: Sequence[Rollout], _stream: str) -> list[RewardBreakdown]:
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
