"""Attention on a card: keys and values that several queries share are read as they are where possible.

A sampled token reads all keys and values before it. Releases of transformers before 5.23 first repeat them,
once for every query of a group: six times the bytes with Qwen2.5 1.5B. And all of them ask torch for grouped
heads where there is no mask; without flash attention torch then computes every score in float32.
"""

from typing import Any

import torch
from torch import Tensor

_FLASH_CAPABILITY = (8, 0)
_FLASH_HEAD_SIZE = 256
_OF_OTHER_MODELS = ("position_bias", "softcap", "cache")
"""Options of transformers' function that change what is computed."""


def use_grouped_attention(device: torch.device) -> None:
    """Have all models of this process that use torch's attention use `attend`; nothing happens on a CPU."""
    if device.type != "cuda":
        return
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS["sdpa"] = attend


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """As `transformers.integrations.sdpa_attention.sdpa_attention_forward`, which computes all other cases.

    Args:
        query: [B, Q, T, D].
        key, value: [B, H, S, D]; Q / H queries share a key.
        attention_mask: additive.

    Returns:
        [B, T, Q, D], and no weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    is_grouped = key.shape[1] < query.shape[1] and key.shape[1] == value.shape[1]
    is_plain = all(options.get(name) is None for name in _OF_OTHER_MODELS)
    if is_grouped and is_plain:
        if _is_one_token(query, attention_mask):
            return _attend_folded(query, key, value, attention_mask, options), None
        if _lacks_kernel(query, key, value, attention_mask, has_flash=_has_flash(query)):
            is_causal = options.get("is_causal")
            is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
            return _attend_repeated(query, key, value, options, is_causal=is_causal), None
    mixed, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return mixed, None


def _is_one_token(query: Tensor, mask: Tensor | None) -> bool:
    """Whether one token of each row attends, with a mask that all its heads share."""
    return query.shape[2] == 1 and mask is not None and mask.dim() == 4 and mask.shape[1] == 1


def _lacks_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, has_flash: bool) -> bool:
    """Whether torch would compute grouped heads with all scores in memory."""
    is_flash = has_flash and key.shape[-1] == value.shape[-1] <= _FLASH_HEAD_SIZE
    return mask is None and query.shape[2] == key.shape[2] and not is_flash


def _has_flash(query: Tensor) -> bool:
    is_16_bit = query.dtype in (torch.float16, torch.bfloat16)
    return is_16_bit and torch.cuda.get_device_capability(query.device) >= _FLASH_CAPABILITY


def _attend_folded(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, options: dict[str, Any]
) -> Tensor:
    """The queries of a group take the places of tokens: [B, Q, 1, D] becomes [B, H, Q / H, D]."""
    folded = query.reshape(query.shape[0], key.shape[1], -1, query.shape[-1])
    mixed = torch.nn.functional.scaled_dot_product_attention(
        folded,
        key,
        value,
        attn_mask=mask,
        dropout_p=options.get("dropout", 0.0),
        scale=options.get("scaling"),
    )
    return mixed.flatten(1, 2)[:, None]


def _attend_repeated(
    query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any], *, is_causal: bool
) -> Tensor:
    """Keys and values once for each query, which memory-efficient attention needs."""
    groups = query.shape[1] // key.shape[1]
    keys, values = (stored.repeat_interleave(groups, dim=1) for stored in (key, value))
    mixed = torch.nn.functional.scaled_dot_product_attention(
        query,
        keys,
        values,
        dropout_p=options.get("dropout", 0.0),
        scale=options.get("scaling"),
        is_causal=is_causal and query.shape[2] > 1,
    )
    return mixed.transpose(1, 2).contiguous()
