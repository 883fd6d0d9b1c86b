"""The built-in sampler against `generate` of transformers: same model, adapter, prompts and budget.

`generate` is not asked for logprobs, which training needs and the sampler gives: it is timed at its fastest.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bench.laps import Race, race
from tinyzero.cli.speed import num_tokens
from tinyzero.config import SettledSampling
from tinyzero.policy.policy import Policy
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Sampler, SamplingRequest


def race_against_generate(
    policy: Policy,
    config: SettledSampling,
    request: SamplingRequest,
    *,
    repeats: int,
    stop_ids: Collection[int] = (),
    sampler: Sampler | None = None,
) -> Race:
    """Completion tokens per second; every lap draws other random numbers.

    Args:
        sampler: what is raced; None for the built-in one.
        stop_ids: tokens that end an answer, for both; none: all answers use up the budget.
    """
    raced = sampler or BuiltinSampler(policy, config, seed=0)

    def ours(lap: int) -> float:
        return num_tokens(raced.sample(replace(request, stream=f"{request.stream}/{lap}")))

    def theirs(lap: int) -> float:
        torch.manual_seed(lap)
        return generate(policy, config, request)

    with _stopping_at(policy, stop_ids), torch.random.fork_rng():
        return race(ours, theirs, repeats=repeats)


def generate(policy: Policy, config: SettledSampling, request: SamplingRequest) -> int:
    """Sample the request with transformers, as many rows at once as the sampler has; returns the tokens."""
    from transformers import GenerationConfig

    policy.activate(request.role)
    base = policy.model.get_base_model()
    asked = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=request.temperature > 0,
        temperature=request.temperature or 1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=request.max_tokens,
        num_return_sequences=request.num_samples,
        eos_token_id=sorted(policy.stop_ids) or None,
        pad_token_id=policy.pad_id,
    )
    prompts = [policy.encode(prompt) for prompt in request.prompts]
    at_once = max(1, config.batch_rows // request.num_samples)
    num_tokens = 0
    with torch.inference_mode(), _generating_by(base, asked):
        for start in range(0, len(prompts), at_once):
            ids, mask = _pad_left(prompts[start : start + at_once], policy)
            made = base.generate(input_ids=ids, attention_mask=mask)[:, ids.shape[1] :]
            num_tokens += _count(made, policy.stop_ids)
    return num_tokens


@contextmanager
def _stopping_at(policy: Policy, stop_ids: Collection[int]) -> Iterator[None]:
    before, policy.stop_ids = policy.stop_ids, frozenset(stop_ids)
    try:
        yield
    finally:
        policy.stop_ids = before


@contextmanager
def _generating_by(base: torch.nn.Module, asked: object) -> Iterator[None]:
    """An argument would be completed from the model's own settings, and stop at its end tokens."""
    before, base.generation_config = base.generation_config, asked  # type: ignore[assignment]
    try:
        yield
    finally:
        base.generation_config = before


def _pad_left(prompts: list[list[int]], policy: Policy) -> tuple[Tensor, Tensor]:
    """Ids and mask, [B, T]."""
    width = max(map(len, prompts))
    ids = np.full((len(prompts), width), policy.pad_id)
    mask = np.zeros_like(ids)
    for row, seen, prompt in zip(ids, mask, prompts, strict=True):
        row[width - len(prompt) :] = prompt
        seen[width - len(prompt) :] = 1
    return torch.from_numpy(ids).to(policy.device), torch.from_numpy(mask).to(policy.device)


def _count(made: Tensor, stop_ids: Collection[int]) -> int:
    """Tokens of [R, T] up to each row's first stop, which counts."""
    is_stop = torch.isin(made, torch.tensor(sorted(stop_ids), dtype=made.dtype, device=made.device))
    is_behind = is_stop.cumsum(dim=1) - is_stop.long() > 0
    return int((~is_behind).sum())
