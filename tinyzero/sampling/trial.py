"""What the canary does to a policy for a while, and undoes: no end tokens, adapters that matter."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from tinyzero.policy.policy import Policy

_STRENGTH = 0.3
"""Change of a layer's output by a moved adapter, where the layer's input has variance 1. Answers of nano and
of random models then differ from the base's by 0.4 to 0.8 nats a token, far above every limit."""


@contextmanager
def endless(policy: Policy) -> Iterator[None]:
    """Answers go on for as long as they may: one that ends at once would show nothing."""
    stop_ids, policy.stop_ids = policy.stop_ids, frozenset()
    try:
        yield
    finally:
        policy.stop_ids = stop_ids


@contextmanager
def moved(policy: Policy) -> Iterator[None]:
    """Give fresh adapters random weights: a sampler that left a fresh one off would look right."""
    halves = [
        (adapter, half)
        for adapter in policy.adapters
        if policy.is_fresh(adapter)
        for half in policy.second_halves(adapter)
    ]
    generator = torch.Generator().manual_seed(0)
    try:
        for adapter, half in halves:
            lora = policy.model.peft_config[adapter]
            spread = _STRENGTH * float(lora.r) ** 0.5 / float(lora.lora_alpha)
            half.data.copy_(torch.randn(half.shape, generator=generator) * spread)
        policy.loads += 1  # other weights of the same version
        yield
    finally:
        for _, half in halves:
            half.data.zero_()
        policy.loads += 1


def random_states(device: torch.device) -> bytes:
    """The states of all generators that a model may draw from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    name, keys, *place = np.random.get_state()
    others = (random.getstate(), name, np.asarray(keys).tolist(), place)
    return b"".join([*(bytes(state.tolist()) for state in states), repr(others).encode()])
