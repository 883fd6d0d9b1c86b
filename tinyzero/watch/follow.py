"""Follows a run's folder and keeps its state up to date; reads only new data. Never writes."""

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from tinyzero.foreign import BadContent, read_json
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import RARE, SPAN, comparison_of, tasks_of
from tinyzero.run.records import parse, stands_for_others
from tinyzero.watch.state import News, RunState, fold

_MARK_BYTES = 256
_FIRST_LINES = 20  # always read: figures compare the newest steps with the first ten

Record = dict[str, Any]


class Tail:
    """A reading position in one JSONL file.

    A resumed run truncates its logs to the last checkpoint and writes those steps again. Tail detects this by
    the file's length and the last bytes that it has read.
    """

    def __init__(
        self, path: Path, *, last_bytes: int | None = None, early_bytes: int = 0, always: Sequence[bytes] = ()
    ) -> None:
        """Start at the beginning, or read all lines within the last `last_bytes` bytes only.

        Args:
            early_bytes: about how much of the lines before those is read, spread evenly; such a record has
                the number of lines for which it stands in `SPAN`.
            always: a line that contains one of these is never left out, unless `early_bytes` is 0.
        """
        self._path = path
        self._last_bytes = last_bytes
        self._early_bytes = early_bytes
        self._always = always
        self._offset = 0
        self._mark = b""

    def read(self) -> tuple[list[Record], bool]:
        """The new records, and whether all records read before are void.

        A missing or unreadable file counts as empty.
        """
        try:
            with self._path.open("rb") as file:
                return self._read(file)
        except OSError:
            was_read = self._offset > 0
            self._offset, self._mark = 0, b""
            return [], was_read

    def _read(self, file: BinaryIO) -> tuple[list[Record], bool]:
        size = os.fstat(file.fileno()).st_size
        is_void = self._offset > 0 and not self._still_fits(file, size)
        if is_void:
            self._offset, self._mark = 0, b""
        file.seek(self._offset)
        is_at_start = self._offset == 0 and self._last_bytes is not None
        records = self._skip(file, size - (self._last_bytes or 0)) if is_at_start else []
        for line in iter(file.readline, b""):
            if not line.endswith(b"\n"):
                break
            self._pass(line)
            if record := parse(line):
                records.append(record)
        return records, is_void

    def _skip(self, file: BinaryIO, start: int) -> list[Record]:
        """Go to the first line after byte `start`. Returns the records of some lines before it."""
        if self._early_bytes:
            return self._thinned(file, start)
        if start > 0:
            file.seek(start)
            file.readline()
            self._offset = file.tell()
        return []

    def _thinned(self, file: BinaryIO, start: int) -> list[Record]:
        """The records of one of every `stride` lines, chosen as if at random, and of those to read always."""
        records, stride, num_left_out = list[Record](), max(1, -(-start // self._early_bytes)), 0
        for number in count():
            if self._offset >= start and not num_left_out:
                break
            line = file.readline()
            if not line.endswith(b"\n"):
                break
            self._pass(line)
            is_chosen = number < _FIRST_LINES or stands_for_others(number, stride)
            if not is_chosen and not any(part in line for part in self._always):
                num_left_out += 1
            elif record := parse(line):
                if num_left_out:
                    record[SPAN] = 1 + num_left_out
                records.append(record)
                num_left_out = 0
        return records

    def _pass(self, line: bytes) -> None:
        self._offset += len(line)
        self._mark = (self._mark + line)[-_MARK_BYTES:]

    def _still_fits(self, file: BinaryIO, size: int) -> bool:
        if size < self._offset:
            return False
        file.seek(self._offset - len(self._mark))
        return file.read(len(self._mark)) == self._mark


_LOGS = ("metrics", "samples", "tasks", "events")
_MIB = 2**20
_NEWEST_BYTES = 2 * _MIB  # of a longer log of samples or tasks, a live view shows only the end
_NEWEST_METRICS_BYTES, _EARLY_METRICS_BYTES = 1 * _MIB, 4 * _MIB
_REPORTED_TASK_BYTES = 4 * _MIB


class Follower:
    """Reads a run that may be in training.

    A look costs a few system calls if nothing has changed. Damaged files and unfinished lines are skipped.
    """

    def __init__(self, run: RunFolder, *, read_all: bool = False, logs: Collection[str] = _LOGS) -> None:
        """Without `read_all`, early samples and tasks of a long run are skipped, and most of its early steps.

        Args:
            logs: the logs to read.
        """
        self.run = run
        self._read_all = read_all
        self._logs = logs
        self._state = RunState(name=run.name, path=str(run.path))
        self._tails = self._open()
        self._files_read: dict[str, tuple[int, int]] = {}

    def look(self) -> RunState:
        """The current state of the run; the same object if nothing has changed."""
        looks = {name: tail.read() for name, tail in self._tails.items()}
        if any(is_void for _, is_void in looks.values()):
            self._state = replace(
                self._state, steps=(), samples=(), tasks={}, events=(), started_at=None, measured_s=()
            )
            self._tails = self._open()
            looks = {name: tail.read() for name, tail in self._tails.items()}
        news = News(**{name: records for name, (records, _) in looks.items()})
        if news:
            self._state = fold(self._state, news, keep_all=self._read_all)
        self._look_around(has_news=bool(news))
        return self._state

    def _open(self) -> dict[str, Tail]:
        back = None if self._read_all else _NEWEST_BYTES
        tails = {
            "metrics": Tail(
                self.run.metrics,
                last_bytes=None if self._read_all else _NEWEST_METRICS_BYTES,
                early_bytes=_EARLY_METRICS_BYTES,
                always=[f'"{name}'.encode() for name in RARE],
            ),
            "samples": Tail(self.run.samples, last_bytes=back),
            "tasks": Tail(self.run.tasks, last_bytes=back),
            "events": Tail(self.run.events),
        }
        return {name: tail for name, tail in tails.items() if name in self._logs}

    def _look_around(self, *, has_news: bool) -> None:
        """Read the small files that have changed, and check whether a process trains the run."""
        changes: dict[str, Any] = {}
        if (config := self._changed("config.json")) is not None:
            changes["config"] = config
        if (environment := self._changed("environment.json")) is not None:
            changes["environment"] = environment
        if (evaluation := self._changed("evaluation.json")) is not None:
            changes["comparison"] = comparison_of(evaluation)
        if has_news:
            with suppress(OSError):
                changes["last_step_at"] = self.run.metrics.stat().st_mtime
        if (is_running := self.run.is_held()) != self._state.is_running:
            changes["is_running"] = is_running
        if changes:
            self._state = replace(self._state, **changes)

    def _changed(self, name: str) -> dict[str, Any] | None:
        """The object in a file of the folder; None if the file is unchanged, absent or damaged."""
        path = self.run.path / name
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if self._files_read.get(name) == stamp:
                return None
            content = read_json(path)
        except (OSError, BadContent):
            return None
        self._files_read[name] = stamp
        return content if isinstance(content, dict) else None


def state_of(run: RunFolder, logs: Collection[str] = _LOGS) -> RunState:
    """The current state of a run, with all its samples and tasks."""
    return Follower(run, read_all=True, logs=logs).look()


def state_to_report(run: RunFolder) -> RunState:
    """The current state of a run, with its newest samples, and all its tasks unless they are very many."""
    state = Follower(run, logs=("metrics", "samples", "events")).look()
    records, _ = Tail(run.tasks, last_bytes=_REPORTED_TASK_BYTES).read()
    return replace(
        state,
        tasks={task.id: task for task in tasks_of(records)},
        has_all_tasks=not records or run.tasks.stat().st_size <= _REPORTED_TASK_BYTES,
    )


def age_s(path: Path, now: float) -> float:
    """Seconds since a run wrote to its logs; a report or an export in its folder makes it no newer."""
    run, times = RunFolder(path), list[float]()
    for file in (path / "config.json", *run.logs):
        with suppress(OSError):
            times.append(file.stat().st_mtime)
    return max(0.0, now - max(times, default=now))
