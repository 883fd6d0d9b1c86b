"""The loss: clipped policy gradient and KL divergence to the reference. Pure functions.

N is the number of completion tokens of a micro-batch, flattened; logprobs are nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The constants of the loss; `LearnerConfig` explains each."""

    clip_low: float
    clip_high: float
    sampler_cap: float
    kl_coef: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
    """The values of each completion token, [N] each.

    Attributes:
        policy_logprobs: logprobs of the current policy; the only tensor with a gradient.
        start_logprobs: logprobs of the policy at the start of the round, before its first update.
        sampler_logprobs: logprobs that the sampler computed.
        reference_logprobs: logprobs with the adapter off; None without a KL term.
        advantages: advantage of the token's rollout.
        weights: weight of the token in the loss of the step.
    """

    policy_logprobs: Tensor
    start_logprobs: Tensor
    sampler_logprobs: Tensor
    reference_logprobs: Tensor | None
    advantages: Tensor
    weights: Tensor

    def detach(self) -> "TokenScores":
        return replace(self, policy_logprobs=self.policy_logprobs.detach())

    @staticmethod
    def concatenate(parts: Sequence["TokenScores"]) -> "TokenScores":
        """The tokens of several micro-batches, concatenated."""
        columns: dict[str, Any] = {}
        for column in fields(TokenScores):
            values = [getattr(part, column.name) for part in parts]
            columns[column.name] = None if values[0] is None else torch.cat(values)
        return TokenScores(**columns)


def policy_loss(scores: TokenScores, objective: Objective) -> Tensor:
    """Clipped policy-gradient loss of these tokens. The step's loss is the sum over all micro-batches.

    The ratio is relative to the policy at the round's start: in the first update it is 1 and not clipped.
    The sampler has the same weights but other kernels. A separate, capped weight corrects this difference.

    Source: PPO (arXiv:1707.06347) eq. 7; asymmetric clipping as in DAPO (arXiv:2503.14476); truncated
    importance weight for the sampler as in fengyao.notion.site/off-policy-rl.
    """
    ratio = (scores.policy_logprobs - scores.start_logprobs).exp()
    clipped = ratio.clamp(1 - objective.clip_low, 1 + objective.clip_high)
    gain = torch.minimum(ratio * scores.advantages, clipped * scores.advantages)
    sampler_weight = (scores.start_logprobs - scores.sampler_logprobs).exp().clamp(max=objective.sampler_cap)
    loss = -(scores.weights * sampler_weight * gain).sum()
    if scores.reference_logprobs is None:
        return loss
    divergence = k3(scores.policy_logprobs, scores.reference_logprobs)
    return loss + objective.kl_coef * (scores.weights * divergence).sum()


def k3(policy_logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Estimate of KL(policy || reference) from samples of the policy: unbiased and never negative.

    Source: joschu.net/blog/kl-approx.html; arXiv:2402.03300 eq. 4.
    """
    log_ratio = reference_logprobs - policy_logprobs
    return log_ratio.exp() - log_ratio - 1


@torch.no_grad()
def measures(scores: TokenScores, entropies: Tensor, objective: Objective) -> dict[str, float]:
    """Measures of one update over its tokens; entropies are [N], nats."""
    gap = (scores.policy_logprobs - scores.sampler_logprobs).abs()
    ratio = (scores.policy_logprobs - scores.start_logprobs).exp()
    is_high = (ratio > 1 + objective.clip_high) & (scores.advantages > 0)
    is_low = (ratio < 1 - objective.clip_low) & (scores.advantages < 0)
    measured = {
        "entropy": entropies.mean(),
        "clip_fraction": (is_high | is_low).float().mean(),
        "ratio_max": ratio.max(),
        "sampler_gap_mean": gap.mean(),
        "sampler_gap_max": gap.max(),
    }
    if scores.reference_logprobs is not None:
        measured["kl"] = k3(scores.policy_logprobs, scores.reference_logprobs).mean()
    return {name: float(value) for name, value in measured.items()}


def token_weights(
    lengths: Sequence[int], normalization: Literal["token", "sequence", "fixed"], budget: int
) -> list[float]:
    """The weight of one token of each completion, so that the weighted sum is the configured mean.

    Args:
        lengths: tokens of every completion of one role, including those with advantage 0.
        budget: completion budget, tokens; for "fixed".

    Source: "token" DAPO (arXiv:2503.14476), "sequence" GRPO (arXiv:2402.03300), "fixed" Dr. GRPO
    (arXiv:2503.20783).
    """
    if normalization == "token":
        return [1 / sum(lengths)] * len(lengths)
    if normalization == "sequence":
        return [1 / (len(lengths) * length) for length in lengths]
    return [1 / (len(lengths) * budget)] * len(lengths)
