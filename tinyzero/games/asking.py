"""Helpers for every game: sample answers to prompts, and measure the wall seconds of each phase."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tinyzero.types import Answer, Prompt, Role, Sampler, SamplingRequest


def ask(
    sampler: Sampler,
    role: Role,
    prompts: Sequence[Prompt],
    *,
    num_samples: int,
    max_tokens: int,
    stream: str,
    temperature: float,
) -> list[list[Answer]]:
    """Sample `num_samples` answers per prompt: one list per prompt, in order. See `SamplingRequest`."""
    if not prompts:
        return []
    request = SamplingRequest(
        role=role,
        prompts=tuple(prompts),
        num_samples=num_samples,
        max_tokens=max_tokens,
        temperature=temperature,
        stream=stream,
    )
    return [
        [Answer(prompt=prompt, completion=completion) for completion in group]
        for prompt, group in zip(prompts, sampler.sample(request), strict=True)
    ]


class Stopwatch:
    """`with watch("solve"): ...` adds the block's wall seconds to `watch.seconds["solve"]`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = self._clock()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + self._clock() - started
