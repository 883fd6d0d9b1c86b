"""The tasks of a run, read from tasks.jsonl as they are needed: of a long run there are too many to hold."""

import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final, overload

from tinyzero.run.lines import TaskRecord, tasks_of
from tinyzero.run.records import parse

_TEXT: Final = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_HEAD: Final = re.compile(rb'\{"step": (-?\d{1,15}), "id": ' + _TEXT + rb', "kind": ' + _TEXT + rb", ")
_SOLVE_RATE: Final = re.compile(rb'"solve_rate": (?:null|([0-9.e-]+))[,}]')
_BETWEEN_TEXTS: Final = ("program", "inputs", "outputs", "message", ": ", ", ", ": [", "], ")
"""What stands between quotes that are no text of the task."""


class TaskLine:
    """A line of tasks.jsonl, of which only what is asked for is read."""

    __slots__ = ("_head", "_line")

    def __init__(self, head: re.Match[bytes]) -> None:
        self._head = head
        self._line = head.string

    def is_of(self, kind: bytes) -> bool:
        """Whether the task is of this kind, encoded as in the file."""
        return self._head[3] == kind

    @property
    def step(self) -> int:
        return int(self._head[1])

    @property
    def solve_rate(self) -> float | None:
        """None for a task without attempts."""
        # No text in the line contains these characters: its quotes are escaped.
        match = _SOLVE_RATE.search(self._line, max(0, self._line.rfind(b'"solve_rate": ')))
        if match is None:
            task = self.task
            return None if task is None else task.solve_rate
        return None if match[1] is None else float(match[1])

    @property
    def task(self) -> TaskRecord | None:
        """None for a line that is damaged behind its beginning."""
        return _task(self._line)

    def surely_lacks(self, text: bytes) -> bool:
        """Whether this text, ASCII and encoded as in the file, is nowhere in the task, whatever the case."""
        return text not in self._line.lower() and b"\\u" not in self._line

    @property
    def texts(self) -> bytes:
        """Program, inputs, outputs, message and id, as they stand in the file; empty for some odd lines."""
        end = self._line.find(b', "shape": ', self._head.end())
        is_plain = end > 0 and b"\\u" not in self._line
        return self._line[self._head.end() : end] + self._head[2] if is_plain else b""


class Search:
    """A search for a text in program, inputs, outputs, message or id, whatever the case."""

    def __init__(self, text: str) -> None:
        self._folded = text.casefold()
        self._in_file = encoded(self._folded)
        self._surely = re.compile(rb"(?<!\\)" + re.escape(self._in_file))  # not the n of a line break, \n
        is_between = any(self._folded in piece for piece in _BETWEEN_TEXTS)
        self._is_plain = self._folded.isascii() and self._folded.isprintable() and not is_between

    def finds(self, line: TaskLine) -> bool:
        if self._is_plain:
            if line.surely_lacks(self._in_file):
                return False
            texts = line.texts.lower()
            if self._surely.search(texts):
                return True
            if texts and self._in_file not in texts:
                return False
        if (task := line.task) is None:
            return False
        parts = (task.id, task.program, *task.inputs, *task.outputs, task.message)
        return self._folded in "\n".join(parts).casefold()


class TaskLog(Mapping[str, TaskRecord]):
    """All tasks by id, in the order of their first lines; the newest line of an id counts.

    About 150 bytes of memory a task. Iterating gives the ids.
    """

    def __init__(
        self,
        path: Path,
        fits: Callable[[TaskLine], bool] | None = None,
        *,
        checked_bytes: int = 2 * 2**20,
    ) -> None:
        """Read the log once.

        Args:
            fits: which tasks are in `fitting`; all of them without it.
            checked_bytes: each line of a log up to this size is parsed, so that damage is noticed anywhere.
        """
        self._path = path
        self._places: dict[bytes, int] = {}  # id, as in the file -> byte at which its newest line begins
        fitting = set[int]()
        with suppress(OSError), path.open("rb") as file:
            is_checked, at = os.fstat(file.fileno()).st_size <= checked_bytes, 0
            for line in file:
                head = _HEAD.match(line)
                if head is None or is_checked or not line.endswith(b"}\n") or not line.isascii():
                    head = _HEAD.match(_rewritten(line))
                if head is not None:
                    self._places[head[2]] = at
                    if fits is not None and fits(TaskLine(head)):
                        fitting.add(at)
                at += len(line)
        places = (at for at in self._places.values() if fits is None or at in fitting)
        self.fitting = _Tasks(path, array("q", places)[::-1])
        """The tasks that fit, newest first."""

    def __getitem__(self, name: str) -> TaskRecord:
        task = next(_tasks_at(self._path, [self._places[encoded(name)]]), None)
        if task is None:
            raise KeyError(name)
        return task

    def __iter__(self) -> Iterator[str]:
        return map(_decoded, self._places)

    def __len__(self) -> int:
        return len(self._places)


class _Tasks(Sequence[TaskRecord]):
    """The tasks whose lines begin at these bytes; read anew on every access."""

    def __init__(self, path: Path, places: "array[int]") -> None:
        self._path = path
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[TaskRecord]:
        return _tasks_at(self._path, self._places)

    @overload
    def __getitem__(self, index: int) -> TaskRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[TaskRecord]: ...
    def __getitem__(self, index: int | slice) -> TaskRecord | list[TaskRecord]:
        if isinstance(index, slice):
            return list(_tasks_at(self._path, self._places[index]))
        return self[index : index + 1 or None][0]


def _decoded(text: bytes) -> str:
    """A text as it stands between quotes in JSON."""
    return str(json.loads(b'"%b"' % text)) if b"\\" in text else text.decode("utf-8", "replace")


def encoded(text: str) -> bytes:
    """A text as it stands between quotes in the log."""
    return json.dumps(text)[1:-1].encode("ascii")


def _rewritten(line: bytes) -> bytes:
    """A task's line with the fields in their usual order; empty if the line is no task."""
    task = _task(line)
    return b"" if task is None else json.dumps(asdict(task)).encode() + b"\n"


def _task(line: bytes) -> TaskRecord | None:
    record = parse(line)
    tasks = tasks_of([record]) if record else []
    return tasks[0] if tasks else None


def _tasks_at(path: Path, places: Iterable[int]) -> Iterator[TaskRecord]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for at in places:
            file.seek(at)
            if (task := _task(file.readline())) is not None:
                yield task
