"""What the canary does to a policy for a while, and undoes: no end tokens, adapters that matter."""

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import numpy as np
import torch

from tinyzero.policy.policy import Policy
from tinyzero.types import Prompt

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


_WORDS = ("window", "position", "length", "chunk", "context", "seq", "block", "local")
_LEAST, _MOST_TRIES = 32, 4


def lengths_to_try(policy: Policy, max_tokens: int) -> list[int]:
    """Lengths that a run can reach: those that the configuration names, and the run's own limit.

    Args:
        max_tokens: of the longest sequence that the run may have.
    """
    longest = min(max_tokens, policy.context_tokens)
    config = policy.model.get_base_model().config.get_text_config().to_dict()
    named = {length for length in _lengths_in(config) if _LEAST <= length < longest}
    return [*sorted(named)[:_MOST_TRIES], longest]


def text_of(policy: Policy, num_tokens: int) -> str:
    """A prompt of different words that has about so many tokens in its frame, and no more."""
    random = Random("canary")
    words = [str(random.randrange(1000)) for _ in range(num_tokens)]

    def count(num_words: int) -> int:
        prompt = Prompt(kind="canary", text=" ".join(words[:num_words]))
        return len(policy.encode(prompt))

    fitting = bisect_right(range(1, len(words) + 1), num_tokens, key=count)
    return " ".join(words[:fitting])


def _lengths_in(config: Mapping[str, Any]) -> Iterator[int]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _lengths_in(value)
        elif any(word in str(name) for word in _WORDS):
            yield from (each for each in _listed(value) if type(each) is int)


def _listed(value: Any) -> Sequence[Any]:  # noqa: ANN401
    """A length for all layers, or one for each."""
    return value if isinstance(value, list | tuple) else (value,)
