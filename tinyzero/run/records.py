"""The append-only logs of a run: one JSON object per line, in step order, flushed line by line.

metrics.jsonl   one line per step; the names are API
samples.jsonl   prompts, answers and rewards
tasks.jsonl     every verified task, with provenance and solve rate
replays.jsonl   later attempts at earlier tasks: how their solve rates changed
events.jsonl    other events: starts, checkpoints, warnings, ends
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tinyzero.run.durable import explaining_failures, put_in_place
from tinyzero.run.events import Event, details_of


class RecordWriter:
    """Appends to one log. When `append` returns, the line has been passed to the operating system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with explaining_failures(path):
            _drop_half_line(path)
            self._file = path.open("ab", buffering=0)

    def append(self, record: Mapping[str, Any]) -> None:
        unwritten = (to_json(record) + "\n").encode("ascii")
        with explaining_failures(self._path):
            while unwritten:  # a nearly full disk writes a part, then raises
                unwritten = unwritten[self._file.write(unwritten) :]

    def close(self) -> None:
        self._file.close()


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
    """
    if not path.exists():
        return
    mark = json.dumps(mentioning)[1:-1].encode("ascii")
    with path.open("rb") as file:
        for line in file:
            record = parse(line) if mark in line else None
            if record is not None:
                yield record


def truncate_after(path: Path, step: int) -> None:
    """Delete the lines of steps after `step`: a run that resumes there plays those steps again."""
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
