"""The stages that turn a proposal into a task: parsed, allowed, ran, deterministic, not trivial.

Pure decisions about text and executions. The pool decides whether a task is new.
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
# Longer literals test patience instead of reasoning. They are rejected, never cut.
MAX_LITERAL_CHARS = 400
# With fewer runs, it is likely by chance that all but one are the same.
_MIN_TELLING_RUNS = 3


def malformed(detail: str) -> Rejection:
    return Rejection(stage=Stage.PARSED, detail=detail)


def read_program(source: str, max_chars: int) -> str | Rejection:
    """The tidy form of a proposed program, or a rejection."""
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
        return malformed(f"the input is not a literal: {error}")
    reason = _unfit(arguments)
    return Rejection(stage=Stage.ALLOWED, detail=f"the input {reason}") if reason else arguments


def is_unreadable(text: str) -> bool:
    """Whether a text holds a lone surrogate or a NUL, which tokenizers reject and terminals cannot show."""
    return _UNREADABLE.search(text) is not None


def without_call(text: str) -> str:
    """`f(1, 2)` -> `1, 2`; other text is returned unchanged. The result is still only parsed as literals."""
    text = text.strip()
    return text[2:-1] if text.startswith("f(") and text.endswith(")") else text


def refuse_run(execution: Execution) -> Rejection | None:
    """The rejection that follows from a proposal's checked run, or None."""
    if execution.outcome is Outcome.NONDETERMINISTIC:
        return Rejection(stage=Stage.DETERMINISTIC, detail=execution.detail or "results differ between runs")
    if not execution.is_ok:
        return Rejection(stage=Stage.RAN, detail=f"{execution.outcome} {execution.detail}".strip())
    reason = _unfit(render(execution.value))
    return Rejection(stage=Stage.RAN, detail=f"the output {reason}") if reason else None


def _unfit(literal: str) -> str:
    """Why a literal cannot be an answer, or an empty string."""
    if len(literal) > MAX_LITERAL_CHARS:
        return f"has {len(literal)} characters, {MAX_LITERAL_CHARS} are allowed"
    return "contains a code fence, which ends an answer" if "```" in literal else ""


def refuse_trivial(runs: Sequence[tuple[tuple[Any, ...], Any]]) -> Rejection | None:
    """A rejection if the runs show that a program ignores or echoes its input, else None.

    Args:
        runs: (arguments, value), first of the proposal's own run, then of the successful runs on perturbed
            arguments. A single run is accepted, since there is nothing to compare: a program that fails on
            all other inputs does depend on its input.
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
    """A rejection if a program only distinguishes one or a few inputs from all others, else None.

    Args:
        runs: like those of `refuse_trivial`.
    """
    if is_table(program):
        return _trivial("it only looks its input up among constants")
    odd = _odd_place([value for _, value in runs]) if len(runs) > _MIN_TELLING_RUNS else None
    if odd is not None and (tests_for_constants(program) or _is_amid(odd, [row for row, _ in runs])):
        return _trivial("the output is the same for all inputs but one")
    return None


def _odd_place(values: Sequence[Any]) -> int | None:
    """The index of the only different value if all others are the same, else None."""
    for common in values[:2]:
        odd = [place for place, value in enumerate(values) if not same(value, common)]
        if len(odd) == 1:
            return odd[0]
    return None


def _is_amid(place: int, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether other rows have numbers on both sides of this row's number: a single point, not a threshold."""
    if any(len(row) != 1 or type(row[0]) not in (int, float) for row in rows):
        return False
    return bool(min(rows)[0] < rows[place][0] < max(rows)[0])


def refuse_trivial_pairs(pairs: Sequence[tuple[tuple[Any, ...], Any]]) -> Rejection | None:
    """Like `refuse_trivial`, for runs that are all equally important."""
    if all(same(pairs[0][1], value) for _, value in pairs):
        return _trivial("all outputs are the same")
    places = range(min(len(arguments) for arguments, _ in pairs))
    if any(all(same(value, arguments[place]) for arguments, value in pairs) for place in places):
        return _trivial("the outputs repeat an argument")
    return None


def _trivial(detail: str) -> Rejection:
    return Rejection(stage=Stage.NONTRIVIAL, detail=detail)


def make_task(proposal: Proposal, outputs: Sequence[Any], step: int) -> Task:
    """A verified task. Programs that differ only in names get the same id."""
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
