"""Sections about the sampler: speed of its modes against the roofline and `generate`, and its logprobs."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch
from bench.sampling import generate

from gpu.setup import Failed, Setup, load, num_tokens, of_another_lap, randomize, request, synchronize
from tinyzero.errors import ConfigError
from tinyzero.learning.scoring import score_completions
from tinyzero.machine.shapes import shape_of
from tinyzero.machine.timing import bytes_read
from tinyzero.policy.policy import Policy
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.canary import check_sampler, measure_gap
from tinyzero.sampling.choice import choose_sampler
from tinyzero.sampling.vllm.sampler import VllmSampler
from tinyzero.types import Sampler, SamplingRequest

_LAPS = 2


def sampling(setup: Setup) -> dict[str, Any]:
    """Tokens per second of every way to decode the same request, and how much the card's bandwidth allows."""
    config = setup.config()
    policy = load(setup, config)
    policy.stop_ids = frozenset()
    asked = request(
        setup, prompts=setup.choose(32, 3), samples=setup.choose(4, 2), tokens=setup.choose(256, 8)
    )
    alone = replace(asked, prompts=asked.prompts[:1], num_samples=1)
    figures: dict[str, Any] = {"rows": config.sampling.batch_rows, "tokens_each": asked.max_tokens}
    for mode in _modes(setup):
        sampler = BuiltinSampler(policy, config.sampling, seed=0, mode=mode)
        figures[f"{mode}_tokens_per_s"] = _sampling_rate(setup, sampler, asked)
        figures[f"{mode}_one_row_tokens_per_s"] = _sampling_rate(setup, sampler, alone)
        figures[f"{mode}_fell_back"] = sampler.mode != mode
    figures["generate_tokens_per_s"] = _rate(setup, lambda _: generate(policy, config.sampling, asked))
    best = max(figures[f"{mode}_tokens_per_s"] for mode in _modes(setup))
    figures["speedup_over_generate"] = best / figures["generate_tokens_per_s"]
    figures |= _roofline(setup, policy, asked, config.sampling.batch_rows)
    figures["share_of_roofline"] = best / figures["roofline_tokens_per_s"]
    return figures


def vllm(setup: Setup) -> dict[str, Any]:
    """VLLM on the same card: its logprobs, its speed, what it gives back asleep, and how long it takes."""
    config = setup.config("sampling.engine=vllm", f"hardware.device={setup.device.type}")
    try:
        make_sampler = choose_sampler(config)
    except ConfigError as error:
        return {"skipped": str(error)}
    policy = load(setup, config)
    started = time.perf_counter()
    sampler = make_sampler(policy, config)
    assert isinstance(sampler, VllmSampler)  # noqa: S101
    figures: dict[str, Any] = {"start_s": time.perf_counter() - started, "vllm_gib": config.sampling.vllm_gib}
    try:
        score = partial(score_completions, policy)
        gap = check_sampler(sampler, score, engine="vllm", temperature=config.sampling.temperature)
        figures |= {"gap_mean": gap.mean, "gap_max": gap.max}
        figures |= _sleep(setup, sampler)
        randomize(policy, 0.03)
        policy.versions = {name: count + 1 for name, count in policy.versions.items()}
        check_sampler(sampler, score, engine="vllm", temperature=config.sampling.temperature)
        policy.stop_ids = frozenset()
        asked = request(
            setup, prompts=setup.choose(32, 3), samples=setup.choose(4, 2), tokens=setup.choose(256, 8)
        )
        figures["vllm_tokens_per_s"] = _sampling_rate(setup, sampler, asked)
        built_in = BuiltinSampler(policy, config.sampling, seed=0)
        sampler.sleep()
        figures["builtin_tokens_per_s"] = _sampling_rate(setup, built_in, asked)
    finally:
        sampler.close()
    return figures


