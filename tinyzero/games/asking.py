"""Asks the policy: prompts to answers."""

from collections.abc import Sequence

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
    """One list per prompt, in order, of `num_samples` answers each; see `SamplingRequest`."""
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
