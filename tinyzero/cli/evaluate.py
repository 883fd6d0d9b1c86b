"""`tinyzero eval`: measures a model on benchmarks, or scores answers that were written elsewhere."""

import json as json_module
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyzero.cli.choices import Checkpoint, complete_run
from tinyzero.cli.consent import YesPlugins

if TYPE_CHECKING:
    from tinyzero.cli.screen import Screen
    from tinyzero.evaluation.benchmarks.base import Benchmark, Tools

_BENCHES = "cruxeval-o,cruxeval-i"


def evaluate(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="A run, the folder of a checkpoint or an adapter, or a base model (a folder, a Hub id, or "
            "nano). Several are compared with the first, and seeds of a run taken together.",
            metavar="RUN|ADAPTER|MODEL...",
            autocompletion=complete_run,
        ),
    ] = None,
    score: Annotated[
        Path | None,
        typer.Option(help="Score the answers of this JSONL file, without a model.", metavar="FILE.jsonl"),
    ] = None,
    bench: Annotated[
        str | None,
        typer.Option(
            help="cruxeval-o, cruxeval-i, humaneval+, mbpp+, gsm8k, math500, or a JSONL file of tasks; "
            "several for a model, with commas. Default: cruxeval-o,cruxeval-i; for --profile without --data "
            "the model's held-out set.",
            metavar="NAME|FILE.jsonl",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The folder with the benchmark's published file, or the file.", metavar="DIR"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only this many tasks, drawn evenly.")] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Answers to a task. Default: the benchmark's own number."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="0 is greedy. Default: the benchmark's own.")
    ] = None,
    base: Annotated[bool, typer.Option("--base/--no-base", help="Measure the untrained model too.")] = True,
    checkpoint: Checkpoint = "last",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the answers' random numbers.")] = 0,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Measure F1@K, robustness, economy and transfer beside accuracy."),
    ] = False,
    price_per_hour: Annotated[
        float | None, typer.Option(min=0.0, help="For --profile: dollars that an hour of this machine costs.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow_weak_sandbox: Annotated[
        bool,
        typer.Option("--allow-weak-sandbox", help="Run programs even if this machine cannot confine them."),
    ] = False,
    yes_plugins: YesPlugins = False,
) -> None:
    """Measure a model on benchmarks, trained against base, or score answers from elsewhere (--score)."""
    from tinyzero.cli.candidate import plug_in_target
    from tinyzero.cli.comparing import Request, measure
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.several import measure_several
    from tinyzero.errors import ConfigError

    if bool(targets) == bool(score):
        raise ConfigError(
            "name what to measure: a run, an adapter or a model, or --score FILE.jsonl; not both"
        )
    if profile and score is not None:
        raise ConfigError("--profile asks a model; name one in place of --score")
    if price_per_hour is not None and not profile:
        raise ConfigError("--price-per-hour is for --profile; add it")
    benches = (bench or _BENCHES).split(",") if bench or data or not profile else []
    if score is not None and len(benches) > 1:
        raise ConfigError("--score takes answers to a single benchmark; name it with --bench")
    screen = Screen(sys.stdout, sys.stderr)
    try:
        if score is not None:
            figures = _score(score, benches[0], data, screen, allow_weak_sandbox=allow_weak_sandbox)
            screen.close_wait()
            _print(figures, screen, as_json=json)
            return
        request = Request(
            benches=tuple(benches),
            data=data,
            limit=limit,
            samples=samples,
            temperature=temperature,
            with_base=base,
            checkpoint=checkpoint,
            seed=seed,
            allow_weak_sandbox=allow_weak_sandbox,
            is_profile=profile,
            price_per_hour=price_per_hour,
        )
        if profile and len(targets or ()) > 1:
            raise ConfigError("--profile takes one run, adapter or model; profile each by itself")
        for target in targets or ():
            plug_in_target(target, is_agreed=yes_plugins)  # a file of tasks may be of its kinds
        if len(targets or ()) > 1:
            measured = measure_several(targets or (), request, screen, as_json=json)
        else:
            measured = measure("".join(targets or ()), request, screen, as_json=json)
        if json:
            screen.line(json_module.dumps(measured))
    except KeyboardInterrupt:
        screen.note("interrupted; the same command goes on from here")
        raise
    finally:
        screen.close()


def _score(
    file: Path, name: str, data: Path | None, screen: "Screen", *, allow_weak_sandbox: bool
) -> dict[str, Any]:
    """The figures of a file of answers. Raises ConfigError."""
    from tinyzero.evaluation.benchmarks.answers import read_answers
    from tinyzero.evaluation.benchmarks.choice import open_benchmark
    from tinyzero.evaluation.benchmarks.scoring import grade, report
    from tinyzero.games.choice import ALL_KINDS

    started = time.monotonic()
    benchmark, items, path = open_benchmark(name, data and data.expanduser(), ALL_KINDS)
    answers = read_answers(file.expanduser(), benchmark, items)

    def progress(done: int) -> None:
        screen.wait_on_terminal(f"{benchmark.name}: {done} of {len(answers)} answers graded")

    with ExitStack() as held:
        tools = open_tools(benchmark, held, allow_weak_sandbox=allow_weak_sandbox)
        graded = grade(benchmark, answers, tools, progress)
    return {
        **report(benchmark, graded),
        "tasks_in_set": len(items),
        "data": str(path),
        "seconds": round(time.monotonic() - started, 3),
    }


def open_tools(benchmark: "Benchmark", held: ExitStack, *, allow_weak_sandbox: bool) -> "Tools":
    """The sandbox with this benchmark's limit of CPU time, and a comparer, which starts when it is needed."""
    from tinyzero.config import ExecutionConfig
    from tinyzero.evaluation.benchmarks.base import Tools
    from tinyzero.execution import Executor
    from tinyzero.games.choice import ALL_KINDS
    from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer

    limit = {} if benchmark.traits.cpu_s is None else {"cpu_s": benchmark.traits.cpu_s}
    limits = ExecutionConfig(allow_weak_sandbox=allow_weak_sandbox, **limit)
    return Tools(
        runner=held.enter_context(Executor(limits)),
        comparer=held.enter_context(AnswerComparer(workers=2, allow_weak_sandbox=allow_weak_sandbox)),
        kinds=ALL_KINDS,
    )


def _print(figures: dict[str, Any], screen: "Screen", *, as_json: bool) -> None:
    from tinyzero.evaluation.benchmarks.scoring import table_lines

    if as_json:
        screen.line(json_module.dumps(figures))
        return
    screen.line(f"{figures['bench']} ({figures['data']}), scored in {figures['seconds']:.1f} s")
    for line in table_lines(figures):
        screen.line(line)
    if figures["tasks"] < figures["tasks_in_set"]:
        missing = figures["tasks_in_set"] - figures["tasks"]
        screen.line(
            f"{missing} of {figures['tasks_in_set']} tasks have no answer in the file and do not count"
        )
