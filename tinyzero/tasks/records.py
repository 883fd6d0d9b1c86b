"""Tasks as JSON objects, in the pool's file, in task lists and in held-out sets."""

from dataclasses import fields
from typing import Any

from tinyzero.execution.values import BadLiteral, parse_literal
from tinyzero.types import Task

_NAMES = tuple(field.name for field in fields(Task))


def to_record(task: Task) -> dict[str, Any]:
    """All fields of a task as JSON values; without `truth` where there is none."""
    record = {name: getattr(task, name) for name in _NAMES}
    if task.truth is None:
        del record["truth"]
    return record


def from_record(record: Any) -> Task:  # noqa: ANN401  whatever a file holds
    """The task of a record; unknown keys are ignored.

    Raises:
        ValueError: the record is not a JSON object, or a field is missing or has
            the wrong type.
    """
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  a bad file, not a bad argument
    values: dict[str, Any] = {
        name: tuple(record[name]) if isinstance(record[name], list) else record[name]
        for name in _NAMES
        if name in record
    }
    try:
        task = Task(**values)
    except TypeError as error:
        raise ValueError(str(error).replace("Task.__init__() ", "")) from error
    _check(task)
    return task


def check_answerable(task: Task) -> None:
    """Check that a task of the built-in kinds can be shown, and its answers judged.

    Raises:
        ValueError: its inputs or outputs are too few or too many, or are no literals.
    """
    num_inputs, num_outputs = len(task.inputs), len(task.outputs)
    if task.kind in ("deduction", "error-prediction") and (num_inputs, num_outputs) != (1, 1):
        raise ValueError(f"it has {num_inputs} inputs and {num_outputs} outputs, and needs one of each")
    if task.kind == "abduction" and num_outputs != 1:
        raise ValueError(f"it has {num_outputs} outputs, and needs one")
    if task.kind == "induction" and not 2 <= num_inputs == num_outputs:
        raise ValueError(f"it has {num_inputs} inputs and {num_outputs} outputs, and needs two pairs or more")
    if task.kind in ("deduction", "abduction", "induction"):
        for output in task.outputs:
            _check_literal(output)


def _check_literal(output: str) -> None:
    try:
        parse_literal(output)
    except BadLiteral as error:
        raise ValueError(f"its output {output[:60]!r} is not a literal: {error}") from error


def _check(task: Task) -> None:
    texts = (task.id, task.kind, task.program, task.message, task.shape)
    lists = (task.inputs, task.outputs, task.parents)
    is_sound = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(items, tuple) and all(isinstance(item, str) for item in items) for items in lists)
        and isinstance(task.step, int)
        and isinstance(task.truth, str | None)
    )
    if not is_sound:
        raise ValueError("a field has a value of the wrong type")
