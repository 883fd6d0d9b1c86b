"""`tinyzero bench`: the speed of a part, measured on this machine."""

import json as json_module
import os
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from tinyzero.cli.presets import complete_preset


class Part(StrEnum):
    """What is measured."""

    EXECUTOR = "executor"
    SAMPLING = "sampling"
    LEARNING = "learning"


def bench(
    what: Annotated[
        Part,
        typer.Argument(
            help="executor: speed, exactness and leaks. sampling: the built-in sampler against transformers' "
            "generate. learning: the built-in learner against TRL's."
        ),
    ] = Part.EXECUTOR,
    hostile: Annotated[
        int,
        typer.Option(
            "--hostile", min=0, help="executor: also run this many hostile programs, look for leaks (Linux)."
        ),
    ] = 0,
    preset: Annotated[
        str | None,
        typer.Option(
            help="sampling, learning: a preset's model and settings. Default: the one that fits here.",
            autocompletion=complete_preset,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model: a Hub id or a folder.")] = None,
    engine: Annotated[
        str, typer.Option(help="sampling: builtin, or vllm on this machine's card.")
    ] = "builtin",
    prompts: Annotated[int, typer.Option(min=1, help="Prompts, of held-out tasks.")] = 24,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each.")] = 8,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of an answer at most. Default: the preset's.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Laps that count, of each of the two in turn.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a part of TinyZero; takes about a minute on a quiet machine."""
    if what is Part.EXECUTOR:
        _measure_executor(hostile, json=json)
        return
    from tinyzero.cli import bench_model

    workload = bench_model.workload(preset, model, prompts, samples, tokens, repeats, engine=engine)
    measure = bench_model.sampling if what is Part.SAMPLING else bench_model.learning
    measured = measure(workload)
    print(json_module.dumps(measured) if json else bench_model.in_words(measured))


def _measure_executor(hostile: int, *, json: bool) -> None:
    from tinyzero.execution import Executor, benchmark, peers

    load_before = os.getloadavg()[0]
    with Executor() as executor:
        results: dict[str, float] = {
            "tier": executor.tier,
            "cores": os.cpu_count() or 1,
            "load_before": load_before,
        }
        for measure in (
            benchmark.throughput,
            benchmark.latency,
            benchmark.batch_with_loops,
            benchmark.wrong_timeouts,
        ):
            results |= measure(executor)
        if hostile:
            results |= benchmark.leftovers(executor, hostile)
        speeds = peers.compare(executor)
    if json:
        print(json_module.dumps(results | {"peers": {name: asdict(speed) for name, speed in speeds.items()}}))
        return
    for name, value in results.items():
        print(f"{name:22} {value:10.2f}".rstrip("0").rstrip("."))
    print(f"\n{'the same program elsewhere':48} {'runs/s':>8} {'of ours':>8} {'CPU ms':>8}")
    for name, speed in speeds.items():
        share = speed.runs_per_s / speeds["tinyzero"].runs_per_s
        print(f"{name:48} {speed.runs_per_s:8.0f} {share:8.2f} {speed.cpu_ms:8.2f}")
