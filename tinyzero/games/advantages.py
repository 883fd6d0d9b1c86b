"""Credit assignment: computes advantages from rewards. Pure arithmetic on numbers and group keys."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import isfinite
from numbers import Real
from statistics import fmean, pstdev

from tinyzero.config import AdvantagesConfig
from tinyzero.errors import ConfigError, NotFinite
from tinyzero.types import ProposalRollout, Role, Rollout

_FLAT_STD = 1e-6
"""Rewards of a group that differ by less than this are equal up to rounding: they teach nothing."""
_LARGEST_TERM = 1e6

Key = tuple[Role, str, str]
"""Role, kind, and the task or the prompt if the baseline is per task or prompt."""
Estimator = Callable[[Sequence[Rollout], AdvantagesConfig], Sequence[float]]
ESTIMATORS: dict[str, Estimator] = {}
"""The estimators of plugins, by name: one advantage per rollout, aligned."""


def estimate(rollouts: Sequence[Rollout], config: AdvantagesConfig, *, siblings: int = 1) -> list[float]:
    """One advantage per rollout, aligned.

    Args:
        siblings: proposals of each prompt; above 1, they share a baseline.

    Source: task-relative is TRR++ of Absolute Zero (arXiv:2505.03335) eq. 8 with a baseline per rollout
    rather than per token, so that long answers weigh no more than short ones; without scaling it is Dr. GRPO
    (arXiv:2503.20783); group is GRPO (arXiv:2402.03300), leave-one-out RLOO (arXiv:2402.14740); divided by
    the mean reward it is MaxRL (arXiv:2602.02710).

    Raises:
        NotFinite: a term of a reward is NaN, infinite, absurdly large, or no number.
        ConfigError: a plugin's estimator does not give a finite number for each rollout.
    """
    _check_rewards(rollouts)
    if (own := ESTIMATORS.get(config.estimator)) is not None:
        return _checked(own(rollouts, config), len(rollouts), config.estimator)
    keys = [_baseline_group(rollout, config, siblings=siblings) for rollout in rollouts]
    rewards = [rollout.reward.total for rollout in rollouts]
    return _centered(rewards, keys, config)


def _check_rewards(rollouts: Sequence[Rollout]) -> None:
    for rollout in rollouts:
        for term, value in rollout.reward.terms.items():
            if not isinstance(value, Real) or not abs(value) <= _LARGEST_TERM:
                raise NotFinite(
                    f"the reward term {term!r} of a {rollout.role} ({rollout.prompt.kind}) is "
                    f"{repr(value)[:80]}; a term has to be a finite number of at most {_LARGEST_TERM:g}: "
                    "mend what computes it, or its value in the section rewards"
                )


def _checked(advantages: Sequence[float], count: int, estimator: str) -> list[float]:
    wrong = [value for value in advantages if not isinstance(value, Real) or not isfinite(value)]
    if len(advantages) != count or wrong:
        what = f"{wrong[0]!r:.80} among the advantages" if wrong else f"{len(advantages)} advantages"
        raise ConfigError(
            f"the estimator {estimator!r} gives {what} for {count} rollouts; it has to give a finite number "
            "for each: mend it, or choose another in advantages.estimator"
        )
    return [float(value) for value in advantages]


def _baseline_group(rollout: Rollout, config: AdvantagesConfig, *, siblings: int) -> Key:
    """The key of the rollouts that share a baseline with this one.

    Where each proposal has its own prompt, the proposals of a kind share a baseline under every estimator.
    """
    role, kind = rollout.role, rollout.prompt.kind
    if isinstance(rollout, ProposalRollout) and siblings > 1:
        return (role, kind, rollout.prompt.text)
    if config.estimator == "task-relative" or isinstance(rollout, ProposalRollout):
        return (role, kind, "")
    return (role, kind, rollout.task_id)


def _centered(rewards: Sequence[float], keys: Sequence[Key], config: AdvantagesConfig) -> list[float]:
    """Rewards minus their group's baseline, divided as configured."""
    members: dict[Key, list[float]] = defaultdict(list)
    for reward, key in zip(rewards, keys, strict=True):
        members[key].append(reward)
    factors = {key: _factor(key[0], group, config) for key, group in members.items()}
    means = {key: fmean(group) for key, group in members.items()}
    return [(reward - means[key]) * factors[key] for reward, key in zip(rewards, keys, strict=True)]


def _factor(role: Role, group: Sequence[float], config: AdvantagesConfig) -> float:
    std = pstdev(group)
    if std < _FLAT_STD:
        return 0.0
    # The mean of the others is (n*mean - r) / (n - 1); r minus that is n / (n - 1) times r minus the mean.
    leave_one_out = len(group) / (len(group) - 1) if config.estimator == "leave-one-out" else 1.0
    return leave_one_out / _divisor(role, std, fmean(group), config)


def _divisor(role: Role, std: float, mean: float, config: AdvantagesConfig) -> float:
    if config.scale == "none":
        return 1.0
    if config.scale == "std":
        return std
    return mean if role is Role.SOLVER else 1.0  # a proposer's rewards are partly penalties
