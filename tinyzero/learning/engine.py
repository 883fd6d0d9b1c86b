"""The interface of an engine, and the built-in engine: TinyZero's objective on rows with shared prompts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from tinyzero.config import SettledLearner
from tinyzero.learning.batch import MicroBatch, TrainingSample, micro_batches
from tinyzero.learning.objective import Objective, TokenScores, measures, policy_loss
from tinyzero.learning.scoring import score_tokens
from tinyzero.policy.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePart:
    """The completions of one role in a round, with one adapter.

    Attributes:
        samples: the completions that have a gradient.
        num_rollouts, num_tokens: counts over all completions of the role; the loss is averaged over them.
        budget: maximum tokens of a completion of the role.
    """

    samples: tuple[TrainingSample, ...]
    num_rollouts: int
    num_tokens: int
    budget: int


class LossEngine(Protocol):
    """Computes the loss of a step and its gradients."""

    def accumulate(
        self,
        parts: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """Add the gradients of the complete step to the active adapter.

        Args:
            starts: policy logprobs of each sample at the round's start; the first step of a round sets them.
            max_tokens: padded tokens of one forward pass.
            scale: applied to the loss before the backward pass.

        Returns:
            The unscaled loss of the step, and its measures; the keys are those of
            `learner/<adapter>/<measure>`.
        """
        ...


class BuiltinEngine:
    """Micro-batches may mix roles, since the weight of each token is known beforehand."""

    def __init__(self, policy: Policy, config: SettledLearner) -> None:
        self._policy = policy
        self._config = config
        self._objective = Objective(
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            sampler_cap=config.sampler_cap,
            kl_coef=config.kl_coef,
            clip_delta=config.clip_delta,
            ratio=config.ratio,
            form=config.objective,
            entropy_coef=config.entropy_coef,
        )

    def accumulate(
        self,
        parts: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """See `LossEngine`."""
        loss, all_scores, all_entropies = 0.0, [], []
        for batch in self._micro_batches(parts, max_tokens):
            scores, entropies = self._score(batch, starts)
            batch_loss = policy_loss(scores, self._objective, entropies)
            scale(batch_loss).backward()  # type: ignore[no-untyped-call]
            loss += float(batch_loss.detach())
            all_scores.append(scores.detach())
            all_entropies.append(entropies.detach())
        return loss, measures(TokenScores.concatenate(all_scores), torch.cat(all_entropies), self._objective)

    def _micro_batches(self, parts: Sequence[RolePart], max_tokens: int) -> Iterator[MicroBatch]:
        hidden_size = self._policy.model.get_base_model().config.get_text_config().hidden_size
        return micro_batches(
            list(chain.from_iterable(part.samples for part in parts)),
            max_tokens=max_tokens,
            # A layer's linear part takes 24 H^2 operations per token, its attention 4 H per token and place.
            parity_tokens=6 * hidden_size if self._policy.shares_prompts else 0,
            device=self._policy.device,
        )

    def _score(self, batch: MicroBatch, starts: dict[TrainingSample, Tensor]) -> tuple[TokenScores, Tensor]:
        reference_logprobs = None
        if self._config.kl_coef > 0:
            with torch.no_grad(), self._policy.reference():
                reference_logprobs, _ = score_tokens(self._policy, batch)
        policy_logprobs, entropies = score_tokens(self._policy, batch)
        is_first = any(sample not in starts for sample in batch.samples)
        if self._config.updates_per_round > 1 and is_first:
            starts.update(zip(batch.samples, batch.split(policy_logprobs.detach()), strict=True))
        start_logprobs = (
            torch.cat([starts[sample] for sample in batch.samples]) if starts else policy_logprobs.detach()
        )
        scores = TokenScores(
            policy_logprobs=policy_logprobs,
            start_logprobs=start_logprobs,
            sampler_logprobs=batch.sampler_logprobs,
            reference_logprobs=reference_logprobs,
            advantages=batch.advantages,
            weights=batch.weights,
            lengths=batch.lengths if self._config.ratio == "sequence" else None,
        )
        return scores, entropies
