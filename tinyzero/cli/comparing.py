"""`tinyzero eval RUN`: base and trained model answer the same prompts with the same seeds and budget."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyzero.cli.candidate import Candidate
    from tinyzero.cli.profiling import Profiler
    from tinyzero.cli.screen import Screen
    from tinyzero.evaluation.benchmarks.answering import Protocol, Questions
    from tinyzero.evaluation.benchmarks.base import Benchmark, Item
    from tinyzero.evaluation.benchmarks.scoring import GradedAnswer

BASE, TRAINED = "base", "trained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line; None is the benchmark's own value."""

    benches: Sequence[str]
    data: Path | None
    limit: int | None
    samples: int | None
    temperature: float | None
    with_base: bool
    checkpoint: str
    seed: int
    allow_weak_sandbox: bool
    is_profile: bool = False
    price_per_hour: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A benchmark with the tasks that are asked, and their file."""

    benchmark: "Benchmark"
    items: Sequence["Item"]
    path: Path


def measure(target: str, request: Request, screen: "Screen", *, as_json: bool) -> dict[str, Any]:
    """Measure a model on all benchmarks; prints a table after each unless `as_json`.

    Raises:
        ConfigError: a benchmark cannot be asked like this. Others: see `open_candidate`.
    """
    from tinyzero.cli.candidate import open_candidate
    from tinyzero.errors import ConfigError

    opened = [open_asked(name, request) for name in request.benches]  # a wrong name is told before loading
    with ExitStack() as held:
        candidate = open_candidate(target, request.checkpoint, request.seed, screen.wait, held)
        screen.close_wait()
        if not candidate.label and not request.with_base:
            raise ConfigError(f"{candidate.name} is a base model, and --no-base leaves nothing; leave it out")
        profiler = _profiler(candidate, request)
        if profiler is not None and not opened:
            opened = [open_asked(str(profiler.heldout()), request)]
        results = [
            _measure_on(each, candidate, request, screen, profiler, as_json=as_json) for each in opened
        ]
    measured = {"model": candidate.name, "trained": candidate.label, "seed": request.seed, "results": results}
    return measured if profiler is None else measured | _transfer(profiler, screen, as_json=as_json)


def _profiler(candidate: "Candidate", request: Request) -> "Profiler | None":
    from tinyzero.cli.profiling import Profiler

    if not request.is_profile:
        return None
    return Profiler(
        candidate=candidate,
        price_per_hour=request.price_per_hour,
        allow_weak_sandbox=request.allow_weak_sandbox,
    )


def _transfer(profiler: "Profiler", screen: "Screen", *, as_json: bool) -> dict[str, Any]:
    """Gains by domain, over all benchmarks."""
    from tinyzero.cli.profiling import transfer_lines

    transfer = profiler.transfer()
    if transfer is None:
        return {}
    if not as_json:
        for line in transfer_lines(transfer):
            screen.line(line)
    return {"transfer": transfer.as_json()}


def open_asked(name: str, request: Request) -> Opened:
    from tinyzero.evaluation.benchmarks.answering import check_size
    from tinyzero.evaluation.benchmarks.choice import open_benchmark
    from tinyzero.games.choice import ALL_KINDS

    data = request.data and request.data.expanduser()
    benchmark, items, path = open_benchmark(name.strip(), data, ALL_KINDS)
    if request.limit is not None and request.limit < len(items):
        places = sorted(Random("eval").sample(range(len(items)), request.limit))
        items = [items[place] for place in places]
    check_size(len(items), request.samples or benchmark.traits.samples)
    return Opened(benchmark=benchmark, items=items, path=path)


def _measure_on(
    opened: Opened,
    candidate: "Candidate",
    request: Request,
    screen: "Screen",
    profiler: "Profiler | None",
    *,
    as_json: bool,
) -> dict[str, Any]:
    """All models on one benchmark."""
    from tinyzero.evaluation.benchmarks.answering import questions_of

    started = time.monotonic()
    protocol = protocol_of(opened.benchmark, candidate, request)
    questions = questions_of(opened.benchmark, opened.items, candidate.sampler, protocol)
    models = [BASE] * request.with_base + [TRAINED] * bool(candidate.label)

    def ask(model: str, questions: "Questions", protocol: "Protocol") -> list["GradedAnswer"]:
        return answers_of(model, opened, questions, candidate, protocol, request, screen)

    graded = {model: ask(model, questions, protocol) for model in models}
    profile = profiler and profiler.profile(opened.benchmark, questions, protocol, graded, ask)
    screen.close_wait()
    figures = _figures(opened.benchmark, graded)
    figures |= {
        "samples": protocol.samples,
        "temperature": protocol.temperature,
        "max_tokens": protocol.max_tokens,
        "style": protocol.style,
        "data": str(opened.path),
        "prompts_too_long": len(questions.left_out),
        "seconds": round(time.monotonic() - started, 3),
    }
    if not as_json:
        for line in [*_lines(opened.benchmark, figures, graded), *(profile.lines() if profile else ())]:
            screen.line(line)
    return figures | ({"profile": profile.as_json()} if profile else {})


def protocol_of(benchmark: "Benchmark", candidate: "Candidate", request: Request) -> "Protocol":
    """The benchmark's own sampling, unless the command line says otherwise; the budget of the training."""
    from tinyzero.errors import ConfigError
    from tinyzero.evaluation.benchmarks.answering import Protocol

    samples = request.samples or benchmark.traits.samples
    temperature = benchmark.traits.temperature if request.temperature is None else request.temperature
    if samples > 1 and temperature == 0:
        if request.temperature == 0:
            raise ConfigError(
                f"{samples} greedy answers are all the same; raise --temperature, or --samples 1"
            )
        temperature = candidate.config.sampling.temperature
    return Protocol(
        style=candidate.config.prompts.style,
        samples=samples,
        temperature=temperature,
        max_tokens=candidate.config.selfplay.answer_tokens,
        seed=request.seed,
    )


