"""Tasks as text: filters them, lists one per line, or shows one on a page."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinyzero.errors import ConfigError
from tinyzero.run.lines import TaskRecord, tasks_of
from tinyzero.run.task_log import Search, TaskLine, encoded
from tinyzero.watch.text import inert, one_line

_ANCESTORS = 12


def matcher(
    search: str | None, kind: str | None, solved: str | None, rate: str | None, steps: str | None
) -> Callable[[TaskLine], bool] | None:
    """A test for the requested tasks; None if all are. Raises ConfigError for an invalid range."""
    low, high = _range(rate, "--rate")
    first, last = _range(steps, "--steps")
    tests: list[Callable[[TaskLine], bool]] = []  # only what is asked for: a long run has many tasks
    if kind is not None:
        kind_in_file = encoded(kind)
        tests.append(lambda task: task.is_of(kind_in_file))
    if steps is not None:
        tests.append(lambda task: first <= task.step <= last)
    if solved is not None:
        tests.append(lambda task: _solved_by(task.solve_rate) == solved)
    if rate is not None:
        tests.append(lambda task: (share := task.solve_rate) is not None and low <= share <= high)
    if search is not None:
        tests.append(Search(search).finds)
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda task: all(test(task) for test in tests)


def _solved_by(solve_rate: float | None) -> str:
    if solve_rate is None:
        return "untried"
    return {0.0: "none", 1.0: "all"}.get(solve_rate, "some")


def find(tasks: Mapping[str, TaskRecord], start: str, path: Path) -> TaskRecord:
    """The only task whose id begins with `start`."""
    matches = [name for name in tasks if name.startswith(start)]
    if len(matches) != 1 and start not in tasks:
        many = f"{len(matches)} tasks of {path} begin with" if matches else f"no task of {path} begins with"
        raise ConfigError(f"{many} {start}; list them: tinyzero tasks {path}")
    return tasks[start if start in tasks else matches[0]]


def listing(tasks: Sequence[TaskRecord], limit: int, *, total: int) -> str:
    """A table of the first `limit` tasks."""
    width = max(80, shutil.get_terminal_size((120, 24)).columns)
    visible = tasks[: limit or None]
    kinds = max([len("induction"), *(len(one_line(task.kind)) for task in visible)])
    lines = [f"{'id':<16}  step  solved  {'kind':<{kinds}}  program or question"]
    lines += [line(task, width, kinds) for task in visible]
    return "\n".join([*lines, f"{len(visible)} of {len(tasks)} that fit, of {total} tasks"])


def line(task: TaskRecord, width: int, kind_width: int) -> str:
    rate = "-" if task.solve_rate is None else f"{task.solve_rate:.0%}"
    start = f"{one_line(task.id):<16}  {task.step:>4}  {rate:>6}  {one_line(task.kind):<{kind_width}}  "
    return (start + one_line(task.subject))[:width].rstrip()


def page(
    task: TaskRecord,
    tasks: Mapping[str, TaskRecord],
    *,
    color: bool,
    replays: Iterable[Mapping[str, Any]] = (),
) -> str:
    """All data of a task: its content, its results over time, and its origin."""
    lines = [
        f"task     {one_line(task.id)}",
        f"kind     {one_line(task.kind)}",
        f"step     {task.step}{f', proposed by {one_line(task.author)}' if task.author else ''}",
        f"{'agreed ' if task.kind == 'question' else 'solved '}  {_how_solved(task)}",
        *(
            f"again    {_how_solved(again)}, step {again.step}"
            for again in tasks_of(replays)
            if again.id == task.id
        ),
        *([f"hint     {one_line(task.hint)}"] if task.hint else []),
        *_answers(task),
        "",
        _program(task.program, color=color) if task.program else inert(task.message),
        "",
        *_calls(task),
        "",
        *_ancestry(task, tasks),
    ]
    return "\n".join(lines)


def _answers(task: TaskRecord) -> Iterator[str]:
    """Of a question, what most attempts said, and what the program returned where there is one."""
    if task.kind == "question":
        yield f"majority {', '.join(map(one_line, task.outputs))}"
    if task.truth is not None:
        yield f"truth    {one_line(task.truth)}"


def _calls(task: TaskRecord) -> Iterator[str]:
    if task.kind == "question":  # its output is a vote
        yield from (f"f({one_line(arguments)})" for arguments in task.inputs)
        return
    for arguments, output in zip(task.inputs, task.outputs, strict=False):
        yield f"f({one_line(arguments)}) = {one_line(output)}"


def _how_solved(task: TaskRecord) -> str:
    """The solve rate in words, and the verdicts on the other attempts."""
    if task.solve_rate is None:
        return "never tried"
    agree = " agree with the majority" if task.kind == "question" else ""
    verdicts = ", ".join(f"{count:.0f} {one_line(status)}" for status, count in task.verdicts.items())
    shown = f" ({verdicts})" if verdicts else ""
    return f"{task.solve_rate:.0%} of {task.attempts} attempts{agree}{shown}"


def _ancestry(task: TaskRecord, tasks: Mapping[str, TaskRecord]) -> list[str]:
    """The references of the task, their references, and so on; each once, as a tree."""
    lines: list[str] = []
    seen, turn = {task.id}, [(1, parent) for parent in task.parents]
    while turn and len(lines) < _ANCESTORS:
        depth, name = turn.pop(0)
        if name in seen:
            continue
        seen.add(name)
        parent = tasks.get(name)
        words = (
            "a seed, or not recorded here"
            if parent is None
            else f"step {parent.step}: {one_line(parent.subject)}"
        )
        lines.append(f"{'  ' * (depth - 1)}{one_line(name)}  {words}"[:160])
        turn[:0] = [(depth + 1, grandparent) for grandparent in parent.parents] if parent else []
    return ["shown to its proposer:", *lines] if lines else ["its proposer was shown nothing"]


def as_json(task: TaskRecord) -> dict[str, Any]:
    """The task in the format of tasks.jsonl; without a truth that nobody knows."""
    return {name: value for name, value in asdict(task).items() if name != "truth" or value is not None}


def _program(program: str, *, color: bool) -> str:
    if not color:
        return inert(program)
    from tinyzero.watch.painter import Painter
    from tinyzero.watch.samples import highlighted

    text = highlighted(program, is_ascii=False)
    lines = Painter().lines(text, 100, len(program.splitlines()) + len(program) // 90 + 1)
    return "\n".join(item.rstrip() for item in lines).rstrip()


def _range(text: str | None, option: str) -> tuple[float, float]:
    """`1:5`, `1:`, `:5` or `1` as low and high."""
    low, colon, high = (text or ":").partition(":")
    try:
        limits = (float(low or "-inf"), float(high or "inf") if colon else float(low))
    except ValueError:
        raise ConfigError(f"{option} is {text!r}; it must be a range such as 1:5") from None
    return limits
