"""Finds numbers that are not finite: a step that has one is skipped, and several in a row end the run."""

import logging
import math
from collections import defaultdict
from collections.abc import Sequence

from tinyzero.errors import NotFinite
from tinyzero.types import Rollout

_MOST_IN_A_ROW = 3
"""Steps of an adapter. A bad batch is over after one step; what comes three times will come again."""

_logger = logging.getLogger(__name__)


class Skips:
    """Counts, for each adapter, the steps that were skipped in a row."""

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = defaultdict(int)

    def note(self, adapter: str, why: str) -> None:
        """Count a step that was skipped, and warn; without a reason why, it was not.

        Raises:
            NotFinite: it is the third in a row.
        """
        count = self._in_a_row[adapter] = self._in_a_row[adapter] + 1 if why else 0
        if not why:
            return
        if count >= _MOST_IN_A_ROW:
            raise NotFinite(
                f"{count} steps in a row taught adapter {adapter} nothing, since {why}; if it happens again, "
                "start a new run with a lower learner.lr or another model.dtype"
            )
        _logger.warning("adapter %s skips a step, since %s (%d in a row)", adapter, why, count)


def unusable_rollout(own: Sequence[tuple[Rollout, float]]) -> str:
    """Which number of the rollouts, or of the advantages beside them, is not finite; empty if all are."""
    for rollout, advantage in own:
        whose = f"a rollout of {rollout.role} ({rollout.prompt.kind})"
        if not math.isfinite(advantage):
            return f"the advantage of {whose} is {advantage}, from a reward of {rollout.reward.total}"
        if not math.isfinite(sum(rollout.completion.sampler_logprobs)):
            return f"the sampler's logprobs of {whose} are not finite"
    return ""


def unusable_update(loss: float, grad_norm: float) -> str:
    """What of an update is not finite; empty if it can be made."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    return "" if math.isfinite(grad_norm) else f"the norm of the gradient is {grad_norm}"
