"""Measures the speed of the executor, the sampler and the learner on this machine, for `tinyzero bench`.

tools/benchmark.py compares the same work with other implementations.
"""

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, cycle, islice
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from tinyzero.config import Settled, load_config, resolve_base
from tinyzero.machine.hardware import look
from tinyzero.machine.settling import settle
from tinyzero.machine.suitability import choose_preset
from tinyzero.types import (
    Answer,
    AttemptRollout,
    Completion,
    ProposalRollout,
    Rejection,
    Resident,
    RewardBreakdown,
    Role,
    Rollout,
    SamplingRequest,
    Stage,
    Verdict,
    VerdictStatus,
)

if TYPE_CHECKING:
    from tinyzero.execution import Executor
    from tinyzero.policy.policy import Policy

_TRIVIAL = "def f(x): return x + 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchWorkload:
    """A model, and the amount of work.

    Attributes:
        samples: answers per prompt, each of at most `tokens` tokens.
        repeats: number of measured laps, after one warm-up lap.
    """

    config: Settled
    prompts: int
    samples: int
    tokens: int
    repeats: int


def workload(
    preset: str | None,
    model: str | None,
    *,
    engine: str = "builtin",
    prompts: int,
    samples: int,
    tokens: int | None,
    repeats: int,
) -> BenchWorkload:
    """The workload of the options. Raises PresetNotFound, and ConfigError for an unknown engine."""
    overrides = [f"sampling.engine={engine}", *([] if model is None else [f"model.base={model}"])]
    machine = look()
    config = settle(load_config(preset or choose_preset(machine), overrides), machine)
    tokens = tokens or config.selfplay.answer_tokens
    return BenchWorkload(config=config, prompts=prompts, samples=samples, tokens=tokens, repeats=repeats)


def executor_speed(executor: "Executor", num_runs: int = 2000, num_threads: int = 4) -> dict[str, float]:
    """Run trivial programs: many in one batch, then single ones, from several threads at once."""
    inputs = [str(number) for number in range(num_runs)]
    started = time.perf_counter()
    executions = executor.run(_TRIVIAL, inputs)
    seconds = time.perf_counter() - started

    def latency_ms(text: str) -> float:
        began = time.perf_counter()
        executor.run(_TRIVIAL, [text])
        return 1000 * (time.perf_counter() - began)

    with ThreadPoolExecutor(num_threads) as threads:
        cuts = quantiles(threads.map(latency_ms, inputs), n=100)
    return {
        "runs_per_s": num_runs / seconds,
        "child_cpu_ms": 1000 * sum(execution.cpu_s for execution in executions) / num_runs,
        "latency_ms_p50": cuts[49],
        "latency_ms_p99": cuts[98],
    }


def sampling_speed(work: BenchWorkload) -> dict[str, Any]:
    """Measure the sampler, with answers of full length and with answers that end by themselves."""
    from tinyzero.sampling.choice import choose_sampler

    load_before = os.getloadavg()[0]
    make_sampler = choose_sampler(work.config)
    policy, sampling_request = load(work.config), request(work)
    sampler, laps, rows = make_sampler(policy, work.config), count(), {}

    def sample() -> int:
        return num_tokens(sampler.sample(replace(sampling_request, stream=f"bench/{next(laps)}")))

    try:
        for name, stop_ids in (("equal lengths", frozenset[int]()), ("natural lengths", policy.stop_ids)):
            policy.stop_ids = stop_ids
            rows[name] = _timed(sample, work.repeats)
    finally:
        if isinstance(sampler, Resident):
            sampler.close()
    return circumstances(work, policy, load_before) | {"rows": rows}


