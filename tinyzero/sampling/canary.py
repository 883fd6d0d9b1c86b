"""The canary: before a run begins, the sampler must agree with the learner about its own answers.

Engines have been seen to write garbage from 4-bit weights, or to leave the adapter off, and to go on without
a word. Training on such answers looks like training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinyzero.errors import SamplerBroken
from tinyzero.types import Completion, Prompt, Role, Sampler, SamplingRequest

MAX_MEAN_GAP = 0.2
"""Nats a token. Other kernels on the same 16-bit or 4-bit weights differ by hundredths; a wrong adapter,
temperature, position or mask by about one. At 0.2 a token, an answer of 50 tokens has a likelihood ratio of
e^10 or e^-10, which no importance weight mends."""
_TEXTS = ("What is 2 + 2?", "Write a Python function f that takes a list and returns it in reverse order.")
_NUM_SAMPLES, _MAX_TOKENS = 4, 16

Score = Callable[[Sequence[Completion]], Sequence[Sequence[float]]]
"""Logprobs of each completion's tokens by teacher forcing, nats, under the adapter that sampled them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Distance between the sampler's logprobs and the learner's, nats a token; NaN where either is none."""

    mean: float
    max: float


def check_sampler(sampler: Sampler, score: Score, *, engine: str, temperature: float) -> Gap:
    """Let every role answer a few words, and compare.

    Args:
        engine: what to call it in the error.

    Raises:
        SamplerBroken: the logprobs are too far apart, or not finite.
    """
    gap = measure_gap(sampler, score, temperature=temperature)
    if not gap.mean <= MAX_MEAN_GAP:  # NaN too
        raise SamplerBroken(
            f"the sampler ({engine}) and the learner disagree about the same answers: {gap.mean:.3g} nats a "
            f"token on average, {gap.max:.3g} at most, where {MAX_MEAN_GAP:g} are bearable; {_advice(engine)}"
        )
    return gap


def measure_gap(sampler: Sampler, score: Score, *, temperature: float) -> Gap:
    """The gap on a few short answers of each role."""
    completions = [completion for role in Role for completion in _sample(sampler, role, temperature)]
    gaps = [
        abs(ours - theirs)
        for completion, scored in zip(completions, score(completions), strict=True)
        for ours, theirs in zip(completion.sampler_logprobs, scored, strict=True)
    ]
    return Gap(mean=sum(gaps) / len(gaps), max=max(gaps, key=lambda gap: gap if gap == gap else float("inf")))


def _sample(sampler: Sampler, role: Role, temperature: float) -> list[Completion]:
    prompts = [Prompt(kind="canary", text=text) for text in _TEXTS]
    short_enough = tuple(prompt for prompt in prompts if sampler.fits(prompt))
    request = SamplingRequest(
        role=role,
        prompts=short_enough or tuple(prompts),  # where none is, the sampler says what to do
        num_samples=_NUM_SAMPLES,
        max_tokens=_MAX_TOKENS,
        stream=f"canary/{role}",
        temperature=temperature,
    )
    return [completion for samples in sampler.sample(request) for completion in samples]


def _advice(engine: str) -> str:
    if engine == "builtin":
        return "set sampling.cuda_graphs to false, model.quantization to none or model.loader to transformers"
    return (
        "a server needs --logprobs-mode processed_logprobs, and a base in the precision that is trained "
        "(docs/vllm.md); or set sampling.engine to builtin"
    )
