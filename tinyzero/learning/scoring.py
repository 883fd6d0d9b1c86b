"""Logprobs of completion tokens by teacher forcing, through the fused LM head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tinyzero.learning.batch import MicroBatch, TrainingSample, micro_batches
from tinyzero.policy.policy import Policy
from tinyzero.types import Completion

_SCORED_TOKENS = 2048
"""Padded tokens of one forward pass that only looks."""
_SHARED_TOKENS = 1 << 20
"""Enough for all completions of a prompt to share a row."""


def score_tokens(policy: Policy, batch: MicroBatch) -> tuple[Tensor, Tensor]:
    """Logprobs and entropies of the completion tokens under the policy as it is worn, [N] each, nats.

    The fused head never builds the [B, S, V] logits. Hidden states that predict nothing are dropped before
    it: on a CPU it would project them too, and the prompts' places are most of many batches.
    """

    def keep_scored(_module: nn.Module, _inputs: object, outputs: object) -> object:
        outputs.last_hidden_state = outputs.last_hidden_state[batch.is_scored][None]  # type: ignore[attr-defined]
        return outputs  # [1, N, H]

    model = policy.model.get_base_model()
    with model.base_model.register_forward_hook(keep_scored):
        scored = model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            attention_mask=_additive(batch.attention_mask, policy.dtype),
            shift_labels=batch.targets[None],
            fused_lm_head=True,
        )
    return scored.log_probs[0], scored.entropy[0]


@torch.no_grad()
def score_completions(
    policy: Policy,
    completions: Sequence[Completion],
    *,
    shares_prompts: bool = False,
    is_training: bool = False,
    is_reference: bool = False,
) -> list[list[float]]:
    """Logprobs of each completion's tokens, nats, under the adapter that it names, as it is now.

    Args:
        shares_prompts: completions of one prompt lie in one row.
        is_training: with the model in training mode.
        is_reference: with no adapter on.
    """
    scored: dict[int, list[float]] = {}
    policy.model.train(is_training)
    for adapter in {completion.adapter for completion in completions}:
        policy.wear("" if is_reference else adapter)
        places = [place for place, completion in enumerate(completions) if completion.adapter == adapter]
        samples = {_unweighted(completions[place]): place for place in places}
        batches = micro_batches(
            list(samples),
            max_tokens=_SHARED_TOKENS if shares_prompts else _SCORED_TOKENS,
            parity_tokens=_SHARED_TOKENS if shares_prompts else 0,
            device=policy.device,
        )
        for batch in batches:
            logprobs, _ = score_tokens(policy, batch)
            for sample, row in zip(batch.samples, batch.split(logprobs), strict=True):
                scored[samples[sample]] = row.tolist()
    policy.model.train(mode=False)
    return [scored[place] for place in range(len(completions))]


def _unweighted(completion: Completion) -> TrainingSample:
    return TrainingSample(
        prompt_ids=completion.prompt_ids,
        token_ids=completion.token_ids,
        sampler_logprobs=completion.sampler_logprobs,
        advantage=0.0,
        weight=0.0,
    )


def _additive(is_visible: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The form of mask that every attention implementation understands."""
    if is_visible is None:
        return None
    mask = torch.zeros(is_visible.shape, dtype=dtype, device=is_visible.device)
    return mask.masked_fill_(~is_visible, torch.finfo(dtype).min)
