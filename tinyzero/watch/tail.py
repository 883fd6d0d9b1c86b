"""Reads a log that another process writes: the complete lines that were added since the last read."""

import os
from pathlib import Path
from typing import Any, BinaryIO

from tinyzero.run.records import parse

_MARK_BYTES = 256


class Tail:
    """A reading position in one JSONL file.

    A resumed run truncates its logs to the last checkpoint and writes those steps again. Tail detects this by
    the file's length and the last bytes that it has read.
    """

    def __init__(self, path: Path, *, last_bytes: int | None = None) -> None:
        """Start at the beginning, or at the first line within the last `last_bytes` bytes of the file."""
        self._path = path
        self._last_bytes = last_bytes
        self._offset = 0
        self._mark = b""

    def read(self) -> tuple[list[dict[str, Any]], bool]:
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

    def _read(self, file: BinaryIO) -> tuple[list[dict[str, Any]], bool]:
        size = os.fstat(file.fileno()).st_size
        is_void = self._offset > 0 and not self._still_fits(file, size)
        if is_void:
            self._offset, self._mark = 0, b""
        if self._offset == 0 and self._last_bytes is not None and size > self._last_bytes:
            file.seek(size - self._last_bytes)
            file.readline()
            self._offset = file.tell()
        file.seek(self._offset)
        content = file.read(max(0, size - self._offset))
        complete_lines = content[: content.rfind(b"\n") + 1]
        if complete_lines:
            self._offset += len(complete_lines)
            self._mark = complete_lines[-_MARK_BYTES:]
        return [record for line in complete_lines.split(b"\n") if (record := parse(line + b"\n"))], is_void

    def _still_fits(self, file: BinaryIO, size: int) -> bool:
        if size < self._offset:
            return False
        file.seek(self._offset - len(self._mark))
        return file.read(len(self._mark)) == self._mark
