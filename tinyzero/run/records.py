"""The append-only logs of a run: one JSON object a line, in step order, flushed line by line.

metrics.jsonl   one line a step; the names are API
samples.jsonl   what was asked, answered and earned
tasks.jsonl     every verified task, with provenance and solve rate
replays.jsonl   later attempts at earlier tasks: how their solve rates changed
events.jsonl    what happened besides: starts, checkpoints, warnings, ends
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tinyzero.run.durable import explaining_failures
from tinyzero.run.events import Event, details_of


class RecordWriter:
    """Appends to one log. A line is on its way to the disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with explaining_failures(path):
            _drop_half_line(path)
            self._file = path.open("ab", buffering=0)

    def append(self, record: Mapping[str, Any]) -> None:
        rest = (to_json(record) + "\n").encode("ascii")
        with explaining_failures(self._path):
            while rest:  # a disk that is nearly full takes a part, and says no to the next
                rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        self._file.close()


def to_json(record: Mapping[str, Any]) -> str:
    """One line of ASCII. Numbers that are not finite become null, since JSON has no word for them."""
    return json.dumps(_finite(record), allow_nan=False)


def event_record(event: Event) -> dict[str, Any]:
    """The line of an event that happens now."""
    return {"event": event.name, "time": time.time(), **details_of(event)}


def append_event(path: Path, event: Event) -> None:
    """Add one line to an events.jsonl that may have no open writer."""
    with closing(RecordWriter(path)) as writer:
        writer.append(event_record(event))


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All whole lines. A line that is being written, or was cut off by a kill, is passed over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            record = parse(line)
            if record is not None:
                yield record


def truncate_after(path: Path, step: int) -> None:
    """Forget the lines of steps after `step`: a run that resumes there plays them again."""
    if not path.exists():
        return
    kept_bytes = 0
    with explaining_failures(path), path.open("rb+") as file:
        for line in file:
            record = parse(line)
            if not line.endswith(b"\n") or (record and record.get("step", step) > step):
                break
            kept_bytes += len(line)
        file.truncate(kept_bytes)


def parse(line: bytes) -> dict[str, Any] | None:
    """The object on a line; None for half a line, and for one that holds something else."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _drop_half_line(path: Path) -> None:
    """A kill in mid-write leaves a line without an end; the next one must not be glued to it."""
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
