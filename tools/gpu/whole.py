"""Sections about the whole: the machine, the adapters of either loader, and nano that learns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from gpu.setup import Failed, Setup, load, request
from tinyzero.assembly import assemble
from tinyzero.cli.speed import as_rollouts, mixed_advantages
from tinyzero.config import load_config
from tinyzero.learning.learner import LoraLearner
from tinyzero.learning.scoring import score_completions
from tinyzero.machine.hardware import look
from tinyzero.machine.settling import settle
from tinyzero.policy.policy import Policy
from tinyzero.run.events import Event, Measured
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import RunStart, RunSummary
from tinyzero.run.recorder import describe_environment
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.canary import check_sampler
from tinyzero.types import Completion, StepReport


def environment(setup: Setup) -> dict[str, Any]:
    """Versions, and what the card can do."""
    found = describe_environment(preset="gpu_check", seed=0, device=str(setup.device), sandbox_tier="")
    return {name: value for name, value in found.items() if value is not None} | _card(setup)


def _card(setup: Setup) -> dict[str, Any]:
    if setup.device.type != "cuda":
        return {"card": "cpu"}
    card = torch.cuda.get_device_properties(setup.device)
    return {
        "card": card.name,
        "memory_gib": card.total_memory / 2**30,
        "compute_capability": f"{card.major}.{card.minor}",
        "multiprocessors": card.multi_processor_count,
        "cuda": torch.version.cuda,
        "bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
    }


def adapters(setup: Setup) -> dict[str, Any]:
    """Two adapters under transformers: switching, taking off, and gradients that stay apart."""
    return _adapters(setup, "transformers")


def unsloth(setup: Setup) -> dict[str, Any]:
    """The same under unsloth, which asks for a process of its own."""
    if setup.device.type != "cuda":
        return {"skipped": "unsloth needs CUDA"}
    if find_spec("unsloth") is None:
        return {"skipped": "unsloth is not installed"}
    return _adapters(setup, "unsloth")


def _adapters(setup: Setup, loader: str) -> dict[str, Any]:
    config = setup.config("policy.adapters=per-role", f"model.loader={loader}")
    policy = load(setup, config)
    policy.stop_ids = frozenset()
    asked = request(setup, prompts=4, samples=2, tokens=setup.choose(32, 8))
    sampler = BuiltinSampler(policy, config.sampling, seed=0)
    completions = sampler.sample(asked)
    answers = [one for samples in completions for one in samples]
    scores = {name: _scores(policy, answers, name) for name in ("solver", "proposer", "")}
    figures: dict[str, Any] = {
        "loader": policy.loader,
        "solver_to_proposer": _distance(scores["solver"], scores["proposer"]),
        "solver_to_base": _distance(scores["solver"], scores[""]),
        "off_twice": _distance(scores[""], _scores(policy, answers, "")),
    }
    gap = check_sampler(
        sampler,
        partial(score_completions, policy),
        engine=loader,
        temperature=config.sampling.temperature,
    )
    figures |= {"gap_mean": gap.mean, "gap_max": gap.max} | _learned(
        policy, config.learner, asked, completions
    )
    closest = min(figures["solver_to_proposer"], figures["solver_to_base"])
    if closest <= 10 * figures["off_twice"]:
        raise Failed("switching the adapter, or taking it off, changes nothing", figures)
    if not figures["solver_moved"] or figures["proposer_moved"]:
        raise Failed("an update moves the wrong adapter", figures)
    return figures


def _learned(policy: Policy, config: Any, asked: Any, completions: Any) -> dict[str, float]:  # noqa: ANN401
    """How far one update on the solver's answers moves each adapter."""
    before = {name: _flat(policy, name) for name in policy.adapters}
    rollouts = as_rollouts(asked, completions)
    LoraLearner(policy, config, policy.temperature).update(rollouts, mixed_advantages(len(rollouts)))
    return {f"{name}_moved": float((_flat(policy, name) - before[name]).abs().max()) for name in before}


def _flat(policy: Policy, adapter: str) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in policy.trainable_parameters(adapter)])


def _scores(policy: Policy, answers: Sequence[Completion], adapter: str) -> list[float]:
    scored = score_completions(policy, [replace(answer, adapter=adapter) for answer in answers])
    return [value for row in scored for value in row]


def _distance(left: Sequence[float], right: Sequence[float]) -> float:
    return fmean(abs(one - other) for one, other in zip(left, right, strict=True))


def nano(setup: Setup) -> dict[str, Any]:
    """Twenty steps of nano as a person would run them: seconds by phase, and held-out accuracy."""
    steps = setup.choose(20, 1)
    small = ("evaluation.heldout=none", "selfplay.proposals_per_step=3", "selfplay.attempts=2")
    settings = [
        f"hardware.device={setup.device.type}",
        f"run.max_steps={steps}",
        f"run.output={setup.work / 'runs'}",
        *(small if setup.is_small else ()),
    ]
    config = settle(load_config("nano-cpu", settings), look())
    watcher = Watcher()
    run = RunFolder.create(Path(config.run.output), "nano", config)
    with run.exclusive(), assemble(config, run, [watcher]) as trainer:
        trainer.train()
    return watcher.figures()


class Watcher:
    """Keeps the seconds of every step, and what was measured."""

    def __init__(self) -> None:
        self._steps: list[Mapping[str, float]] = []
        self._measured: list[Mapping[str, float]] = []

    def on_start(self, start: RunStart) -> None:
        pass

    def on_step(self, report: StepReport) -> None:
        self._steps.append(report.metrics)

    def on_event(self, event: Event) -> None:
        if isinstance(event, Measured):
            self._measured.append(event.metrics)

    def on_end(self, summary: RunSummary) -> None:
        pass

    def figures(self) -> dict[str, Any]:
        times = [name for name in self._steps[0] if name.startswith("time/")]
        rows = ("heldout/mean/sampled", "heldout/mean/greedy")
        return {
            "steps": len(self._steps),
            **{name: fmean(step.get(name, 0.0) for step in self._steps) for name in times},
            **{
                f"{row} before and after": [at[row] for at in self._measured]
                for row in rows
                if self._measured
            },
        }