def _sleep(setup: Setup, sampler: VllmSampler) -> dict[str, float]:
    """Seconds to fall asleep, and the memory of the card that becomes free."""
    free, _ = torch.cuda.mem_get_info(setup.device)
    started = time.perf_counter()
    sampler.sleep()
    seconds = time.perf_counter() - started
    return {"sleep_s": seconds, "freed_gib": (torch.cuda.mem_get_info(setup.device)[0] - free) / 2**30}


def logprobs(setup: Setup) -> dict[str, Any]:
    """The gap between sampler and learner on the quantised model, for every mode; refused as in a run."""
    config = setup.config("policy.adapters=per-role")
    policy = load(setup, config)
    score = partial(score_completions, policy)
    figures: dict[str, Any] = {}
    for mode in _modes(setup):
        sampler = BuiltinSampler(policy, config.sampling, seed=0, mode=mode)
        gap = measure_gap(sampler, score, temperature=config.sampling.temperature)
        figures |= {f"{mode}_gap_mean": gap.mean, f"{mode}_gap_max": gap.max}
    for mode in _modes(setup):
        sampler = BuiltinSampler(policy, config.sampling, seed=0, mode=mode)
        check_sampler(sampler, score, engine=mode, temperature=config.sampling.temperature)
    return figures


def same_tokens(setup: Setup) -> dict[str, Any]:
    """Nano in float32: every mode must draw the same tokens."""
    config = setup.config("model.base=nano", "model.dtype=float32", "model.quantization=none")
    policy = load(setup, config)
    asked = request(
        setup, prompts=setup.choose(24, 3), samples=setup.choose(8, 2), tokens=setup.choose(64, 8)
    )
    drawn = {}
    for mode in _modes(setup):
        completions = BuiltinSampler(policy, config.sampling, seed=0, mode=mode).sample(asked)
        drawn[mode] = [one.token_ids for samples in completions for one in samples]
    figures: dict[str, Any] = {"answers": len(drawn["exact"])}
    for mode, answers in drawn.items():
        figures[f"{mode}_equal"] = sum(map(tuple.__eq__, answers, drawn["exact"]))
        # A tie in the last bit may fall to either side; more than a few are no ties.
        if figures[f"{mode}_equal"] < 0.95 * len(answers):
            raise Failed(f"{mode} draws other tokens than exact", figures)
    return figures


def _modes(setup: Setup) -> tuple[str, ...]:
    return ("exact", "static", "graphs") if setup.device.type == "cuda" else ("exact", "static")


def _sampling_rate(setup: Setup, sampler: Sampler, asked: SamplingRequest) -> float:
    return _rate(setup, lambda lap: num_tokens(sampler.sample(of_another_lap(asked, lap))))


def _rate(setup: Setup, work: Callable[[int], int]) -> float:
    """Median tokens per second of a few laps, after one that does not count."""
    rates = []
    for lap in range(_LAPS + 1):
        synchronize(setup.device)
        started = time.perf_counter()
        amount = work(lap)
        synchronize(setup.device)
        rates.append(amount / (time.perf_counter() - started))
    return median(rates[1:])


def _roofline(setup: Setup, policy: Policy, asked: SamplingRequest, rows: int) -> dict[str, float]:
    """What memory bandwidth allows, by the bytes of a token step that the plan counts."""
    shape = shape_of(str(setup.model_folder))
    assert shape is not None  # noqa: S101  the folder has a config.json
    slots = len(policy.encode(asked.prompts[0])) + asked.max_tokens // 2
    moved, bandwidth = bytes_read(setup.config().model, shape, rows, slots), _bandwidth(setup)
    return {
        "bandwidth_gb_per_s": bandwidth / 1e9,
        "moved_gb": moved / 1e9,
        "roofline_tokens_per_s": rows * bandwidth / moved,
    }


def _bandwidth(setup: Setup) -> float:
    """Bytes per second of a large copy, read and written."""
    source = torch.zeros(setup.choose(1 << 30, 1 << 20), dtype=torch.uint8, device=setup.device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(5):
        synchronize(setup.device)
        started = time.perf_counter()
        target.copy_(source)
        synchronize(setup.device)
        seconds.append(time.perf_counter() - started)
    return 2 * source.numel() / min(seconds)
