"""The pool: adds, draws, drops and saves tasks."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import overload

from tinyzero.config import PoolConfig
from tinyzero.errors import CheckpointError
from tinyzero.foreign import parse_json, read_text
from tinyzero.tasks.error_prediction import ErrorPrediction
from tinyzero.tasks.pool.entries import Entry, StepAttempts, choose, entry_from_record, entry_to_record
from tinyzero.tasks.records import to_record
from tinyzero.tasks.similarity import novelty
from tinyzero.types import Task

_FILE = "pool.jsonl"
IMPORTS = "imports.jsonl"
"""File of tasks that a person added to a saved pool. Tasks that fit the run join the pool."""
_COMPARED = 1000
"""Number of the newest tasks of a kind that a new task is compared with for its novelty."""


class Pool:
    """Distinct tasks in the order of arrival. Seeds (`step` -1) are never dropped.

    Two tasks of a kind are alike if their programs differ only in names and constants (`pool.dedup =
    "shape"`), or only in names, with the same inputs ("program"). A task with several inputs uses a program
    that its proposer did not choose, so it is always compared by program and inputs.

    Attributes:
        num_dropped: number of tasks dropped for lack of room since this object was created.
    """

    def __init__(self, config: PoolConfig, seeds: Iterable[Task] = ()) -> None:
        self._config = config
        self._entries: dict[str, Entry] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._ids_of_kind: dict[str, list[str]] = {}
        self._programs: dict[str, list[Entry]] = {}  # results of `_programs_for` since the pool last changed
        self.num_dropped = 0
        for seed in seeds:
            self.add(seed)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._entries

    def entry(self, task_id: str) -> Entry:
        """Raises KeyError."""
        return self._entries[task_id]

    def tasks(self, kind: str) -> list[Task]:
        """All tasks of a kind, oldest first."""
        return [entry.task for entry in self._of_kind(kind)]

    def add(self, task: Task) -> bool:
        """Add a task; False if the pool holds a task like it. Over capacity, the oldest task is dropped."""
        if task.id in self._entries or self._key(task) in self._keys:
            return False
        self._put(Entry(task=task, novelty=novelty(task.program, self._compared(task.kind))))
        if len(self._entries) > self._config.capacity:
            self._make_room(task.id)
        return True

    def remove(self, task_id: str) -> None:
        """Remove a task; a task like it may be added again. Raises KeyError."""
        entry = self._entries.pop(task_id)
        self._keys.pop(self._key(entry.task), None)
        self._ids_of_kind[entry.task.kind].remove(task_id)
        self._programs.clear()

    def note_attempts(self, task_id: str, *, step: int, correct: int, attempts: int) -> None:
        """Record the results of the attempts at a task. A task that is no longer in the pool is ignored."""
        if task_id in self._entries and attempts:
            measurement = StepAttempts(step=step, correct=correct, attempts=attempts)
            self._entries[task_id] = self._entries[task_id].measured(measurement)
            self._programs.clear()

    def grown(self, kinds: Collection[str] | None = None) -> list[Task]:
        """All tasks except seeds, of these kinds if given; oldest first."""
        return [entry.task for entry in self._grown(kinds)]

    def references(self, kind: str, count: int, rng: Random) -> list[Task]:
        """At most `count` different tasks of a kind, by `pool.reference_sampling`."""
        return [entry.task for entry in choose(self._of_kind(kind), count, self._config, rng)]

    def programs(self, count: int, rng: Random, *, new_to: str = "") -> list[Task]:
        """At most `count` tasks with different programs that run on their inputs, without seeds.

        Args:
            new_to: a kind; programs without a task of this kind come first.
        """
        if new_to not in self._programs:
            self._programs[new_to] = self._programs_for(new_to)
        return [entry.task for entry in choose(self._programs[new_to], count, self._config, rng)]

    def _programs_for(self, kind: str) -> list[Entry]:
        """The newest entry of each program; of those without a task of this kind, if there are any."""
        grown = (entry for entry in self._grown(None) if entry.task.kind != ErrorPrediction.name)
        candidates = list({entry.task.program: entry for entry in grown}.values())
        known = {_form(task) for task in self.tasks(kind)}
        return [entry for entry in candidates if _form(entry.task) not in known] or candidates

    def mixed(self, count: int, rng: Random, *, kinds: Collection[str]) -> list[Task]:
        """At most `count` tasks whose newest solve rate is between 0 and 1, drawn uniformly."""
        candidates = [entry.task for entry in self._grown(kinds) if entry.is_mixed]
        return rng.sample(candidates, min(count, len(candidates)))

    def newest(self, count: int, rng: Random, *, kinds: Collection[str], since: int) -> list[Task]:
        """At most `count` tasks: first those of step `since` and later, then others, both drawn uniformly."""
        tasks = self.grown(kinds)
        recent = [task for task in tasks if task.step >= since]
        earlier = [task for task in tasks if task.step < since]
        chosen = rng.sample(recent, min(count, len(recent)))
        return chosen + rng.sample(earlier, min(count - len(chosen), len(earlier)))

    def any(self, count: int, rng: Random) -> list[Task]:
        """At most `count` tasks except seeds, drawn uniformly."""
        tasks = self.grown()
        return rng.sample(tasks, min(count, len(tasks)))

    def counts(self) -> dict[str, int]:
        """Number of tasks per kind."""
        return dict(Counter(entry.task.kind for entry in self._entries.values()))

    def save(self, folder: Path) -> None:
        """Write all entries, one JSON object per line, oldest first."""
        with (folder / _FILE).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry_to_record(entry)) + "\n" for entry in self._entries.values())

    def load(self, folder: Path) -> None:
        """Replace all tasks with the saved ones. Raises CheckpointError."""
        entries = _read_entries(folder / _FILE)
        self._entries, self._keys, self._ids_of_kind = {}, {}, {}
        for entry in entries:
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        if entry.task.id not in self._entries:
            self._ids_of_kind.setdefault(entry.task.kind, []).append(entry.task.id)
        self._programs.clear()
        self._entries[entry.task.id] = entry
        self._keys[self._key(entry.task)] = entry.task.id

    def _key(self, task: Task) -> tuple[str, str]:
        """A key that is equal for tasks that are alike."""
        is_known_by_shape = self._config.dedup == "shape" and task.shape and len(task.inputs) == 1
        return (task.kind, task.shape if is_known_by_shape else task.id)

    def _compared(self, kind: str) -> Iterable[str]:
        newest_first = reversed(self._ids_of_kind.get(kind, []))
        return (self._entries[task_id].task.program for task_id in islice(newest_first, _COMPARED))

    def _of_kind(self, kind: str) -> "_Entries":
        return _Entries(self._ids_of_kind.get(kind, []), self._entries)

    def _grown(self, kinds: Collection[str] | None) -> list[Entry]:
        return [
            entry
            for entry in self._entries.values()
            if entry.task.step >= 0 and (kinds is None or entry.task.kind in kinds)
        ]

    def _make_room(self, newest: str) -> None:
        """Drop the oldest task, but never a seed or the newest task."""
        droppable = (
            task_id for task_id, entry in self._entries.items() if entry.task.step >= 0 and task_id != newest
        )
        oldest = next(droppable, None)
        if oldest is not None:
            self.remove(oldest)
            self.num_dropped += 1


class _Entries(Sequence[Entry]):
    """The entries of these ids, looked up only when they are needed."""

    def __init__(self, ids: Sequence[str], entries: Mapping[str, Entry]) -> None:
        self._ids = ids
        self._entries = entries

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entries.__getitem__, self._ids)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self._entries[task_id] for task_id in self._ids[index]]
        return self._entries[self._ids[index]]


def _form(task: Task) -> str:
    return task.shape or task.program


def add_imports(folder: Path, tasks: Iterable[Task]) -> None:
    """Write tasks next to a saved pool; see `IMPORTS`."""
    with (folder / IMPORTS).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(to_record(task)) + "\n" for task in tasks)


def read_tasks(path: Path) -> list[Task]:
    """Read tasks that `save` or `add_imports` wrote. Raises CheckpointError."""
    return [entry.task for entry in _read_entries(path)]


def _read_entries(path: Path) -> list[Entry]:
    try:
        return [entry_from_record(parse_json(line)) for line in read_text(path).splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"cannot read the task pool {path}: {error}") from error
