"""Verified tasks kept as references for proposers. Knows nothing of kinds, prompts or models."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from tinyzero.config import PoolConfig
from tinyzero.errors import CheckpointError
from tinyzero.tasks.records import from_record, to_record
from tinyzero.types import Task

_FILE = "pool.jsonl"
IMPORTS = "imports.jsonl"
"""Tasks that a person added to a saved pool; they join it where they fit the run."""


class Pool:
    """Tasks in the order they came in, no two with the same id; seeds (`step` -1) are never dropped.

    A task's id is a hash of its program with names normalised, so renaming a variable makes nothing new.
    """

    def __init__(self, config: PoolConfig, seeds: Iterable[Task] = ()) -> None:
        self._config = config
        self._tasks: dict[str, Task] = {}
        for seed in seeds:
            self.add(seed)

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def add(self, task: Task) -> bool:
        """Keep a task; False where it is there already. Over capacity, the oldest that is no seed goes."""
        if task.id in self._tasks:
            return False
        self._tasks[task.id] = task
        if len(self._tasks) > self._config.capacity:
            self._drop_oldest()
        return True

    def _drop_oldest(self) -> None:
        oldest = next((task for task in self._tasks.values() if task.step >= 0), None)
        if oldest is not None:
            del self._tasks[oldest.id]

    def references(self, kind: str, count: int, rng: Random) -> list[Task]:
        """At most `count` different tasks of a kind, uniformly."""
        candidates = [task for task in self._tasks.values() if task.kind == kind]
        return rng.sample(candidates, min(count, len(candidates)))

    def programs(self, count: int, rng: Random) -> list[Task]:
        """At most `count` tasks with different programs, uniformly; seeds only if there is nothing else."""
        by_program = {task.program: task for task in self._tasks.values()}
        candidates = [task for task in by_program.values() if task.step >= 0] or list(by_program.values())
        return rng.sample(candidates, min(count, len(candidates)))

    def counts(self) -> dict[str, int]:
        """Number of tasks per kind."""
        return dict(Counter(task.kind for task in self._tasks.values()))

    def save(self, folder: Path) -> None:
        """Write all tasks, a JSON object a line, oldest first."""
        lines = (json.dumps(to_record(task)) + "\n" for task in self._tasks.values())
        (folder / _FILE).write_text("".join(lines), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Replace all tasks by the saved ones. Raises CheckpointError."""
        self._tasks = {task.id: task for task in read_tasks(folder / _FILE)}


def add_imports(folder: Path, tasks: Iterable[Task]) -> None:
    """Put tasks beside a saved pool; see `IMPORTS`."""
    with (folder / IMPORTS).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(to_record(task)) + "\n" for task in tasks)


def read_tasks(path: Path) -> list[Task]:
    """Tasks that `save` or `add_imports` wrote. Raises CheckpointError."""
    try:
        return [from_record(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"cannot read the task pool {path}: {error}") from error
