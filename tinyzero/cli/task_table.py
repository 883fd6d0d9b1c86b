"""Tasks as text: filters them, lists one per line, or shows one on a page."""

import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from tinyzero.errors import ConfigError
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import TaskRecord, tasks_of
from tinyzero.run.task_log import Search, TaskLine, encoded
from tinyzero.watch.ancestry import ancestors
from tinyzero.watch.text import inert, one_line

_Order = Literal["newest", "rate", "size", "oddness"]


def matcher(
    search: str | None, kind: str | None, solved: str | None, rate: str | None, steps: str | None
) -> Callable[[TaskLine], bool] | None:
    """A test for the requested tasks; None if all are. Raises ConfigError for an invalid range."""
    low, high = _range(rate, "--rate", float, highest=1.0, example="0.2:0.8")
    first, last = _range(steps, "--steps", int, highest=math.inf, example="10:20")
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
    width = max(40, shutil.get_terminal_size((120, 24)).columns)
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
    """The references of the task, their references, and so on, as a tree."""
    lines: list[str] = []
    for depth, name, parent in ancestors(task, tasks):
        words = (
            "a seed, or not recorded here"
            if parent is None
            else f"step {parent.step}: {one_line(parent.subject)}"
        )
        lines.append(f"{'  ' * (depth - 1)}{one_line(name)}  {words}"[:160])
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


def _range(
    text: str | None, option: str, number: Callable[[str], float], *, highest: float, example: str
) -> tuple[float, float]:
    """`1:5`, `1:`, `:5` or `1` as low and high. Raises ConfigError for what no task can have."""
    low, colon, high = (text or ":").partition(":")
    bounds = "from 0 on" if highest == math.inf else f"from 0 to {highest:g}"
    wrong = ConfigError(f"{option} is {text!r}; it must be LOW:HIGH, {bounds}, such as {example}")
    try:
        limits = (number(low or "0"), (number(high) if high else highest) if colon else number(low))
    except (ValueError, OverflowError):
        raise wrong from None
    if not 0 <= limits[0] <= limits[1] <= highest:
        raise wrong
    return limits


def sort(tasks: Sequence[TaskRecord], order: _Order, known: Mapping[str, TaskRecord]) -> Sequence[TaskRecord]:
    """The tasks in another order than newest first; those that are alike stay in that order."""
    if order == "rate":  # seldom solved first, never tried last
        return sorted(tasks, key=lambda task: (task.solve_rate is None, task.solve_rate or 0.0))
    if order == "size":
        return sorted(tasks, key=lambda task: -len(task.subject))
    if order == "oddness":
        shapes = Counter(task.shape for task in known.values())
        return sorted(tasks, key=lambda task: (shapes[task.shape], -len(set(task.subject))))
    return tasks


def check_kind_and_steps(
    run: RunFolder, known: Mapping[str, TaskRecord], kind: str | None, steps: str | None
) -> None:
    """Where no task fits: raise ConfigError for a kind or steps that the run does not have."""
    if kind is not None:
        check_kind(run, kind, (task.kind for task in known.values()))
    if steps is not None and known:
        played = [task.step for task in known.values()]
        first, last = _range(steps, "--steps", int, highest=math.inf, example="10:20")
        if first > max(played) or last < min(played):
            raise ConfigError(
                f"--steps is {steps!r}; {run.path} has tasks of the steps {min(played)} to {max(played)}"
            )


def check_kind(run: RunFolder, kind: str, others: Iterable[str] = ()) -> None:
    """Raise ConfigError if the run neither plays this kind nor has it among `others`."""
    from tinyzero.watch.follow import Follower

    kinds = dict.fromkeys([*Follower(run, logs=("metrics",)).look().kinds, *others])
    if kind not in kinds:
        raise ConfigError(f"--kind is {kind!r}; {run.path} has {', '.join(kinds) or 'no task yet'}")
