"""From logits to tokens: counted uniforms, and the inverse CDF that they go through."""

import math
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

_BLOCK = 256


def uniforms(seed: int, stream: str, *, prompt: int, sample: int, count: int) -> np.ndarray:
    """The first `count` random numbers in [0, 1) of one sample; token t uses number t.

    Philox is a pure function of key and counter, so these depend on their names alone: not on what was drawn
    before, nor on what is sampled beside.
    """
    key = np.frombuffer(blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest(), dtype="<u8")
    counter = np.array(
        [0, sample, prompt, 0], dtype=np.uint64
    )  # the first word counts blocks of four numbers
    raw = np.random.Philox(key=key, counter=counter).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53  # 53 bits, all that a double in [0, 1) can hold


def draw(logits: Tensor, numbers: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """One token per row, and its logprob under the distribution it was drawn from.

    Args:
        logits: [R, V].
        numbers: [R] float64 in [0, 1).
        temperature: 0 takes the likeliest token, and its logprob at temperature 1.

    Returns:
        tokens [R], logprobs [R] float32, nats.
    """
    scaled = logits.float() / (temperature or 1.0)
    shifted = scaled - scaled.amax(dim=-1, keepdim=True)
    weights = shifted.exp()
    tokens = inverse_cdf(weights, numbers) if temperature else weights.argmax(dim=-1)
    return tokens, shifted.gather(1, tokens[:, None])[:, 0] - weights.sum(dim=-1).log()


def inverse_cdf(weights: Tensor, numbers: Tensor) -> Tensor:
    """The first index at which the cumulative weight exceeds that share of the total.

    Args:
        weights: [R, V] float32, at least 0; need not sum to 1. A token of weight 0 is never taken.
        numbers: [R] float64 in [0, 1).
    """
    # In two steps, first the block and then the token in it: float32 sums would lose the tail of a large
    # vocabulary, and one running sum in float64 costs more than everything else here.
    num_rows, vocabulary = weights.shape
    blocks = weights.view(num_rows, -1, math.gcd(vocabulary, _BLOCK))
    cumulative = blocks.sum(dim=-1, dtype=torch.float64).cumsum(dim=-1)  # [R, V / block]
    target = numbers[:, None] * cumulative[:, -1:]
    block = _first_above(cumulative, target)
    rest = target - torch.nn.functional.pad(cumulative, (1, 0)).gather(1, block)
    rows = torch.arange(num_rows, device=weights.device)
    within = blocks[rows, block[:, 0]].cumsum(dim=-1, dtype=torch.float64)  # [R, block]
    return (block * blocks.shape[-1] + _first_above(within, rest))[:, 0]


def _first_above(cumulative: Tensor, target: Tensor) -> Tensor:
    """[R, 1], first index whose cumulative weight exceeds the target, [R, 1]."""
    total = cumulative[:, -1:]
    # Rounding may lift a target to the total, which no index exceeds.
    below_total = total.nextafter(torch.zeros_like(total))
    index = torch.searchsorted(cumulative, target.minimum(below_total), right=True)
    return index.clamp(max=cumulative.shape[-1] - 1)  # NaN is above everything: no index beyond the end
