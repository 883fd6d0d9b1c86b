"""From logits to tokens: counted uniforms, and the inverse CDF that they go through."""

from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor


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
    if temperature == 0:
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        tokens = logprobs.argmax(dim=-1)
    else:
        logprobs = torch.log_softmax(logits.float() / temperature, dim=-1)
        tokens = inverse_cdf(logprobs.exp(), numbers)
    return tokens, logprobs.gather(1, tokens[:, None])[:, 0]


def inverse_cdf(weights: Tensor, numbers: Tensor) -> Tensor:
    """The first index at which the cumulative weight exceeds that share of the total.

    Args:
        weights: [R, V] float32, at least 0; need not sum to 1. A token of weight 0 is never taken.
        numbers: [R] float64 in [0, 1).
    """
    cumulative = weights.cumsum(
        dim=-1, dtype=torch.float64
    )  # float32 would lose the tail of a large vocabulary
    total = cumulative[:, -1:]
    # The product may round up to the total, which no index exceeds.
    share = torch.minimum(numbers[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, share, right=True)[:, 0]
