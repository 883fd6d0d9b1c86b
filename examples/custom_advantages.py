"""An advantage estimator of one's own: an attempt's reward minus the median of the attempts at its task.

    tinyzero train nano-cpu --plugin examples/custom_advantages.py --set advantages.estimator=median

A few attempts that earn much more or less than the others hardly move a median. Proposals have the median of
their kind.
"""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tinyzero.config import AdvantagesConfig
from tinyzero.plugins import Registry
from tinyzero.types import AttemptRollout, Rollout


def over_median(rollouts: Sequence[Rollout], config: AdvantagesConfig) -> list[float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts:
        groups[key(rollout)].append(rollout.reward.total)
    return [rollout.reward.total - median(groups[key(rollout)]) for rollout in rollouts]


def key(rollout: Rollout) -> str:
    return rollout.task_id if isinstance(rollout, AttemptRollout) else f"proposals/{rollout.prompt.kind}"


def register(registry: Registry) -> None:
    registry.estimator("median", over_median)
