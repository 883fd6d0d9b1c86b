"""Where imported tasks come from: another run, a file or a data set that somebody exported."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tinyzero.cli.choices import note_damage, open_run
from tinyzero.errors import CheckpointError, ConfigError
from tinyzero.foreign import BadContent, read_text
from tinyzero.run.folder import RunFolder
from tinyzero.run.task_log import TaskLine, TaskLog

_FORMS = "a run, a .jsonl file of --export, or a folder of `datasets`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Tasks, and where they are.

    Attributes:
        path: as it is shown. run: None if the tasks are no run's own files.
    """

    path: Path
    tasks: TaskLog
    run: RunFolder | None = None


@contextmanager
def opened(
    name: str, output: Path, fits: Callable[[TaskLine], bool] | None, *, yes_plugins: bool
) -> Iterator[Source]:
    """The tasks of a run, by its path or its name in the output folder, or of a file or a data set.

    Raises:
        CheckpointError: there is nothing of that name.
        ConfigError: it is no such thing, or holds something else than tasks.
    """
    path = Path(name).expanduser()
    try:
        run = open_run(name, output, yes_plugins=yes_plugins)
    except CheckpointError:
        if not path.exists():
            raise
    else:
        note_damage(run)
        yield Source(path=run.path, tasks=TaskLog(run.tasks, fits), run=run)
        return
    if path.is_dir() and (path / "tasks.jsonl").is_file():
        path /= "tasks.jsonl"
    if path.is_file():
        yield Source(path=path, tasks=_read(path, path, fits))
        return
    with TemporaryDirectory() as aside:
        yield Source(path=path, tasks=_read(_unpacked(path, Path(aside)), path, fits))


def _read(file: Path, shown: Path, fits: Callable[[TaskLine], bool] | None) -> TaskLog:
    try:
        lines = read_text(file).encode().splitlines(keepends=True)
    except BadContent as error:
        raise ConfigError(f"{shown} {error}; tasks come from {_FORMS}") from error
    tasks = TaskLog(file, fits)
    odd = (at for at, line in enumerate(lines, start=1) if line.strip() and not _is_task(line))
    number = next(odd, 0)
    if number or not tasks:
        where = f"line {number} of {shown} is no task" if number else f"{shown} holds no task"
        raise ConfigError(f"{where}; tasks come from {_FORMS}")
    return tasks


def _is_task(line: bytes) -> bool:
    from tinyzero.run.lines import tasks_of
    from tinyzero.run.records import parse

    record = parse(line)
    return record is not None and any(task.id and task.kind for task in tasks_of([record]))


def _unpacked(folder: Path, aside: Path) -> Path:
    """The rows of a data set, a line each."""
    from datasets import Dataset, load_from_disk

    try:
        rows = load_from_disk(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder} is no data set that can be read; tasks come from {_FORMS}") from error
    if not isinstance(rows, Dataset):
        raise ConfigError(f"{folder} holds several data sets; name the folder of one")
    file = aside / "tasks.jsonl"
    with file.open("w", encoding="ascii") as lines:
        lines.writelines(f"{json.dumps(row, default=str)}\n" for row in rows)
    return file
