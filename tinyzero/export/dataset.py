"""The tasks that a run invented, as a data set: checked line by line, with a card."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from tinyzero.errors import ExportError
from tinyzero.export.aside import written_aside
from tinyzero.export.base import Base, find_base
from tinyzero.export.manifest import is_same_export, public_config, public_environment, write_record
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import Record, TaskRecord, tasks_of
from tinyzero.run.records import parse
from tinyzero.watch.text import as_markdown, in_code

FILE = "tasks.jsonl"
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_NEEDED = ("step", "id", "kind", "program", "inputs", "outputs", "attempts")
_COLUMNS = (*_NEEDED[:-1], "message", "shape", "parents", "attempts", "solve_rate")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def export_tasks(
    run: RunFolder, output: Path | None = None, *, reuse: bool = False
) -> tuple[Path, Base, bool]:
    """Write the data set's folder.

    Returns:
        The folder, the base model (for its licence), and whether the folder was written now.

    Raises:
        ExportError: the run has no task, or a line of tasks.jsonl is not a task.
    """
    tasks = read_tasks(run.tasks)
    base = find_base(run.config().model, with_weights=False)
    last = max(task.step for task in tasks)
    target = output or run.path / "export" / f"tasks-step-{last:06d}"
    request = {"what": "tasks", "tasks": len(tasks), "step": last}
    if reuse and is_same_export(target, request):
        return target, base, False
    with written_aside(target) as folder:
        with (folder / FILE).open("w", encoding="ascii") as file:
            file.writelines(f"{json.dumps(_columns(task))}\n" for task in tasks)
        (folder / "README.md").write_text(_data_card(run, tasks, base), encoding="utf-8")
        content = {
            "what": "tasks",
            "request": request,
            "base": {"name": base.name, "hub_id": base.hub_id, "licence": base.licence.in_words},
            "config": public_config(run.config(), base),
            "environment": public_environment(run),
        }
        write_record(folder, content)
    return target, base, True


def read_tasks(path: Path) -> list[TaskRecord]:
    """All tasks. Raises ExportError with the line's number if a line is not a task."""
    if not path.is_file():
        raise ExportError(f"there is no {path}; the run has verified no task yet")
    by_id = {task.id: task for task in (_task(path, number, line) for number, line in _lines(path))}
    if not by_id:
        raise ExportError(f"{path} is empty; the run has verified no task yet")
    return list(by_id.values())


def _data_card(run: RunFolder, tasks: Sequence[TaskRecord], base: Base) -> str:
    """The README.md of the data set."""
    warning = base.licence.warning
    parts = [
        f"---\n{_metadata(len(tasks), base)}\n---\n# Tasks of {_title(run)}",
        f"> **Licence.** {as_markdown(warning)}." if warning else "",
        _ABOUT.format(count=len(tasks), base=in_code(base.name)),
        _table(tasks),
        COLUMNS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.endswith(b"\n"))


def _task(path: Path, number: int, line: bytes) -> TaskRecord:
    record = parse(line) or {}
    tasks = tasks_of([record])
    fault = _fault(tasks[0], record) if tasks else "it has no id"
    if fault:
        raise ExportError(f"line {number} of {path} is no task: {fault}")
    return tasks[0]


def _fault(task: TaskRecord, record: Record) -> str:
    """The fault of a line, empty if none: the parsed task must equal the line's record."""
    for name, value in _columns(task).items():
        if name not in record and name in _NEEDED:
            return f"it has no {name}"
        if record.get(name, value) != value:
            return f"its {name} is no such value"
    if not _KIND.fullmatch(task.kind):
        return "its kind is no plain name"
    return "" if task.attempts >= 0 and 0 <= (task.solve_rate or 0) <= 1 else "its attempts cannot be"


def _columns(task: TaskRecord) -> dict[str, Any]:
    """The task's row in the data set, as JSON values."""
    values = ((name, getattr(task, name)) for name in _COLUMNS)
    columns = {name: list(value) if isinstance(value, tuple) else value for name, value in values}
    return columns if task.truth is None else {**columns, "truth": task.truth}


def _metadata(count: int, base: Base) -> str:
    from huggingface_hub import DatasetCardData

    fields: dict[str, Any] = {
        **base.licence.metadata,
        "task_categories": ["text-generation"],
        "tags": ["tinyzero", "self-play", "code", "synthetic"],
        "size_categories": [next((name for limit, name in _SIZES if count < limit), "n>1M")],
        "configs": [{"config_name": "default", "data_files": FILE}],
    }
    return str(DatasetCardData(**fields).to_yaml()).rstrip()


def _table(tasks: Sequence[TaskRecord]) -> str:
    by_kind: dict[str, list[TaskRecord]] = defaultdict(list)
    for task in tasks:
        by_kind[task.kind].append(task)
    lines = [
        "| kind | tasks | shapes | mean solve rate | never solved | always solved |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [_kind_line(kind, of_kind) for kind, of_kind in sorted(by_kind.items())]
    return "\n".join(lines)


def _kind_line(kind: str, tasks: Sequence[TaskRecord]) -> str:
    rates = [task.solve_rate for task in tasks if task.solve_rate is not None]
    shapes = len({task.shape or task.id for task in tasks})
    shares: Mapping[str, Any] = {
        "mean": f"{fmean(rates):.2f}" if rates else "-",
        "never": f"{rates.count(0) / len(rates):.0%}" if rates else "-",
        "always": f"{rates.count(1) / len(rates):.0%}" if rates else "-",
    }
    return f"| {kind} | {len(tasks)} | {shapes} | {' | '.join(shares.values())} |"


def _title(run: RunFolder) -> str:
    return "".join(char for char in run.name if char.isalnum() or char in "._-")[:100] or "a run"


_ABOUT = """\
{count} tasks, about Python programs or in words, that a language model made up while it was trained by \
self-play with TinyZero. The model began as `{base}`. No person and no other data set had a part in them."""

COLUMNS = """\
## Columns

- `program`: source that defines `f`. `inputs`: argument lists, as source. `outputs`: what `f` returned for \
each, as literals, the same in every one of several runs.
- `kind`: deduction asks for the output, abduction for an input that gives it, induction for the program \
from half of the pairs and `message`, error-prediction for the exception that ends the run, or 'NoError'; \
there its name is the output; question asks `message` or, \
where there is a program, what its call returns, and its output is the majority of the attempts, which \
nobody verified; `truth` is what the program returned, and its solve rate the share that agrees with the \
majority.
- `step`: when it was made. `parents`: ids of the tasks that the proposer was shown. `shape`: equal for \
programs that differ in names and constants only.
- `attempts` and `solve_rate`: how the model itself fared at that step.

## Limits

- The programs were written by a model under optimisation and are untrusted: run them in a sandbox.
- Tasks are as hard as they looked to the model of that step, and many resemble each other.
- What the base model's licence says about its outputs applies."""