def learning_speed(work: BenchWorkload) -> dict[str, Any]:
    """Measure updates, including the optimizer step, on the model's own answers."""
    import torch

    from tinyzero.learning.learner import LoraLearner
    from tinyzero.sampling.builtin import BuiltinSampler

    load_before = os.getloadavg()[0]
    policy, sampling_request = load(work.config), request(work)
    completions = BuiltinSampler(policy, work.config.sampling, seed=0).sample(sampling_request)
    rollouts, tokens = as_rollouts(sampling_request, completions), num_tokens(completions)
    advantages = mixed_advantages(len(rollouts))
    config = work.config.learner.model_copy(update={"schedule": "constant"})
    budgets = dict.fromkeys(Role, work.tokens)
    learner = LoraLearner(policy, config, policy.temperature, completion_budgets=budgets)

    def update() -> int:
        learner.update(rollouts, advantages)
        if policy.device.type == "cuda":
            torch.cuda.synchronize(policy.device)
        return tokens

    row = _timed(update, work.repeats)
    return circumstances(work, policy, load_before) | {"rows": {"an update": row}}


def load(config: Settled) -> "Policy":
    """The initial policy of a run with this configuration."""
    from tinyzero.policy.device import prepare_device
    from tinyzero.policy.loading import load_policy

    return load_policy(
        config.model,
        config.policy,
        device=prepare_device(config.hardware),
        temperature=config.sampling.temperature,
        seed=config.run.seed,
    )


def request(work: BenchWorkload) -> SamplingRequest:
    """A request with held-out tasks of every kind, repeated if there are fewer tasks than prompts."""
    from tinyzero.evaluation.heldout import find_set, read_set
    from tinyzero.tasks import KINDS

    path = find_set("nano", resolve_base("nano"))
    assert path is not None  # noqa: S101  the package contains it
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


def as_rollouts(request: SamplingRequest, completions: Sequence[Sequence[Completion]]) -> list[Rollout]:
    """Sampled answers as rollouts of the request's role, without verdicts."""
    return [
        _unread(Answer(prompt=prompt, completion=completion), request.role)
        for prompt, samples in zip(request.prompts, completions, strict=True)
        for completion in samples
    ]


def _unread(answer: Answer, role: Role | None) -> Rollout:
    """A rollout without a reward, for code that looks at its tokens only."""
    if role is Role.PROPOSER:
        return ProposalRollout(answer=answer, reward=RewardBreakdown(), outcome=Rejection(stage=Stage.PARSED))
    verdict = Verdict(status=VerdictStatus.MALFORMED)
    return AttemptRollout(answer=answer, reward=RewardBreakdown(), task_id="", verdict=verdict)


def mixed_advantages(size: int) -> list[float]:
    """1 and -1 in equal parts, mixed. The values do not affect the time, but 0 would skip a rollout."""
    advantages = [1.0 if place % 2 else -1.0 for place in range(size)]
    random.Random(0).shuffle(advantages)
    return advantages


def num_tokens(completions: Sequence[Sequence[Completion]]) -> int:
    return sum(len(completion.token_ids) for samples in completions for completion in samples)


def circumstances(work: BenchWorkload, policy: "Policy", load_before: float) -> dict[str, Any]:
    """The conditions of a measurement."""
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


def heading(measured: Mapping[str, Any]) -> list[str]:
    """The conditions in words: the lines above a table."""
    return [
        f"{measured['model']} on {measured['device']}, threads: {measured['threads']}, "
        f"load {measured['load_before']:.1f} before",
        f"{measured['prompts']} prompts x {measured['samples']} answers of at most {measured['tokens']} "
        f"tokens; medians of {measured['repeats']} laps",
        "",
    ]


def as_table(measured: Mapping[str, Any]) -> str:
    """The figures as text, one line per row."""
    rows = measured["rows"].items()
    lines = [f"{name:18}{row['tokens_per_s']:10.0f} tokens/s {row['seconds']:10.2f} s" for name, row in rows]
    return "\n".join([*heading(measured), *lines])


def _timed(work: Callable[[], int], repeats: int) -> dict[str, float]:
    """Medians over laps of work that returns its tokens."""
    laps = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        tokens = work()
        laps.append((tokens, time.perf_counter() - started))
    counted = laps[1:]  # the first compiles and warms up
    return {
        "seconds": round(median(seconds for _, seconds in counted), 4),
        "tokens_per_s": round(median(tokens / seconds for tokens, seconds in counted), 4),
    }
