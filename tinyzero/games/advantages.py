"""Credit assignment: from rewards to advantages. Pure arithmetic on numbers and group keys."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import fmean, pstdev

from tinyzero.config import AdvantagesConfig
from tinyzero.types import ProposalRollout, Rollout

_FLAT_STD = 1e-6
"""Rewards of a group closer together than this are equal up to rounding: nothing to learn from."""


def estimate(rollouts: Sequence[Rollout], config: AdvantagesConfig) -> list[float]:
    """One advantage per rollout, aligned.

    Source: task-relative is TRR++ of Absolute Zero (arXiv:2505.03335) eq. 8 with a baseline per rollout
    rather than per token, so that long answers weigh no more than short ones; without scaling it is Dr. GRPO
    (arXiv:2503.20783); group is GRPO (arXiv:2402.03300), leave-one-out RLOO (arXiv:2402.14740).
    """
    keys = [_baseline_group(rollout, config) for rollout in rollouts]
    rewards = [rollout.reward.total for rollout in rollouts]
    return _centered(rewards, keys, config)


def _baseline_group(rollout: Rollout, config: AdvantagesConfig) -> Hashable:
    """The key of the rollouts that share a baseline with this one.

    A proposal has no siblings at its prompt, so proposers share one per kind under every estimator.
    """
    role, kind = rollout.role, rollout.prompt.kind
    if config.estimator == "task-relative" or isinstance(rollout, ProposalRollout):
        return (role, kind)
    return (role, kind, rollout.task_id)


def _centered(rewards: Sequence[float], keys: Sequence[Hashable], config: AdvantagesConfig) -> list[float]:
    """Rewards minus their group's baseline, divided by the group's standard deviation where so configured."""
    members: dict[Hashable, list[float]] = defaultdict(list)
    for reward, key in zip(rewards, keys, strict=True):
        members[key].append(reward)
    factors = {key: _factor(group, config) for key, group in members.items()}
    means = {key: fmean(group) for key, group in members.items()}
    return [(reward - means[key]) * factors[key] for reward, key in zip(rewards, keys, strict=True)]


def _factor(group: Sequence[float], config: AdvantagesConfig) -> float:
    std = pstdev(group)
    if std < _FLAT_STD:
        return 0.0
    # The mean of the others is (n*mean - r) / (n - 1); r minus that is n / (n - 1) times r minus the mean.
    leave_one_out = len(group) / (len(group) - 1) if config.estimator == "leave-one-out" else 1.0
    is_divided = config.scale == "std"
    return leave_one_out / std if is_divided else leave_one_out
