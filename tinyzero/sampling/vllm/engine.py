"""What the sampler asks of a vLLM, wherever it runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tinyzero.config import VLLM_RANKS


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpec:
    """One sample of one prompt.

    Attributes:
        seed: of this sample alone, 0 to 2^63 - 1.
        max_tokens: at least 1, and prompt and completion fit into the context.
    """

    prompt_ids: tuple[int, ...]
    seed: int
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was sampled.

    Attributes:
        token_ids: the end token included where one was drawn.
        logprobs: nats, aligned with `token_ids`, after the temperature; at temperature 0 those at 1.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """An adapter as the engine knows it. Other weights have another name, number and folder.

    Attributes:
        folder: as peft saves it; must stay for as long as the adapter is served, since the engine may forget
            an adapter and read it again.
    """

    name: str
    number: int
    folder: Path


class VllmEngine(Protocol):
    """A vLLM with the base model. All of it raises SamplerBroken where it does not answer as it should."""

    @property
    def context_tokens(self) -> int:
        """Longest sequence, prompt and completion, that it takes."""
        ...

    def load(self, adapter: HandedOver) -> None:
        """Be ready to serve it."""
        ...

    def unload(self, adapter: HandedOver) -> None:
        """Forget it; nothing asks for it any more."""
        ...

    def generate(
        self,
        specs: Sequence[SampleSpec],
        *,
        adapter: HandedOver | None,
        temperature: float,
        stop_ids: Collection[int],
    ) -> list[Drawn]:
        """One for each spec, in order, sampled from the whole distribution (no top-p, no top-k).

        Args:
            adapter: None for the base model itself.
            temperature: 0 is greedy.
            stop_ids: tokens that end a completion, and the only ones.
        """
        ...

    def sleep(self) -> None:
        """Give the card's memory back until the next call of `load` or `generate`."""
        ...

    def close(self) -> None:
        """Stop what was started."""
        ...


def lora_rank_for(rank: int) -> int:
    """The smallest rank that a vLLM can be made for and that holds ours."""
    return next(able for able in VLLM_RANKS if able >= rank)
