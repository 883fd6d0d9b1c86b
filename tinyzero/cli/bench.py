"""`tinyzero bench`: measures the speed of a part on this machine."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from tinyzero.cli.presets import complete_preset
from tinyzero.cli.screen import show, show_json

Part = Literal["executor", "scoring", "sampling", "learning"]
"""The part to measure."""


def bench(
    what: Annotated[
        Part,
        typer.Argument(
            help="executor: programs per second. scoring: benchmark answers per second, beside a process for "
            "each answer. sampling and learning: tokens per second of a model."
        ),
    ] = "executor",
    preset: Annotated[
        str | None,
        typer.Option(
            help="For sampling and learning: the preset whose model and settings are "
            "measured. Default: the one that fits this machine.",
            autocompletion=complete_preset,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Measure another model: a Hub id or a folder.")] = None,
    engine: Annotated[
        str, typer.Option(help="The sampler to measure: builtin, or vllm on this machine's card.")
    ] = "builtin",
    prompts: Annotated[int, typer.Option(min=1, help="Number of prompts, taken from held-out tasks.")] = 24,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each.")] = 8,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Maximum length of an answer, tokens. Default: the preset's.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Laps that count.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the speed of a part of TinyZero; takes less than a minute on a quiet machine."""
    if what == "executor":
        _measure_executor(json=json)
        return
    if what == "scoring":
        from tinyzero.cli.scoring_speed import scoring_speed

        _print(scoring_speed(repeats=repeats), json=json)
        return
    from tinyzero.cli import speed

    work = speed.workload(
        preset, model, engine=engine, prompts=prompts, samples=samples, tokens=tokens, repeats=repeats
    )
    measured = speed.sampling_speed(work) if what == "sampling" else speed.learning_speed(work)
    show_json(measured) if json else show(speed.as_table(measured))


def _measure_executor(*, json: bool) -> None:
    from tinyzero.cli.speed import executor_speed
    from tinyzero.execution import Executor

    load_before = os.getloadavg()[0]
    with Executor() as executor:
        machine = {"tier": executor.tier, "cores": os.cpu_count() or 1, "load_before": load_before}
        results = machine | executor_speed(executor)
    _print(results, json=json)


def _print(results: Mapping[str, Any], *, json: bool) -> None:
    if json:
        show_json(results)
        return
    for name, value in results.items():
        show(f"{name:22} {value:10.2f}".rstrip("0").rstrip("."))
