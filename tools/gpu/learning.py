"""Sections about the learner: memory against the plan, two losses, optimizers, running out of memory."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from bench.peak_memory import peak_memory
from torch import Tensor

from gpu.setup import Failed, Setup, load, longest_request, num_tokens, request, synchronize
from tinyzero.cli.speed import as_rollouts, mixed_advantages
from tinyzero.config import Settled
from tinyzero.learning.learner import LoraLearner
from tinyzero.policy.policy import Policy
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Role, Rollout

_GIB = 2**30
_SAME_GRADIENT = {"float32": 1e-3, "quantised": 0.1}
"""Relative distance between the gradients of the two losses: other orders of summing, at 24 or at 8 bits."""
_SAME_STEP = 0.2
"""Relative distance between two first steps, which are little more than the sign of the gradient."""


def memory(setup: Setup) -> dict[str, Any]:
    """Peaks of sampling and learning at the full size of the preset, against the plan."""
    config = setup.config()
    policy = load(setup, config)
    policy.stop_ids = frozenset()
    sampler = BuiltinSampler(policy, config.sampling, seed=0)
    asked = longest_request(setup, policy, config)
    held = _held(setup)
    sampled = held + peak_memory(lambda: sampler.sample(asked), setup.device) / _GIB
    reserved = _reserved(setup)
    rollouts = _rollouts(setup, policy, config, prompts=setup.choose(32, 3))
    learner, advantages = _learner(policy, config), mixed_advantages(len(rollouts))
    learner.update(rollouts, advantages)  # which makes the optimizer's state
    held = _held(setup)
    learned = held + peak_memory(lambda: learner.update(rollouts, advantages), setup.device) / _GIB
    return {
        "sampling_gib": sampled,
        "sampling_reserved_gib": reserved,
        "learning_gib": learned,
        "learning_reserved_gib": _reserved(setup),
        "used_beside_torch_gib": _used_beside_torch(setup),
        "prompt_tokens": len(policy.encode(asked.prompts[0])),
        "prompt_tokens_planned": config.sampling.max_prompt_tokens,
        **planned(config),
    }


def planned(config: Settled) -> dict[str, float]:
    """What the memory plan says; its runtime is what the card holds beside torch's tensors."""
    from tinyzero.machine.memory import plan
    from tinyzero.machine.shapes import shape_of

    shape = shape_of(config.model.base)
    if shape is None:
        raise Failed("the plan does not know the shape of the model that was just made", {})
    made = plan(config, shape)
    return {
        "planned_sampling_gib": made.sampling_gib,
        "planned_learning_gib": made.learning_gib,
        "planned_runtime_gib": made.runtime,
    }


def phases(setup: Setup) -> dict[str, Any]:
    """Seconds of a step of the large model: proposals, answers, learning; every answer at its full length."""
    config = setup.config()
    policy = load(setup, config)
    policy.stop_ids = frozenset()
    sampler, learner = BuiltinSampler(policy, config.sampling, seed=0), _learner(policy, config)
    tokens = setup.choose(256, 8)
    proposals = request(setup, prompts=setup.choose(16, 2), samples=1, tokens=tokens, role=Role.PROPOSER)
    answers = request(setup, prompts=setup.choose(16, 2), samples=setup.choose(8, 2), tokens=tokens)
    figures: dict[str, Any] = {}
    rollouts: list[Rollout] = []
    for name, asked in (("propose", proposals), ("solve", answers)):
        started = time.perf_counter()
        completions = sampler.sample(asked)
        figures[f"{name}_s"] = time.perf_counter() - started
        figures[f"{name}_tokens"] = num_tokens(completions)
        rollouts += as_rollouts(asked, completions)
    started = time.perf_counter()
    learned = learner.update(rollouts, mixed_advantages(len(rollouts)))
    synchronize(setup.device)
    figures["learn_s"] = time.perf_counter() - started
    _check_finite(learned)
    return figures | {"sampler_gap_mean": learned["learner/shared/sampler_gap_mean"]}


def gradients(setup: Setup) -> dict[str, Any]:
    """The built-in loss and TRL's on the same answers: nano in float32, and the large model as it trains."""
    plain = ("model.base=nano", "model.dtype=float32", "model.quantization=none")
    figures = {}
    for name, overrides in (("float32", plain), ("quantised", ())):
        config = setup.config(*overrides)
        policy = load(setup, config)
        rollouts = _rollouts(setup, policy, config)
        ours, theirs = (_gradient(policy, config, rollouts, engine) for engine in ("builtin", "trl"))
        distance = float((ours - theirs).norm() / ours.norm())
        figures |= {f"{name}_distance": distance, f"{name}_norm": float(ours.norm())}
        del policy
    for name, limit in _SAME_GRADIENT.items():
        if figures[f"{name}_distance"] > limit:
            raise Failed(f"the gradients of the two losses differ by more than {limit}", figures)
    return figures


