"""`tinyzero bench executor`: the executor's speed, exactness and leaks, measured on this machine."""

import json as json_module
import os
from typing import Annotated

import typer


def bench(
    what: Annotated[str, typer.Argument(help="What to measure; only `executor` so far.")] = "executor",
    hostile: Annotated[
        int,
        typer.Option(
            "--hostile", min=0, help="Also run this many hostile programs and look for leaks (Linux)."
        ),
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the executor at its default limits; takes about a minute on a quiet machine."""
    from tinyzero.execution import Executor, benchmark

    if what != "executor":
        raise typer.BadParameter(f"{what} cannot be measured; only executor can")
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
    if json:
        print(json_module.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:22} {value:10.2f}".rstrip("0").rstrip("."))
