"""The stages that turn a proposal into a task: parsed, allowed, ran, deterministic, not trivial.

Pure decisions about text and executions; whether a task is new is for the pool to say.
"""

import re
from collections.abc import Sequence
from typing import Any

from tinyzero.execution.values import BadLiteral, parse_arguments, render, render_arguments, same
from tinyzero.tasks.allowed import check_allowed
from tinyzero.tasks.programs import BadProgram, canonical, digest, shape, tidy
from tinyzero.tasks.tables import is_table, tests_for_constants
from tinyzero.types import Execution, Outcome, Proposal, Rejection, Stage, Task

_UNREADABLE = re.compile("[\0\ud800-\udfff]")
# Longer literals ask for patience instead of reasoning. What is longer is refused, never cut.
MAX_LITERAL_CHARS = 400
# With fewer runs, all but one being the same is likely by chance.
MIN_TELLING_RUNS = 3


def malformed(detail: str) -> Rejection:
    return Rejection(stage=Stage.PARSED, detail=detail)


def read_program(source: str, max_chars: int) -> str | Rejection:
    """The tidy form of a proposed program, or why it may not be used."""
    if not source.strip():
        return malformed("no program")
    try:
        program = tidy(source)
    except BadProgram as error:
        return Rejection(stage=Stage.ALLOWED, detail=str(error))
    reason = check_allowed(program, max_chars)
    return Rejection(stage=Stage.ALLOWED, detail=reason) if reason else program


def read_arguments(text: str) -> str | Rejection:
    """The canonical source of an argument list, written as `1, 'a'` or as the call `f(1, 'a')`."""
    try:
        arguments = render_arguments(parse_arguments(without_call(text)))
    except BadLiteral as error:
        return malformed(f"the input is no literal: {error}")
    reason = _unfit(arguments)
    return Rejection(stage=Stage.ALLOWED, detail=f"the input {reason}") if reason else arguments


def is_unreadable(text: str) -> bool:
    """Whether a text holds what no tokenizer takes and no terminal shows: half a character, or a NUL."""
    return _UNREADABLE.search(text) is not None


def without_call(text: str) -> str:
    """`f(1, 2)` -> `1, 2`; other text as it is. What is inside is still only ever read as literals."""
    text = text.strip()
    return text[2:-1] if text.startswith("f(") and text.endswith(")") else text


def refuse_run(execution: Execution) -> Rejection | None:
    """Why a proposal's checked run disqualifies it, or None."""
    if execution.outcome is Outcome.NONDETERMINISTIC:
        return Rejection(stage=Stage.DETERMINISTIC, detail=execution.detail or "results differ between runs")
    if not execution.is_ok:
        return Rejection(stage=Stage.RAN, detail=f"{execution.outcome} {execution.detail}".strip())
    reason = _unfit(render(execution.value))
    return Rejection(stage=Stage.RAN, detail=f"the output {reason}") if reason else None


def _unfit(literal: str) -> str:
    """Why a literal cannot be asked for, or an empty string."""
    if len(literal) > MAX_LITERAL_CHARS:
        return f"has {len(literal)} characters, {MAX_LITERAL_CHARS} are allowed"
    return "contains a code fence, which ends an answer" if "```" in literal else ""


def refuse_trivial(runs: Sequence[tuple[tuple[Any, ...], Any]]) -> Rejection | None:
    """Why runs show that a program ignores or echoes its input, or None.

    Args:
        runs: (arguments, value) of the proposal's own run first, then of the successful runs on perturbed
            arguments. With the first alone there is nothing to compare: a program that fails on all other
            inputs does look at its input.
    """
    arguments, value = runs[0]
    if not arguments or all(argument is None for argument in arguments):
        return _trivial("there is no input to vary")
    if len(arguments) == 1 and same(value, arguments[0]):
        return _trivial("the output repeats the input")
    if len(runs) > 1 and all(same(value, other) for _, other in runs[1:]):
        return _trivial("the output is the same for other inputs")
    if any(all(same(out, row[place]) for row, out in runs) for place in range(len(arguments))):
        return _trivial("the output repeats an argument")
    return None


def refuse_choice(program: str, runs: Sequence[tuple[tuple[Any, ...], Any]]) -> Rejection | None:
    """Why a program that only tells one input, or a few, from all others may not become a task, or None.

    Args:
        runs: as in `refuse_trivial`.
    """
    if is_table(program):
        return _trivial("it only looks its input up among constants")
    odd = _odd_place([value for _, value in runs]) if len(runs) > MIN_TELLING_RUNS else None
    if odd is not None and (tests_for_constants(program) or _is_amid(odd, [row for row, _ in runs])):
        return _trivial("the output is the same for all inputs but one")
    return None


def _odd_place(values: Sequence[Any]) -> int | None:
    """Where the only value stands that differs from all others, which are the same; None if it is not so."""
    for common in values[:2]:
        odd = [place for place, value in enumerate(values) if not same(value, common)]
        if len(odd) == 1:
            return odd[0]
    return None


def _is_amid(place: int, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether the one number of a row has others on both sides: no threshold lies there, but a point."""
    if any(len(row) != 1 or type(row[0]) not in (int, float) for row in rows):
        return False
    return bool(min(rows)[0] < rows[place][0] < max(rows)[0])


def refuse_trivial_pairs(pairs: Sequence[tuple[tuple[Any, ...], Any]]) -> Rejection | None:
    """Why runs, none of them the first, show that a program ignores or echoes its input, or None."""
    if all(same(pairs[0][1], value) for _, value in pairs):
        return _trivial("all outputs are the same")
    places = range(min(len(arguments) for arguments, _ in pairs))
    if any(all(same(value, arguments[place]) for arguments, value in pairs) for place in places):
        return _trivial("the outputs repeat an argument")
    return None


def _trivial(detail: str) -> Rejection:
    return Rejection(stage=Stage.NONTRIVIAL, detail=detail)


def make_task(proposal: Proposal, outputs: Sequence[Any], step: int) -> Task:
    """A verified task; its id is the same for programs that differ in names only."""
    program, inputs, message = proposal.program, proposal.inputs, proposal.message
    return Task(
        id=digest(proposal.kind, canonical(program), *inputs, message),
        kind=proposal.kind,
        program=program,
        inputs=inputs,
        outputs=tuple(render(output) for output in outputs),
        message=message,
        shape=shape(program),
        parents=proposal.parents,
        step=step,
    )
