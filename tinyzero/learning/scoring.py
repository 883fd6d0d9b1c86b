"""Logprobs of completion tokens by teacher forcing, through the fused LM head."""

import torch
from torch import Tensor, nn

from tinyzero.learning.batch import Batch
from tinyzero.policy import Policy


def score_tokens(policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
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


def _additive(is_visible: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The form of mask that every attention implementation understands."""
    if is_visible is None:
        return None
    mask = torch.zeros(is_visible.shape, dtype=dtype, device=is_visible.device)
    return mask.masked_fill_(~is_visible, torch.finfo(dtype).min)
