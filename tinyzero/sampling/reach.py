"""How long the canary's prompts are: past every length that a model's configuration names."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from tinyzero.policy.policy import Policy
from tinyzero.types import Prompt

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
