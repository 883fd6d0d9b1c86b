"""A user's own task, outside any game: reads it from text, completes it by running it, and judges answers.

The text is JSON, as in tasks.jsonl, or a program followed by lines `in: ...` and `out: ...`, and perhaps by
`kind: ...`, for a kind that these do not tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinyzero.errors import ConfigError
from tinyzero.execution.values import (
    BadLiteral,
    parse_arguments,
    parse_literal,
    render,
    render_arguments,
    same,
)
from tinyzero.foreign import BadContent, parse_json_object
from tinyzero.games.choice import ALL_KINDS
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.tasks import KINDS
from tinyzero.tasks.error_prediction import ErrorPrediction, end_of
from tinyzero.tasks.judging import judge_answers
from tinyzero.tasks.programs import BadProgram, tidy
from tinyzero.types import Execution, Job, Runner, Task, Verdict

EXAMPLES = (
    "a program and `in: 3` asks for the output, a program and `out: 7` for an input, "
    "two pairs or more of `in:` and `out:` lines for a program, and `question: ...` with a line "
    "`answer: ...` for that answer"
)
_MAX_CHARS = 100_000
_QUESTION, _ANSWER = "question:", "answer:"


def read_task(text: str) -> Task:
    """The task that a text describes. Missing outputs stay empty.

    Raises:
        ConfigError: the text is not a task; the message explains the format.
    """
    if len(text) > _MAX_CHARS:
        raise ConfigError(f"the task has {len(text)} characters; at most {_MAX_CHARS} are allowed")
    if not text.strip():
        raise ConfigError(f"there is no task: the input is empty; {EXAMPLES}")
    if text.lstrip().startswith(_QUESTION):
        return _question(text)
    fields = _from_json(text) if text.lstrip().startswith("{") else _from_lines(text)
    program, inputs, outputs = fields["program"], fields["inputs"], fields["outputs"]
    kind = str(fields.get("kind") or _kind(program, inputs, outputs))
    if kind not in KINDS:
        raise ConfigError(f"the task is of kind {kind!r}; there are {', '.join(KINDS)}")
    task = Task(
        id="own",
        kind=kind,
        program=_tidy(program),
        inputs=tuple(map(_arguments, inputs)),
        outputs=tuple(map(_literal, outputs)),
        message=" ".join(str(fields.get("message") or "").split()),
    )
    _check(task)
    return task


def _question(text: str) -> Task:
    """A task from `question: ...`, on one or more lines, and `answer: ...`."""
    question, separator, answer = text.strip().removeprefix(_QUESTION).rpartition(f"\n{_ANSWER}")
    message, right = " ".join(question.split()), " ".join(answer.split())
    if not separator or not message or not right:
        raise ConfigError(
            f"the question has to end with a line `{_ANSWER} ...`, so that answers can be judged; {EXAMPLES}"
        )
    return Task(id="own", kind=QUESTION.name, program="", inputs=(), outputs=(right,), message=message)


def complete(task: Task, runner: Runner) -> Task:
    """Run the program to fill in missing outputs, or to check the given ones.

    Raises:
        ConfigError: the program fails, is not deterministic, or its outputs differ from the task's.
    """
    if not task.program or not task.inputs:
        return task
    job = Job(program=task.program, inputs=task.inputs, check_determinism=True)
    (executions,) = runner.run_jobs([job])
    outputs = tuple(
        render(_result(task.kind, arguments, execution))
        for arguments, execution in zip(task.inputs, executions, strict=True)
    )
    for mine, actual in zip(task.outputs, outputs, strict=False):
        if not same(parse_literal(mine), parse_literal(actual)):
            raise ConfigError(f"the task says {mine[:80]}, its program returns {actual[:80]}")
    return replace(task, outputs=outputs)


def _result(kind: str, arguments: str, execution: Execution) -> Any:  # noqa: ANN401  a tree of builtin values
    """The right answer about a run. Raises ConfigError."""
    if kind == ErrorPrediction.name and end_of(execution):
        return end_of(execution)
    if not execution.is_ok:
        reason = f"{execution.outcome} {execution.detail}".strip()
        raise ConfigError(f"the task's program does not answer f({arguments[:80]}): {reason}")
    return execution.value


def judge(task: Task, answer: str, runner: Runner) -> Verdict:
    """The verdict on an answer (the prompt's prefill and the completion), by execution if necessary."""
    ((verdict,),) = judge_answers([task], [[answer]], kinds=ALL_KINDS, runner=runner)
    return verdict


def _from_json(text: str) -> Mapping[str, Any]:
    try:
        fields = parse_json_object(text)
    except BadContent as error:
        raise ConfigError(f"the task begins like JSON but is not valid JSON ({error}); {EXAMPLES}") from error
    lists = {name: fields.get(name) or [] for name in ("inputs", "outputs")}
    program = fields.get("program") or ""
    strings = [program, *(item for items in lists.values() if isinstance(items, list) for item in items)]
    if not all(isinstance(items, list) for items in lists.values()) or not all(
        isinstance(item, str) for item in strings
    ):
        raise ConfigError("a task in JSON has a program (text), inputs and outputs (lists of texts)")
    return {**fields, **lists, "program": program}


def _from_lines(text: str) -> Mapping[str, Any]:
    lines = text.splitlines()
    start = next((place for place, line in enumerate(lines) if _label(line)), len(lines))
    fields: dict[str, Any] = {"program": "\n".join(lines[:start]), "inputs": [], "outputs": []}
    for line in lines[start:]:
        label = _label(line)
        name, _, value = (part.strip() for part in line.partition(":"))
        if label == "msg":
            fields["message"] = value
        elif name == "kind":
            fields["kind"] = value
        elif label:
            fields["inputs" if label == "in" else "outputs"].append(value)
        elif line.strip():
            raise ConfigError(f"the task has a line {line[:60]!r} after its program; {EXAMPLES}")
    return fields


def _label(line: str) -> str:
    """`in`, `out` or `msg` if a line begins with it and a colon, which ends the program; else empty."""
    name, colon, _ = line.partition(":")
    return name if colon and name in ("in", "out", "msg") else ""


def _kind(program: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    if not program.strip() or len(inputs) > 1:
        return "induction"
    return "deduction" if inputs else "abduction"


def _tidy(program: str) -> str:
    if not program.strip():
        return ""
    try:
        return tidy(program)
    except BadProgram as error:
        raise ConfigError(f"the task's program cannot be read: {error}") from error


def _arguments(text: str) -> str:
    try:
        return render_arguments(parse_arguments(text))
    except BadLiteral as error:
        raise ConfigError(f"the task's input {text[:60]!r} is not a list of literals: {error}") from error


def _literal(text: str) -> str:
    try:
        return render(parse_literal(text))
    except BadLiteral as error:
        raise ConfigError(f"the task's output {text[:60]!r} is not a literal: {error}") from error


def _check(task: Task) -> None:
    """Check that the task has all parts that its kind needs. Raises ConfigError."""
    has_pairs = len(task.inputs) >= 2 and (task.program or len(task.inputs) == len(task.outputs))
    has_call = task.program and len(task.inputs) == 1 and len(task.outputs) <= 1
    is_whole = {
        "deduction": has_call,
        "error-prediction": has_call,
        "abduction": task.program and len(task.inputs) <= 1 and (task.inputs or len(task.outputs) == 1),
        "induction": has_pairs and len(task.outputs) <= len(task.inputs),
    }
    if not is_whole.get(task.kind, True):
        raise ConfigError(f"the {task.kind} task is not complete: {EXAMPLES}")
