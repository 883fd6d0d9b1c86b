"""What `tinyzero bench sampling` and `bench learning` measure, and how it is shown."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from tinyzero.cli.hardware import choose_preset, look
from tinyzero.config import Config, load_config
from tinyzero.types import Resident

if TYPE_CHECKING:
    from tinyzero.policy import Policy
    from tinyzero.race import Race
    from tinyzero.types import SamplingRequest

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A model and what it is asked: the same for both that are compared.

    Attributes:
        repeats: laps of each that count.
    """

    config: Config
    prompts: int
    samples: int
    tokens: int
    repeats: int


def workload(
    preset: str | None,
    model: str | None,
    prompts: int,
    samples: int,
    tokens: int | None,
    repeats: int,
    *,
    engine: str = "builtin",
) -> Workload:
    """What the options mean. Raises PresetNotFound, and ConfigError for an engine that is none."""
    overrides = [f"sampling.engine={engine}", *([] if model is None else [f"model.base={model}"])]
    config = load_config(preset or choose_preset(look()), overrides)
    return Workload(
        config=config,
        prompts=prompts,
        samples=samples,
        tokens=tokens or config.selfplay.answer_tokens,
        repeats=repeats,
    )


def sampling(work: Workload) -> dict[str, Any]:
    """The sampler against `generate`, with answers of one length and with answers that end by themselves."""
    from tinyzero.sampling.benchmark import race_against_generate
    from tinyzero.sampling.choice import choose_sampler

    load_before = os.getloadavg()[0]
    make_sampler = choose_sampler(work.config)
    policy = _load(work.config)
    request = _request(work)
    sampler = make_sampler(policy, work.config)
    try:
        rows = {
            name: race_against_generate(
                policy,
                work.config.sampling,
                request,
                repeats=work.repeats,
                stop_ids=stop_ids,
                sampler=sampler,
            )
            for name, stop_ids in (("equal lengths", ()), ("natural lengths", policy.stop_ids))
        }
    finally:
        if isinstance(sampler, Resident):
            sampler.close()
    engine = work.config.sampling.engine
    return {
        **_circumstances(work, policy, load_before),
        "contenders": ["built-in" if engine == "builtin" else engine, "generate"],
        "rows": {name: _figures(row) for name, row in rows.items()},
    }


def learning(work: Workload) -> dict[str, Any]:
    """The learner against TRL's, on answers of the model's own."""
    from tinyzero.learning.benchmark import as_rollouts, race_against_trl
    from tinyzero.sampling.builtin import BuiltinSampler

    load_before = os.getloadavg()[0]
    policy, request = _load(work.config), _request(work)
    completions = BuiltinSampler(policy, work.config.sampling, seed=0).sample(request)
    rollouts = as_rollouts(request, completions)
    raced = race_against_trl(policy, work.config.learner, rollouts, repeats=work.repeats)
    peaks = {"ours_peak_mib": _mib(raced.ours_peak), "theirs_peak_mib": _mib(raced.theirs_peak)}
    return {
        **_circumstances(work, policy, load_before),
        "contenders": ["built-in", "TRL"],
        "rows": {"an update": {**_figures(raced.race), **peaks}},
    }


def in_words(measured: Mapping[str, Any]) -> str:
    """A table for people."""
    ours, theirs = measured["contenders"]
    lines = [
        f"{measured['model']} on {measured['device']}, threads: {measured['threads']}, "
        f"load {measured['load_before']:.1f} before",
        f"{measured['prompts']} prompts x {measured['samples']} answers of at most {measured['tokens']} "
        f"tokens; medians of {measured['repeats']} laps",
        "",
        f"{'':28} {ours:>10} {theirs:>10}   speedup (laps side by side)",
    ]
    for name, row in measured["rows"].items():
        spread = f"{row['speedup_min']:.2f} to {row['speedup_max']:.2f}"
        lines += [
            f"{name + ', tokens/s':28} {row['ours_per_s']:10.0f} {row['theirs_per_s']:10.0f}   "
            f"{row['speedup']:.2f} ({spread})",
            f"{name + ', s':28} {row['ours_s']:10.2f} {row['theirs_s']:10.2f}",
        ]
        if row.get("ours_peak_mib") is not None:
            peaks = f"{row['ours_peak_mib']:10.0f} {row['theirs_peak_mib']:10.0f}"
            lines.append(f"{name + ', peak MiB':28} {peaks}")
    return "\n".join(lines)


def _load(config: Config) -> "Policy":
    from tinyzero.policy import load_policy, prepare_device

    return load_policy(
        config.model,
        config.policy,
        device=prepare_device(config.hardware),
        temperature=config.sampling.temperature,
        seed=config.run.seed,
    )


def _request(work: Workload) -> "SamplingRequest":
    """Held-out tasks of every kind, over and over where more are asked for than there are."""
    from tinyzero.evaluation.heldout import find_set, read_set
    from tinyzero.policy import resolve_base
    from tinyzero.tasks import KINDS
    from tinyzero.types import Role, SamplingRequest

    nano = resolve_base("nano")
    path = find_set("nano", nano, nano)
    assert path is not None  # noqa: S101  it ships
    tasks = [item.task for item in read_set(path, KINDS).tasks]
    spread = tasks[:: max(1, len(tasks) // work.prompts)]
    style = work.config.prompts.style
    return SamplingRequest(
        role=Role.SOLVER,
        prompts=tuple(
            KINDS[task.kind].solve_prompt(task, style) for task in islice(cycle(spread), work.prompts)
        ),
        num_samples=work.samples,
        max_tokens=work.tokens,
        stream="bench",
        temperature=work.config.sampling.temperature,
    )


def _circumstances(work: Workload, policy: "Policy", load_before: float) -> dict[str, Any]:
    import torch

    on_cuda = policy.device.type == "cuda"
    return {
        "model": work.config.model.base,
        "device": torch.cuda.get_device_name(policy.device) if on_cuda else "cpu",
        "threads": torch.get_num_threads(),
        "load_before": load_before,
        "prompts": work.prompts,
        "samples": work.samples,
        "tokens": work.tokens,
        "repeats": work.repeats,
    }


def _figures(race: "Race") -> dict[str, float]:
    return {name: round(value, 4) for name, value in race.figures().items()}


def _mib(size: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(size) else round(size / _MIB, 1)