def optimizers(setup: Setup) -> dict[str, Any]:
    """One step of each optimizer from the same weights, against AdamW in 32 bit."""
    config = setup.config()
    policy = load(setup, config)
    rollouts = _rollouts(setup, policy, config)
    start = _weights(policy)
    moved = {}
    figures: dict[str, Any] = {}
    for name in ("adamw", "adamw8bit", "paged_adamw8bit"):
        _set_weights(policy, start)
        learner = _learner(policy, config, optimizer=name)
        held = _held(setup)
        _check_finite(learner.update(rollouts, mixed_advantages(len(rollouts))))
        figures[f"{name}_state_mib"] = 1024 * (_held(setup) - held)
        moved[name] = _weights(policy) - start
        figures[f"{name}_distance"] = float((moved[name] - moved["adamw"]).norm() / moved["adamw"].norm())
        if figures[f"{name}_distance"] > _SAME_STEP:
            raise Failed(f"{name} steps elsewhere than adamw", figures)
        del learner
    return figures


def out_of_memory(setup: Setup) -> dict[str, Any]:
    """A card that is too small for the micro-batch: it must be halved, and the gradient must stay."""
    if setup.device.type != "cuda":
        return {"skipped": "only a card can be made smaller; tests/learning does it with a made-up error"}
    config = setup.config("learner.micro_batch_tokens=16384")
    policy = load(setup, config)
    rollouts = _rollouts(setup, policy, config, prompts=48)
    expected = _gradient(policy, config, rollouts, "builtin")
    growth = peak_memory(lambda: _gradient(policy, config, rollouts, "builtin"), setup.device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(setup.device).total_memory
    room = (torch.cuda.memory_reserved(setup.device) + 0.6 * growth) / total
    torch.cuda.set_per_process_memory_fraction(room, setup.device)
    try:
        learner = _learner(policy, config)
        learned = learner.update(rollouts, mixed_advantages(len(rollouts)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, setup.device)
    _check_finite(learned)
    found = learned["learner/shared/micro_batch_tokens"]
    if found >= 16384:
        raise Failed("the micro-batch fitted, so nothing was halved", learned)
    return {
        "growth_gib": growth / _GIB,
        "micro_batch_tokens": found,
        "grad_norm": learned["learner/shared/grad_norm"],
        "grad_norm_with_room": float(expected.norm()),
    }


def _rollouts(setup: Setup, policy: Policy, config: Settled, prompts: int | None = None) -> list[Rollout]:
    policy.stop_ids = frozenset()
    asked = request(
        setup,
        prompts=prompts or setup.choose(16, 3),
        samples=setup.choose(4, 2),
        tokens=setup.choose(128, 8),
    )
    completions = BuiltinSampler(policy, config.sampling, seed=0).sample(asked)
    return as_rollouts(asked, completions)


def _learner(policy: Policy, config: Settled, **changes: str) -> LoraLearner:
    return LoraLearner(policy, config.learner.model_copy(update=changes), config.sampling.temperature)


def _gradient(policy: Policy, config: Settled, rollouts: Sequence[Rollout], engine: str) -> Tensor:
    """The gradient of one step, before clipping; weights are left as they were."""
    kept: dict[int, Tensor] = {}
    before = _weights(policy)
    parameters = policy.trainable_parameters("shared")

    def keep(place: int) -> Any:  # noqa: ANN401
        return lambda parameter: kept.__setitem__(place, parameter.grad.detach().clone().flatten())

    hooks = [
        parameter.register_post_accumulate_grad_hook(keep(place))
        for place, parameter in enumerate(parameters)
    ]
    _learner(policy, config, engine=engine, optimizer="adamw").update(
        rollouts, mixed_advantages(len(rollouts))
    )
    for hook in hooks:
        hook.remove()
    _set_weights(policy, before)
    return torch.cat([kept[place] for place in range(len(parameters))])


def _weights(policy: Policy) -> Tensor:
    """Of all adapters, in a row, as a copy."""
    return torch.cat(
        [
            weight.detach().flatten()
            for adapter in policy.adapters
            for weight in policy.trainable_parameters(adapter)
        ]
    )


@torch.no_grad()
def _set_weights(policy: Policy, values: Tensor) -> None:
    weights = [weight for adapter in policy.adapters for weight in policy.trainable_parameters(adapter)]
    for weight, part in zip(weights, values.split([weight.numel() for weight in weights]), strict=True):
        weight.copy_(part.view_as(weight))


def _held(setup: Setup) -> float:
    return torch.cuda.memory_allocated(setup.device) / _GIB if setup.device.type == "cuda" else 0.0


def _reserved(setup: Setup) -> float:
    """The most that torch took from the card since the last measurement began."""
    return torch.cuda.max_memory_reserved(setup.device) / _GIB if setup.device.type == "cuda" else 0.0


def _used_beside_torch(setup: Setup) -> float:
    """The driver's context, kernels, and other processes on the card."""
    if setup.device.type != "cuda":
        return 0.0
    free, total = torch.cuda.mem_get_info(setup.device)
    return (total - free - torch.cuda.memory_reserved(setup.device)) / _GIB


def _check_finite(metrics: Mapping[str, float]) -> None:
    strange = {name: value for name, value in metrics.items() if not math.isfinite(value)}
    if strange or metrics["learner/shared/skipped"]:
        raise Failed("the update was skipped, or is not finite", dict(metrics))
