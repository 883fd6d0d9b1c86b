"""A lean forward pass for training on a CPU: the logits of transformers' Qwen3, with less work.

The matrix products are computed in bfloat16, which newer CPUs multiply several times as fast; everything
else, and the weights themselves, stay in float32.
"""

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Qwen3ForCausalLM


def logits_of(model: Qwen3ForCausalLM, ids: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """[B, T] -> [B, T, V]; every row begins at the left, what pads it stands on the right.

    Args:
        dtype: of the matrix products.
    """
    rotations = _rotations(model, ids.shape[1])
    x = functional.embedding(ids, model.model.embed_tokens.weight)
    for layer in model.model.layers:
        x = x + _attend(layer.self_attn, _normalize(x, layer.input_layernorm), rotations, dtype)
        x = x + _feed_forward(layer.mlp, _normalize(x, layer.post_attention_layernorm), dtype)
    return _product(_normalize(x, model.model.norm), model.model.embed_tokens.weight, dtype)


def _attend(
    block: torch.nn.Module, x: Tensor, rotations: tuple[Tensor, Tensor], dtype: torch.dtype
) -> Tensor:
    batch, width, size = *x.shape[:2], block.head_dim
    projections = (block.q_proj, block.k_proj, block.v_proj)
    joined = _product(x, torch.cat([projection.weight for projection in projections]), dtype)
    parts = joined.split([projection.out_features for projection in projections], -1)
    query, key, value = (part.view(batch, width, -1, size) for part in parts)
    query = _rotate(_normalize(query, block.q_norm).transpose(1, 2), rotations)
    key = _rotate(_normalize(key, block.k_norm).transpose(1, 2), rotations)
    mixed = functional.scaled_dot_product_attention(
        query, key, value.transpose(1, 2), is_causal=True, enable_gqa=True
    )
    return _product(mixed.transpose(1, 2).reshape(batch, width, -1), block.o_proj.weight, dtype)


def _feed_forward(block: torch.nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor:
    joined = _product(x, torch.cat([block.gate_proj.weight, block.up_proj.weight]), dtype)
    gate, up = joined.chunk(2, -1)
    return _product(functional.silu(gate) * up, block.down_proj.weight, dtype)


def _product(x: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    return functional.linear(x.to(dtype), weight.to(dtype)).float()


def _normalize(x: Tensor, norm: torch.nn.Module) -> Tensor:
    scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
    return x * scale * norm.weight


def _rotations(model: Qwen3ForCausalLM, width: int) -> tuple[Tensor, Tensor]:
    angles = torch.arange(width)[:, None] * model.model.rotary_emb.inv_freq
    angles = torch.cat((angles, angles), -1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, rotations: tuple[Tensor, Tensor]) -> Tensor:
    cosines, sines = rotations
    first, second = x.chunk(2, -1)
    return x * cosines + torch.cat((-second, first), -1) * sines
