"""The TRL engine: the loss of GRPOTrainer, from TRL or unsloth, applied to TinyZero's rollouts.

The model's loader decides which of the two is used: importing unsloth rewrites TRL's trainer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tinyzero.config import SettledLearner
from tinyzero.learning.batch import TrainingSample
from tinyzero.learning.engine import RolePart
from tinyzero.learning.trl_loss import TrlLoss
from tinyzero.learning.unsloth_loss import UnslothLoss
from tinyzero.policy.policy import Policy


class TrainerLoss(Protocol):
    """The loss of a foreign trainer. Rows of logprobs are in nats, one per completion token."""

    def logprobs(self, samples: Sequence[TrainingSample]) -> list[Tensor]:
        """One row per sample, for the policy with its active adapter, without gradients."""
        ...

    def backward(
        self,
        part: RolePart,
        samples: Sequence[TrainingSample],
        starts: Sequence[Tensor],
        references: Sequence[Tensor] | None,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """Add the gradients of one micro-batch. The step's loss is the sum of the micro-batches' losses.

        Args:
            starts: logprobs of the policy at the round's start, one row per sample.
            references: logprobs with the adapter off; None without a KL term.
            scale: applied to the loss before the backward pass.

        Returns:
            The unscaled loss, and the micro-batch's mean measures.
        """
        ...


class TrlEngine:
    """Micro-batches of one role, one row per completion."""

    def __init__(self, policy: Policy, config: SettledLearner) -> None:
        """Set up the loss of GRPOTrainer.

        Raises:
            ConfigError: the loss of the installed trl or unsloth version is not supported.
        """
        self._policy = policy
        self._config = config
        self._loss: TrainerLoss = (UnslothLoss if policy.loader == "unsloth" else TrlLoss)(policy, config)

    def accumulate(
        self,
        parts: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """See `LossEngine`."""
        loss, measured = 0.0, _Means()
        for part in parts:
            for samples in _micro_batches(part.samples, max_tokens):
                loss += self._backward(part, samples, starts, scale, measured)
        return loss, measured.result()

    def _backward(
        self,
        part: RolePart,
        samples: Sequence[TrainingSample],
        starts: dict[TrainingSample, Tensor],
        scale: Callable[[Tensor], Tensor],
        measured: "_Means",
    ) -> float:
        if any(sample not in starts for sample in samples):
            starts.update(zip(samples, self._loss.logprobs(samples), strict=True))
        own = [starts[sample] for sample in samples]
        references = None
        if self._config.kl_coef > 0:
            with self._policy.reference():
                references = self._loss.logprobs(samples)
        loss, means = self._loss.backward(part, samples, own, references, scale)
        sampler = [torch.tensor(sample.sampler_logprobs) for sample in samples]
        measured.add(means, torch.cat(own) - torch.cat(sampler).to(own[0].device))
        return loss


def _micro_batches(samples: Sequence[TrainingSample], max_tokens: int) -> Iterator[list[TrainingSample]]:
    """All samples, in batches of at most `max_tokens` padded tokens; more only if one sample has more."""
    batch: list[TrainingSample] = []
    for sample in sorted(samples, key=lambda sample: len(sample.prompt_ids) + len(sample.token_ids)):
        if batch and _padded_tokens([*batch, sample]) > max_tokens:
            yield batch
            batch = []
        batch.append(sample)
    yield batch


def _padded_tokens(samples: Sequence[TrainingSample]) -> int:
    width = max(len(sample.prompt_ids) for sample in samples) + max(
        len(sample.token_ids) for sample in samples
    )
    return len(samples) * width


class _Means:
    """Token-weighted means of the micro-batches' measures over a step."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._num_tokens = 0
        self._gap_max = 0.0

    def add(self, means: dict[str, float], gap: Tensor) -> None:
        """Add a micro-batch of N tokens; gap: [N], policy minus sampler, nats."""
        num_tokens = len(gap)
        for name, value in {**means, "sampler_gap_mean": float(gap.abs().mean())}.items():
            self._sums[name] += value * num_tokens
        self._num_tokens += num_tokens
        self._gap_max = max(self._gap_max, float(gap.abs().max()))

    def result(self) -> dict[str, float]:
        means = {name: total / self._num_tokens for name, total in self._sums.items()}
        return {**means, "sampler_gap_max": self._gap_max}
