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
    clip_delta: float | None = None
    ratio: Literal["token", "sequence"] = "token"
    form: Literal["clipped", "cispo"] = "clipped"
    entropy_coef: float = 0.0


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
        lengths: [B], tokens of each completion, in order; only for ratios of sequences.
    """

    policy_logprobs: Tensor
    start_logprobs: Tensor
    sampler_logprobs: Tensor
    reference_logprobs: Tensor | None
    advantages: Tensor
    weights: Tensor
    lengths: Tensor | None = None

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


def policy_loss(scores: TokenScores, objective: Objective, entropies: Tensor | None = None) -> Tensor:
    """Clipped policy-gradient loss of these tokens. The step's loss is the sum over all micro-batches.

    The ratio is relative to the policy at the round's start: in the first update it is 1 and not clipped.
    The sampler has the same weights but other kernels. A separate, capped weight corrects this difference.

    Args:
        entropies: [N], nats, with a gradient; only for an entropy term.

    Source: PPO (arXiv:1707.06347) eq. 7; asymmetric clipping as in DAPO (arXiv:2503.14476); truncated
    importance weight for the sampler as in fengyao.notion.site/off-policy-rl; dual clip arXiv:1912.09729;
    ratio of sequences GSPO (arXiv:2507.18071) eq. 7; CISPO arXiv:2506.13585 eq. 4.
    """
    gain = _gain(scores, objective)
    sampler_weight = (scores.start_logprobs - scores.sampler_logprobs).exp().clamp(max=objective.sampler_cap)
    loss = -(scores.weights * sampler_weight * gain).sum()
    if entropies is not None and objective.entropy_coef > 0:
        loss = loss - objective.entropy_coef * (scores.weights * entropies).sum()
    if scores.reference_logprobs is None:
        return loss
    divergence = k3(scores.policy_logprobs, scores.reference_logprobs)
    return loss + objective.kl_coef * (scores.weights * divergence).sum()


def _gain(scores: TokenScores, objective: Objective) -> Tensor:
    """What each token adds to the objective, [N], without its weights."""
    ratio = _ratio(scores, objective)
    if objective.form == "cispo":
        return ratio.clamp(max=1 + objective.clip_high).detach() * scores.advantages * scores.policy_logprobs
    clipped = ratio.clamp(1 - objective.clip_low, 1 + objective.clip_high)
    if objective.clip_delta is not None:
        ratio = ratio.clamp(max=objective.clip_delta)
    return torch.minimum(ratio * scores.advantages, clipped * scores.advantages)


def _ratio(scores: TokenScores, objective: Objective) -> Tensor:
    """Ratio to the policy at the round's start, [N]: the token's, or the geometric mean of its completion."""
    log_ratios = scores.policy_logprobs - scores.start_logprobs
    if objective.ratio == "token" or scores.lengths is None:
        return log_ratios.exp()
    places = torch.arange(len(scores.lengths), device=log_ratios.device)
    completion_of = places.repeat_interleave(scores.lengths)  # [N]
    sums = log_ratios.new_zeros(len(scores.lengths)).index_add(0, completion_of, log_ratios)
    return (sums / scores.lengths)[completion_of].exp()


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
    ratio = _ratio(scores, objective)
    is_cispo = objective.form == "cispo"  # which cuts the weight off, whatever the advantage
    is_high = (ratio > 1 + objective.clip_high) & (
        scores.advantages != 0 if is_cispo else scores.advantages > 0
    )
    is_low = (ratio < 1 - objective.clip_low) & (scores.advantages < 0) & (not is_cispo)
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
        lengths: tokens of every completion of one role, including those with advantage 0; 0 for one that
            is masked, which counts as a rollout without tokens.
        budget: completion budget, tokens; for "fixed".

    Source: "token" DAPO (arXiv:2503.14476), "sequence" GRPO (arXiv:2402.03300), "fixed" Dr. GRPO
    (arXiv:2503.20783).
    """
    if normalization == "token":
        return [1 / max(1, sum(lengths))] * len(lengths)
    if normalization == "sequence":
        return [1 / (len(lengths) * max(1, length)) for length in lengths]
    return [1 / (len(lengths) * budget)] * len(lengths)
