"""Reads a log that another process writes: the complete lines that were added since the last read."""

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from tinyzero.run.lines import SPAN
from tinyzero.run.records import parse, stands_for_others

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
