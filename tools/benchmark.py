"""Beyond `tinyzero bench`: races against other implementations, and how the executor stands hostile programs.

python tools/benchmark.py sampling                   # the sampler against transformers' generate
python tools/benchmark.py learning                   # the learner against TRL's loss
python tools/benchmark.py executor --hostile 50000   # exactness of timeouts, and leaks (Linux)

In a race both do the same work in turn, so that what else the machine does slows both.
"""

import argparse
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bench import executor as executor_bench
from bench import peers
from bench.laps import Race
from bench.learning import race_against_trl
from bench.sampling import race_against_generate

from tinyzero.cli.speed import (
    BenchWorkload,
    as_rollouts,
    circumstances,
    executor_speed,
    heading,
    load,
    request,
)
from tinyzero.cli.speed import workload as workload_of
from tinyzero.execution import Executor
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.choice import choose_sampler
from tinyzero.types import Resident

_MIB = 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.what == "executor":
        measured = executor(options.hostile)
        lines = [f"{name:56} {value:10.2f}".rstrip("0").rstrip(".") for name, value in measured.items()]
    else:
        race = sampling if options.what == "sampling" else learning
        measured = race(_workload(options))
        lines = as_table(measured)
    print(json.dumps(measured) if options.json else "\n".join(lines))


def executor(num_hostile: int) -> dict[str, Any]:
    """Speed, exactness of timeouts, peers, and what grows over so many hostile programs."""
    results: dict[str, Any] = {"cores": os.cpu_count() or 1, "load_before": os.getloadavg()[0]}
    with Executor() as running:
        results |= {"tier": running.tier} | executor_speed(running)
        results |= executor_bench.batch_with_loops(running) | executor_bench.wrong_timeouts(running)
        if num_hostile:
            results |= executor_bench.leftovers(running, num_hostile)
        results |= peers.proposal_cpu_ms(running)
        for name, speed in peers.compare(running).items():
            results |= {f"{name}: runs/s": speed.runs_per_s, f"{name}: CPU ms": speed.cpu_ms}
    return results


def sampling(work: BenchWorkload) -> dict[str, Any]:
    """The sampler against `generate`, with answers of one length and with answers that end by themselves."""
    load_before = os.getloadavg()[0]
    make_sampler = choose_sampler(work.config)
    policy, asked = load(work.config), request(work)
    sampler, config = make_sampler(policy, work.config), work.config.sampling
    try:
        races = {
            name: race_against_generate(
                policy, config, asked, repeats=work.repeats, stop_ids=stop_ids, sampler=sampler
            )
            for name, stop_ids in (("equal lengths", ()), ("natural lengths", policy.stop_ids))
        }
    finally:
        if isinstance(sampler, Resident):
            sampler.close()
    return {
        **circumstances(work, policy, load_before),
        "contenders": ["built-in" if config.engine == "builtin" else config.engine, "generate"],
        "rows": {name: _figures(race) for name, race in races.items()},
    }


def learning(work: BenchWorkload) -> dict[str, Any]:
    """The learner against TRL's, on answers of the model's own."""
    load_before = os.getloadavg()[0]
    policy, asked = load(work.config), request(work)
    completions = BuiltinSampler(policy, work.config.sampling, seed=0).sample(asked)
    rollouts = as_rollouts(asked, completions)
    raced = race_against_trl(policy, work.config.learner, rollouts, repeats=work.repeats)
    peaks = {"ours_peak_mib": _mib(raced.ours_peak), "theirs_peak_mib": _mib(raced.theirs_peak)}
    return {
        **circumstances(work, policy, load_before),
        "contenders": ["built-in", "TRL"],
        "rows": {"an update": {**_figures(raced.race), **peaks}},
    }


def as_table(measured: Mapping[str, Any]) -> list[str]:
    """For people: both contenders side by side, and the spread of the speedup."""
    ours, theirs = measured["contenders"]
    lines = [*heading(measured), f"{'':28} {ours:>10} {theirs:>10}   speedup (laps side by side)"]
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
    return lines


def _figures(race: Race) -> dict[str, float]:
    return {name: round(value, 4) for name, value in race.figures().items()}


def _mib(size: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(size) else round(size / _MIB, 1)


def _workload(options: argparse.Namespace) -> BenchWorkload:
    return workload_of(
        options.preset,
        options.model,
        engine=options.engine,
        prompts=options.prompts,
        samples=options.samples,
        tokens=options.tokens,
        repeats=options.repeats,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("executor", "sampling", "learning"))
    parser.add_argument("--hostile", type=int, default=0, help="executor: hostile programs to run")
    parser.add_argument("--preset", help="default: the one that fits here")
    parser.add_argument("--model", help="another model: a Hub id or a folder")
    parser.add_argument("--engine", default="builtin", help="sampling: builtin or vllm")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--samples", type=int, default=8, help="answers to each prompt")
    parser.add_argument("--tokens", type=int, help="of an answer at most; default: the preset's")
    parser.add_argument("--repeats", type=int, default=5, help="laps that count, of both in turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    main()
