"""The tasks that a run made up, as a data set: checked line by line, with a card."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyzero.errors import ExportError
from tinyzero.hub.aside import written_aside
from tinyzero.hub.base import Base, find_base
from tinyzero.hub.facts import public_config, public_environment
from tinyzero.hub.manifest import is_same_export, write_record
from tinyzero.runs.folder import RunFolder

FILE = "tasks.jsonl"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class TaskRow(BaseModel):
    """One verified task, as tasks.jsonl has it."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    step: int
    id: str
    kind: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=60)
    program: str
    inputs: list[str]
    outputs: list[str]
    message: str = ""
    shape: str = ""
    parents: list[str] = []
    attempts: int = Field(ge=0)
    solve_rate: float | None = Field(default=None, ge=0, le=1)


def export_tasks(
    run: RunFolder, output: Path | None = None, *, reuse: bool = False
) -> tuple[Path, Base, bool]:
    """Write the data set's folder.

    Returns:
        The folder, the base model whose licence matters, and whether it was written now.

    Raises:
        ExportError: the run made no task, or a line of tasks.jsonl is none.
    """
    rows = read_rows(run.tasks)
    base = find_base(run.config().model, with_weights=False)
    last = max(row.step for row in rows)
    target = output or run.path / "export" / f"tasks-step-{last:06d}"
    wanted = {"what": "tasks", "tasks": len(rows), "step": last}
    if reuse and is_same_export(target, wanted):
        return target, base, False
    with written_aside(target) as folder:
        with (folder / FILE).open("w", encoding="ascii") as file:
            file.writelines(f"{json.dumps(row.model_dump())}\n" for row in rows)
        (folder / "README.md").write_text(data_card(run, rows, base), encoding="utf-8")
        content = {
            "what": "tasks",
            "request": wanted,
            "base": {"name": base.name, "hub_id": base.hub_id, "licence": base.licence.in_words},
            "config": public_config(run.config(), base),
            "environment": public_environment(run),
        }
        write_record(folder, content)
    return target, base, True


def read_rows(path: Path) -> list[TaskRow]:
    """All tasks. Raises ExportError, which names the line, where one is none."""
    if not path.is_file():
        raise ExportError(f"there is no {path}; the run has verified no task yet")
    by_id = {row.id: row for row in (_row(path, number, line) for number, line in _lines(path))}
    rows = list(by_id.values())
    if not rows:
        raise ExportError(f"{path} is empty; the run has verified no task yet")
    return rows


def data_card(run: RunFolder, rows: Sequence[TaskRow], base: Base) -> str:
    """The README.md of the data set."""
    warning = base.licence.warning
    parts = [
        f"---\n{_metadata(len(rows), base)}\n---\n# Tasks of {_title(run)}",
        f"> **Licence.** {warning}." if warning else "",
        ABOUT.format(count=len(rows), base=_quoted(base.name)),
        _table(rows),
        COLUMNS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.endswith(b"\n"))


def _row(path: Path, number: int, line: bytes) -> TaskRow:
    try:
        return TaskRow.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise ExportError(f"line {number} of {path} is no task: {where}: {first['msg']}") from error


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


def _table(rows: Sequence[TaskRow]) -> str:
    by_kind: dict[str, list[TaskRow]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    lines = [
        "| kind | tasks | shapes | mean solve rate | never solved | always solved |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [_kind_line(kind, of_kind) for kind, of_kind in sorted(by_kind.items())]
    return "\n".join(lines)


def _kind_line(kind: str, rows: Sequence[TaskRow]) -> str:
    rates = [row.solve_rate for row in rows if row.solve_rate is not None]
    shapes = len({row.shape or row.id for row in rows})
    shares: Mapping[str, Any] = {
        "mean": f"{fmean(rates):.2f}" if rates else "-",
        "never": f"{rates.count(0) / len(rates):.0%}" if rates else "-",
        "always": f"{rates.count(1) / len(rates):.0%}" if rates else "-",
    }
    return f"| {kind} | {len(rows)} | {shapes} | {' | '.join(shares.values())} |"


def _title(run: RunFolder) -> str:
    return "".join(char for char in run.name if char.isalnum() or char in "._-")[:100] or "a run"


def _quoted(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char != "`")


ABOUT = """\
{count} tasks, about Python programs or in words, that a language model made up while it was trained by \
self-play with TinyZero. The model began as `{base}`. No person and no other data set had a part in them."""

COLUMNS = """\
## Columns

- `program`: source that defines `f`. `inputs`: argument lists, as source. `outputs`: what `f` returned for \
each, as literals, the same in every one of several runs.
- `kind`: deduction asks for the output, abduction for an input that gives it, induction for the program \
from half of the pairs and `message`, error-prediction for the exception that ends the run, or 'NoError'; \
there its name is the output; question asks `message`, \
has no program, and its output is what most attempts said, which nobody verified.
- `step`: when it was made. `parents`: ids of the tasks that the proposer was shown. `shape`: equal for \
programs that differ in names and constants only.
- `attempts` and `solve_rate`: how the model itself fared at that step.

## Limits

- The programs were written by a model under optimisation and are untrusted: run them in a sandbox.
- Tasks are as hard as they looked to the model of that step, and many resemble each other.
- What the base model's licence says about its outputs applies."""
