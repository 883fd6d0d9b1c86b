"""Verifies recorded tasks again from their text, and trusts nothing else that a file says about them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinyzero.config import RZeroConfig
from tinyzero.games.r_zero.program_question import ProgramQuestion, is_label
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.run.lines import TaskRecord
from tinyzero.tasks.funnel import read_arguments, read_program
from tinyzero.tasks.induction import MAX_INPUTS, refuse_message
from tinyzero.tasks.judging import Verifier, verify
from tinyzero.types import Proposal, Rejection, Runner, Stage, Task

_WORDS: Mapping[str, Verifier] = {QUESTION.name: QUESTION}


def verify_again(
    records: Sequence[TaskRecord],
    runner: Runner,
    kinds: Mapping[str, Verifier],
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


def read_questions(
    records: Sequence[TaskRecord],
    runner: Runner,
    config: RZeroConfig,
    *,
    max_program_chars: int,
    step: int,
) -> list[Task | Rejection]:
    """Each record as a question with its label, which is a vote of another model, or why it is none.

    Programs are run again, and pass the gate of `config`.
    """
    kinds = {QUESTION.name: ProgramQuestion(config.gate)}
    proposals = [
        refused
        if (refused := _refuse_record(record, config))
        else _read_again(record, kinds, max_program_chars=max_program_chars)
        if record.program
        else QUESTION.read_question(record.message, max_program_chars)
        for record in records
    ]
    outcomes = verify(
        proposals, kinds=kinds if config.domain == "programs" else _WORDS, runner=runner, step=step
    )
    return [
        outcome if isinstance(outcome, Rejection) else replace(outcome, outputs=record.outputs)
        for record, outcome in zip(records, outcomes, strict=True)
    ]


def _refuse_record(record: TaskRecord, config: RZeroConfig) -> Rejection | None:
    if record.kind != QUESTION.name:
        return Rejection(
            stage=Stage.PARSED, detail=f"a task of {record.kind}, and R-Zero learns from questions"
        )
    if bool(record.program) != (config.domain == "programs"):
        return Rejection(stage=Stage.PARSED, detail=f'no question of r_zero.domain = "{config.domain}"')
    label = record.outputs[0] if len(record.outputs) == 1 else ""
    if not is_label(label, is_value=bool(record.program)):
        return Rejection(stage=Stage.PARSED, detail="it has no label that can be compared")
    return None


def _read_again(
    record: TaskRecord, kinds: Mapping[str, Verifier], *, max_program_chars: int
) -> Proposal | Rejection:
    """The proposal of a record, under the same rules as a proposer's answer."""
    if record.kind == QUESTION.name and not (record.program and record.kind in kinds):
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
    if record.kind == QUESTION.name:
        return "" if outcome.truth == record.truth else f"its program now returns {outcome.truth}"
    if outcome.outputs != record.outputs:
        return f"outputs are now {', '.join(outcome.outputs)}"
    return "" if outcome.id == record.id else f"its id is now {outcome.id}"
