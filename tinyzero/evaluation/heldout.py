"""Held-out sets: fixed tasks in a JSONL file that no run trains on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tinyzero.config.loading import HELDOUT_FILE
from tinyzero.errors import ConfigError
from tinyzero.foreign import BadContent, parse_json, read_text
from tinyzero.tasks.records import check_answerable, from_record
from tinyzero.types import Task

_SETS = Path(__file__).parent / "sets"
"""Sets in the package, one file each. Their sources and licences are in the same folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutTask:
    """A task, and its row in the table.

    Attributes:
        stratum: empty for the row of its kind, else the name of a separate row, such as `longer programs`.
    """

    task: Task
    stratum: str = ""

    @property
    def row(self) -> str:
        return self.stratum or self.task.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutSet:
    """A named set of tasks with distinct ids."""

    name: str
    tasks: Sequence[HeldOutTask]


def find_set(heldout: str | None, nano: str) -> Path | None:
    """The file that `evaluation.heldout` refers to; None if nothing should be measured.

    Args:
        nano: folder of the nano model, which has its own set.

    Raises:
        ConfigError: the file does not exist.
    """
    if heldout is None:
        return None
    named = {"nano": Path(nano) / HELDOUT_FILE, **{path.stem: path for path in _SETS.glob("*.jsonl")}}
    path = named.get(heldout) or Path(heldout).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"evaluation.heldout is {heldout!r}, but there is no such file; give a JSONL file of tasks, "
            f'or "auto", "none", {", ".join(sorted(named))}'
        )
    return path


def read_set(path: Path, kinds: Mapping[str, object]) -> HeldOutSet:
    """All tasks of a file. Each line is a JSON object with the fields of a `Task`, and optionally `stratum`.

    Raises:
        ConfigError: a line is no task of these kinds, two tasks have the same id, or there is no task.
    """
    tasks: dict[str, HeldOutTask] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            item = _parse(parse_json(line), kinds)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from error
        if item.task.id in tasks:
            raise ConfigError(f"{path}, line {number}: another task has the id {item.task.id} already")
        tasks[item.task.id] = item
    if not tasks:
        raise ConfigError(f"{path} holds no task")
    return HeldOutSet(name=_name(path), tasks=tuple(tasks.values()))


def spread(tasks: Sequence[HeldOutTask], count: int | None) -> Sequence[HeldOutTask]:
    """About `count` tasks, in proportion to the rows' sizes, always the same; all tasks if None."""
    if count is None or count >= len(tasks):
        return tasks
    rows: dict[str, list[HeldOutTask]] = {}
    for item in tasks:
        rows.setdefault(f"{item.task.kind}/{item.stratum}", []).append(item)
    return [item for row in rows.values() for item in _draw(row, round(count * len(row) / len(tasks)))]


def _draw(row: Sequence[HeldOutTask], count: int) -> list[HeldOutTask]:
    """At least one task, in file order. Drawn at random, since a file may be sorted by length or by kind."""
    places = Random("held-out").sample(range(len(row)), max(1, count))
    return [row[place] for place in sorted(places)]


def _lines(path: Path) -> list[str]:
    try:
        return read_text(path).splitlines()
    except (OSError, BadContent) as error:
        raise ConfigError(f"cannot read the held-out tasks in {path}: {error}") from error


def _parse(record: Any, kinds: Mapping[str, object]) -> HeldOutTask:  # noqa: ANN401  whatever a file holds
    task = from_record(record)
    stratum = record.get("stratum", "")
    if not isinstance(stratum, str):
        raise ValueError("stratum is no text")  # noqa: TRY004  of a file, not of an argument
    if task.kind not in kinds:
        raise ValueError(f"{task.kind!r} is not a kind; the kinds are {', '.join(kinds)}")
    if not task.outputs:
        raise ValueError("it has no output, so that no answer could be judged")
    check_answerable(task)
    return HeldOutTask(task=task, stratum=stratum)


def _name(path: Path) -> str:
    """`nano-heldout` for .../nano/heldout.jsonl, the file's name for other sets."""
    return f"{path.parent.name}-{path.stem}" if path.name == HELDOUT_FILE else path.stem
