"""Verifies recorded tasks again from their text, and trusts nothing else that a file says about them."""

from collections.abc import Mapping, Sequence

from tinyzero.games.r_zero.question import QUESTION
from tinyzero.run.lines import TaskRecord
from tinyzero.tasks.base import Kind
from tinyzero.tasks.funnel import read_arguments, read_program
from tinyzero.tasks.induction import MAX_INPUTS, refuse_message
from tinyzero.tasks.judging import verify
from tinyzero.types import Proposal, Rejection, Runner, Stage, Task


def verify_again(
    records: Sequence[TaskRecord],
    runner: Runner,
    kinds: Mapping[str, Kind],
    *,
    max_program_chars: int,
    step: int,
) -> list[Task | Rejection]:
    """Send each record through the funnel: the task with newly computed outputs, or the rejection.

    Args:
        step: step of the resulting tasks.
    """
    proposals = [_read_again(record, kinds, max_program_chars=max_program_chars) for record in records]
    return verify(proposals, kinds=kinds, runner=runner, step=step)


def _read_again(
    record: TaskRecord, kinds: Mapping[str, Kind], *, max_program_chars: int
) -> Proposal | Rejection:
    """The proposal of a record, under the same rules as a proposer's answer."""
    if record.kind == QUESTION.name:
        return Rejection(stage=Stage.RAN, detail="a question has no program; most attempts said its answer")
    if record.kind not in kinds:
        return Rejection(stage=Stage.PARSED, detail=f"no task kind {record.kind!r}")
    if not 1 <= len(record.inputs) <= MAX_INPUTS:
        return Rejection(stage=Stage.PARSED, detail=f"{len(record.inputs)} inputs")
    message = " ".join(record.message.split())
    if reason := refuse_message(message):
        return Rejection(stage=Stage.ALLOWED, detail=reason)
    program = read_program(record.program, max_program_chars)
    inputs = [read_arguments(text) for text in record.inputs]
    refused = next((item for item in (program, *inputs) if isinstance(item, Rejection)), None)
    if refused is not None:
        return refused
    return Proposal(
        kind=record.kind,
        program=str(program),
        inputs=tuple(map(str, inputs)),
        message=message,
        parents=record.parents,
    )


def difference(record: TaskRecord, outcome: Task | Rejection) -> str:
    """The difference between a record and its outcome now; empty if there is none."""
    if isinstance(outcome, Rejection):
        return f"not {outcome.stage}: {outcome.detail}"
    if outcome.outputs != record.outputs:
        return f"outputs are now {', '.join(outcome.outputs)}"
    return "" if outcome.id == record.id else f"its id is now {outcome.id}"
