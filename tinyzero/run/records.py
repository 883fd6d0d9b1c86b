"""The append-only logs of a run: one JSON object per line, in step order, flushed line by line.

metrics.jsonl   one line per step; the names are API
samples.jsonl   prompts, answers and rewards
tasks.jsonl     every verified task, with provenance and solve rate
replays.jsonl   later attempts at earlier tasks: how their solve rates changed
events.jsonl    other events: starts, checkpoints, warnings, ends
"""

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from tinyzero.run.durable import explaining_failures, explaining_reads, identity, put_in_place
from tinyzero.run.events import Event, details_of
from tinyzero.run.lines import finite

_logger = logging.getLogger(__name__)


class RecordWriter:
    """Appends to one log. When `append` returns, the line has been passed to the operating system.

    A log that another program deletes or replaces meanwhile is put back with all its lines, and the other
    file is kept under another name. A log whose folder is no longer there grows on without a name: see
    `save_to`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with explaining_failures(path):
            _drop_half_line(path)
            self._open()
            self._folder = identity(path.parent)

    def _open(self) -> None:
        self._file = self._path.open("a+b", buffering=0)
        self._bytes = os.fstat(self._file.fileno()).st_size

    def append(self, record: Mapping[str, Any]) -> None:
        unwritten = (to_json(record) + "\n").encode("ascii")
        with explaining_failures(self._path):
            self._look_for_others()
            while unwritten:  # a nearly full disk writes a part, then raises
                written = self._file.write(unwritten)
                unwritten, self._bytes = unwritten[written:], self._bytes + written

    def save_to(self, path: Path) -> None:
        """Write all lines to another file."""
        with explaining_failures(path), path.open("wb") as file:
            self._file.seek(0)
            shutil.copyfileobj(self._file, file)
            os.fsync(file.fileno())

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            with explaining_failures(self._path):
                self._look_for_others()
        finally:
            self._file.close()

    def _look_for_others(self) -> None:
        """Undo what another program did to the log since the last line."""
        status = os.fstat(self._file.fileno())
        if identity(self._path.parent) == self._folder and identity(self._path) != (
            status.st_dev,
            status.st_ino,
        ):
            self._put_back()
        elif status.st_size != self._bytes:
            _logger.warning("%s was changed by another program; its lines may be incomplete", self._path)
            self._bytes = status.st_size
            self._end_line()

    def _put_back(self) -> None:
        others = ""
        if os.path.lexists(self._path):
            names = (self._path.with_name(f"{self._path.name}.other-{number}") for number in count(1))
            other = next(name for name in names if not os.path.lexists(name))
            self._path.rename(other)
            others = f"; what was in its place is now {other}"
        aside = self._path.with_name(f".{self._path.name}.partial")
        self.save_to(aside)
        aside.rename(self._path)
        self._file.close()
        self._open()
        _logger.warning("%s was deleted or replaced; it is there again, with all lines%s", self._path, others)

    def _end_line(self) -> None:
        self._file.seek(max(0, self._bytes - 1))
        if self._file.read(1) not in (b"", b"\n"):
            self._bytes += self._file.write(b"\n")


def to_json(record: Mapping[str, Any]) -> str:
    """One line of ASCII. Numbers that are not finite become null, since JSON cannot represent them."""
    return json.dumps(_finite(record), allow_nan=False)


def event_record(event: Event) -> dict[str, Any]:
    """The record of an event, with the current time."""
    return {"event": event.name, "time": time.time(), **details_of(event)}


def append_event(path: Path, event: Event) -> None:
    """Append one line to an events.jsonl that may have no open writer."""
    with closing(RecordWriter(path)) as writer:
        writer.append(event_record(event))


def read(path: Path, *, mentioning: str = "") -> Iterator[dict[str, Any]]:
    """All complete lines. An unfinished line, being written or cut off by a kill, is skipped.

    Args:
        mentioning: skip most lines without this text, quickly.

    Raises:
        CheckpointError: the file cannot be read, or something else has its name.
    """
    if not path.exists():
        return
    mark = json.dumps(mentioning)[1:-1].encode("ascii")
    with explaining_reads(path), path.open("rb") as file:
        for line in file:
            record = parse(line) if mark in line else None
            if record is not None:
                yield record


def truncate_after(path: Path, step: int) -> None:
    """Delete the lines of steps after `step`: a run that resumes there plays those steps again.

    Lines that no run writes are kept; readers skip them.
    """
    if not path.exists():
        return
    kept_bytes = 0
    with explaining_failures(path), path.open("rb+") as file:
        for line in file:
            number = finite((parse(line) or {}).get("step"))
            if not line.endswith(b"\n") or (number is not None and number > step):
                break
            kept_bytes += len(line)
        file.truncate(kept_bytes)


def stands_for_others(number: int, stride: int) -> bool:
    """True for one of every `stride` numbers: at another place in each group, as games repeat themselves."""
    group, place = divmod(number, stride)
    return place == (group * 0x9E3779B1 >> 16) % stride


def thin(path: Path, *, last: int, stride: int) -> None:
    """Of the lines of steps up to `last`, keep those of one in `stride` steps. No writer may be open.

    A kill leaves the log before or after: the lines are written to another file, which is then renamed.
    """
    aside = path.with_name(f".{path.name}.partial")
    with explaining_failures(path):
        with path.open("rb") as source, aside.open("wb") as target:
            for line in source:
                step = (parse(line) or {}).get("step")
                if not isinstance(step, int) or step > last or stands_for_others(step, stride):
                    target.write(line)
        put_in_place(aside, path)


def parse(line: bytes) -> dict[str, Any] | None:
    """The object on a line; None for an incomplete line or any other content."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _drop_half_line(path: Path) -> None:
    """Remove an unfinished last line after a kill, so that the next line does not continue it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _finite(value: Any) -> Any:  # noqa: ANN401  a tree of JSON values
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
