"""What the learner asks of an engine: the gradients of one optimizer step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tinyzero.learning.batch import TrainingSample


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePart:
    """What one role wrote in a round, with one adapter.

    Attributes:
        samples: those that have a gradient.
        num_rollouts, num_tokens: of everything that the role wrote; what the loss is averaged over.
        budget: tokens that a completion of the role may have.
    """

    samples: tuple[TrainingSample, ...]
    num_rollouts: int
    num_tokens: int
    budget: int


class LossEngine(Protocol):
    """Computes the loss of a step, and its gradients."""

    def accumulate(
        self,
        parts: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """Add the gradients of the whole step to the adapter that is worn.

        Args:
            starts: policy logprobs of each sample at the round's start; the first step of a round fills it.
            max_tokens: padded tokens of one forward pass.
            scale: is applied to the loss before its backward pass.

        Returns:
            The loss of the step, unscaled, and what it looked like; the keys are the measures of
            `learner/<adapter>/<measure>`.
        """
        ...
