"""`tinyzero eval RUN RUN ...`: several models answer the same tasks with the same seeds."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinyzero.cli.comparing import BASE, TRAINED, Opened, Request, answers_of, open_asked, protocol_of

if TYPE_CHECKING:
    from tinyzero.cli.candidate import Candidate
    from tinyzero.cli.screen import Screen
    from tinyzero.evaluation.benchmarks.answering import Protocol, Questions
    from tinyzero.evaluation.comparison import Rates
    from tinyzero.evaluation.several import Entrant

_Scores = tuple["Rates", dict[str, Any]]
"""Accuracy by task, and the figures of a benchmark's report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A model on one benchmark."""

    entrant: "Entrant"
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What is asked, and the base models' scores so far: runs on the same base model share them."""

    request: Request
    screen: "Screen"
    bases: dict[tuple[str, str], _Scores] = field(default_factory=dict)


def measure_several(
    targets: Sequence[str], request: Request, screen: "Screen", *, as_json: bool
) -> dict[str, Any]:
    """Measure several models on all benchmarks, one after the other; prints a table each unless `as_json`.

    Raises:
        ConfigError: a benchmark cannot be asked like this, or a model is named twice.
        CheckpointError: a model is missing; told before anything is loaded. Others: see `open_candidate`.
    """
    from tinyzero.cli.candidate import open_candidate

    opened = [open_asked(name, request) for name in request.benches]
    _check_targets(targets, request.checkpoint)
    work = _Work(request=request, screen=screen)
    measured: list[list[_Measured]] = [[] for _ in opened]
    for target in targets:
        with ExitStack() as held:
            candidate = open_candidate(target, request.checkpoint, request.seed, screen.wait, held)
            screen.close_wait()
            for each, rows in zip(opened, measured, strict=True):
                rows.append(_measure(target, each, candidate, work))
    screen.close_wait()
    results = [_result(each, rows, len(opened)) for each, rows in zip(opened, measured, strict=True)]
    if not as_json:
        for result in results:
            for line in result.pop("lines"):
                screen.line(line)
    return {"models": list(targets), "seed": request.seed, "results": results}


def _check_targets(targets: Sequence[str], checkpoint: str) -> None:
    from tinyzero.cli.candidate import find_candidate
    from tinyzero.errors import ConfigError

    places: dict[str, str] = {}
    for target in targets:
        place = find_candidate(target, checkpoint).identity
        if place in places:
            raise ConfigError(f"{places[place]} and {target} are the same model; name each once")
        places[place] = target


def _measure(target: str, opened: Opened, candidate: "Candidate", work: _Work) -> _Measured:
    from tinyzero.evaluation.benchmarks.answering import questions_of
    from tinyzero.evaluation.several import Entrant

    protocol = protocol_of(opened.benchmark, candidate, work.request)
    questions = questions_of(opened.benchmark, opened.items, candidate.sampler, protocol)
    asked = (opened, questions, candidate, protocol)
    needs_base = work.request.with_base or not candidate.label
    base = _base_scores(*asked, work) if needs_base else None
    trained = _scores(TRAINED, *asked, work) if candidate.label else base
    assert trained is not None  # noqa: S101  a base model is always measured
    before = base[0] if base and candidate.label else None
    figures = {**trained[1], "style": protocol.style, "max_tokens": protocol.max_tokens}
    figures |= {"samples": protocol.samples, "temperature": protocol.temperature}
    return _Measured(
        entrant=Entrant(
            name=target,
            after=trained[0],
            before=before,
            family=candidate.family,
            seed=candidate.run_seed,
        ),
        figures=figures | ({"base": base[1]} if base and candidate.label else {}),
    )


def _base_scores(
    opened: Opened, questions: "Questions", candidate: "Candidate", protocol: "Protocol", work: _Work
) -> _Scores:
    """Of the base model, from an earlier candidate where it was the same, asked the same."""
    from tinyzero.evaluation.benchmarks.answering import file_name

    asked = file_name(opened.benchmark, BASE, protocol, opened.path, questions)
    key = (asked, candidate.config.model.model_dump_json() + candidate.config.sampling.engine)
    if key not in work.bases:
        work.bases[key] = _scores(BASE, opened, questions, candidate, protocol, work)
    return work.bases[key]


def _scores(
    model: str,
    opened: Opened,
    questions: "Questions",
    candidate: "Candidate",
    protocol: "Protocol",
    work: _Work,
) -> _Scores:
    from tinyzero.evaluation.benchmarks.differences import mean_tokens
    from tinyzero.evaluation.benchmarks.scoring import by_task, measures, report

    graded = answers_of(model, opened, questions, candidate, protocol, work.request, work.screen)
    figures = {**report(opened.benchmark, graded), "tokens_per_answer": mean_tokens(graded)}
    return measures(opened.benchmark, by_task(graded))["accuracy"], figures


def _result(opened: Opened, rows: Sequence[_Measured], num_sets: int) -> dict[str, Any]:
    """The table of a benchmark for programs, and its `lines` for people."""
    from tinyzero.errors import ConfigError
    from tinyzero.evaluation.several import compare_teams, table_lines, table_record

    name, entrants = opened.benchmark.name, [row.entrant for row in rows]
    tasks = [item.id for item in opened.items if all(item.id in entrant.after for entrant in entrants)]
    if not tasks:
        raise ConfigError(f"{name} has no task whose prompt fits all of these models; compare fewer of them")
    table = compare_teams(entrants, {name: tasks}, num_sets=num_sets)
    return {
        "bench": name,
        "data": str(opened.path),
        **table_record(table),
        "figures": {row.entrant.name: row.figures for row in rows},
        "lines": [f"{name}: {len(tasks)} tasks", *_how_asked(rows), *table_lines(table)],
    }


def _how_asked(rows: Sequence[_Measured]) -> Iterator[str]:
    """How the models were asked: a line for all, or one each where their runs have other settings."""
    ways: dict[str, list[str]] = {}
    for row in rows:
        figures = row.figures
        way = (
            f"{figures['samples']} answers each at temperature {figures['temperature']:g}, at most "
            f"{figures['max_tokens']} tokens, {figures['style']} prompts"
        )
        ways.setdefault(way, []).append(row.entrant.name)
    for way, names in ways.items():
        yield way if len(ways) == 1 else f"{', '.join(names)}: {way}"