def answers_of(
    model: str,
    opened: Opened,
    questions: "Questions",
    candidate: "Candidate",
    protocol: "Protocol",
    request: Request,
    screen: "Screen",
) -> list["GradedAnswer"]:
    """The graded answers of one model; those that an earlier evaluation wrote are not sampled again."""
    from tinyzero.cli.evaluate import open_tools
    from tinyzero.evaluation.benchmarks.answering import answer, file_name
    from tinyzero.evaluation.benchmarks.scoring import grade
    from tinyzero.machine.usage import CardMeter
    from tinyzero.types import Role

    benchmark, total = opened.benchmark, len(questions.items)
    label = candidate.label if model == TRAINED else BASE
    path = candidate.folder / file_name(benchmark, label, protocol, opened.path, questions)
    screen.note(f"{benchmark.name}, {model}: {total} tasks, {protocol.samples} answers each, kept in {path}")

    def answered(done: int) -> None:
        screen.wait_on_terminal(f"{benchmark.name}, {model}: {done} of {total} tasks answered")

    def graded(done: int) -> None:
        screen.wait_on_terminal(f"{benchmark.name}, {model}: {done} answers graded")

    role = Role.SOLVER if model == TRAINED else None
    joules = CardMeter(candidate.gpu).joules
    answers = answer(benchmark, questions, candidate.sampler, role, protocol, path, answered, joules)
    with ExitStack() as held:
        tools = open_tools(benchmark, held, allow_weak_sandbox=request.allow_weak_sandbox)
        return grade(benchmark, answers, tools, graded)


def _figures(benchmark: "Benchmark", graded: dict[str, list["GradedAnswer"]]) -> dict[str, Any]:
    from tinyzero.evaluation.benchmarks.differences import differences, mean_tokens
    from tinyzero.evaluation.benchmarks.scoring import report

    reports = {
        model: {**report(benchmark, answers), "tokens_per_answer": mean_tokens(answers)}
        for model, answers in graded.items()
    }
    if len(reports) == 1:
        return next(iter(reports.values())) | {"model": next(iter(reports))}
    rows = differences(benchmark, graded[BASE], graded[TRAINED])
    return {
        "bench": benchmark.name,
        "tasks": reports[BASE]["tasks"],
        "accuracy": reports[TRAINED]["accuracy"],
        **reports,
        "differences": {row.name: row.as_json() for row in rows},
    }


def _lines(
    benchmark: "Benchmark", figures: dict[str, Any], graded: dict[str, list["GradedAnswer"]]
) -> Iterator[str]:
    from tinyzero.evaluation.benchmarks.differences import difference_lines, differences
    from tinyzero.evaluation.benchmarks.scoring import table_lines

    yield (
        f"{benchmark.name}: {figures['tasks']} tasks, {figures['samples']} answers each at temperature "
        f"{figures['temperature']:g}, {figures['seconds']:.1f} s"
    )
    if figures["prompts_too_long"]:
        yield f"{figures['prompts_too_long']} more tasks are left out: their prompts do not fit the model"
    if len(graded) == 1:
        yield from table_lines(figures)
    else:
        rows = differences(benchmark, graded[BASE], graded[TRAINED])
        yield from difference_lines(rows, graded[BASE], graded[TRAINED])
