"""Attention of the one new token of each row, on a CPU, where reading keys and values takes its time.

The kernel of torch reads as far as the longest row reaches, for all rows, and is made for many queries.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_NAME = "tinyzero_blocks"
_current: ContextVar[tuple[Sequence["Block"], Tensor]] = ContextVar("blocks")
_BLOCKS = 4
"""Rows start sorted by length. Four blocks of nano's 192 rows spare most of what can be spared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Neighbouring rows, and how far the longest of them reaches. N rows of H key heads, W slots.

    Attributes:
        mask: [N * H, 1, W], additive.
    """

    rows: slice
    window: int
    mask: Tensor


def blocks(mask: Tensor, positions: Tensor, num_key_heads: int) -> tuple[Block, ...]:
    """Cut R rows into blocks.

    Args:
        mask: [R, 1, 1, slots], additive.
        positions: [R], the last slot that each row sees.
    """
    size = -(-len(positions) // _BLOCKS)
    cut = []
    for start in range(0, len(positions), size):
        rows = slice(start, start + size)
        window = int(positions[rows].max()) + 1
        own = mask[rows, 0, :, :window].repeat_interleave(num_key_heads, dim=0)
        cut.append(Block(rows=rows, window=window, mask=own))
    return tuple(cut)


@contextmanager
def by_blocks(config: Any, blocks: Sequence[Block], mask: Tensor) -> Iterator[None]:  # noqa: ANN401
    """The model of this configuration attends through `attend` for a while.

    Not all models would pass the blocks on to it, so it finds them itself.

    Args:
        mask: that the model is given, and the blocks are cut from.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if _NAME not in ALL_ATTENTION_FUNCTIONS.valid_keys():
        ALL_ATTENTION_FUNCTIONS.register(_NAME, attend)
    before, config._attn_implementation = config._attn_implementation, _NAME
    token = _current.set((blocks, mask))
    try:
        yield
    finally:
        _current.reset(token)
        config._attn_implementation = before


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **options: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Block by block; the query heads of one key head are computed together.

    Args:
        query: [R, Q, 1, D].
        key, value: [R, H, slots, D], slices of one storage in which heads follow each other; the values may
            have another D, as those of latent attention have.
        attention_mask: where a layer has put something of its own into it, torch's kernel computes with that;
            and where keys have more heads than what is stored, as those of latent attention have.

    Returns:
        [R, 1, Q, D of the values], and no weights.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    own_blocks, own_mask = _current.get()
    has_own_mask = attention_mask is not None and attention_mask.data_ptr() != own_mask.data_ptr()
    num_stored = own_blocks[0].mask.shape[0] // len(range(*own_blocks[0].rows.indices(len(query))))
    if has_own_mask or key.shape[1] != num_stored:
        attend_alone = ALL_ATTENTION_FUNCTIONS["sdpa"]
        mask = own_mask if attention_mask is None else attention_mask
        mixed, _ = attend_alone(module, query, key, value, mask, scaling=scaling, **options)
        return mixed, None
    num_rows, num_heads, _, size = query.shape
    num_key_heads = key.shape[1]
    queries = query.reshape(num_rows, num_key_heads, -1, size)
    mixed = queries.new_empty(*queries.shape[:-1], value.shape[-1])
    for block in own_blocks:
        own_queries, own = queries[block.rows].flatten(0, 1), mixed[block.rows].flatten(0, 1)
        keys, values = (
            stored[block.rows, :, : block.window].flatten(0, 1) for stored in (key, value)
        )  # [N * H, W, D]
        scores = torch.baddbmm(
            block.mask, own_queries, keys.transpose(1, 2), alpha=size**-0.5 if scaling is None else scaling
        )
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(values.dtype)
        torch.bmm(weights, values, out=own)
    return mixed.view(num_rows, 1, num_heads, value.shape[-1]), None
