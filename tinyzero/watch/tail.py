"""Reads a log that another process is writing: what has been added since the last look, whole lines only."""

import os
from pathlib import Path
from typing import Any, BinaryIO

from tinyzero.run.records import parse

_MARK_BYTES = 256


class Tail:
    """A place in one JSONL file.

    A resumed run cuts its logs back to the last checkpoint, and writes those steps again. Tail sees that in
    the file's length, and in the last bytes that it has read.
    """

    def __init__(self, path: Path, *, last_bytes: int | None = None) -> None:
        """Begin at the start, or at the first line within the file's `last_bytes`."""
        self._path = path
        self._last_bytes = last_bytes
        self._offset = 0
        self._mark = b""

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """The records that are new, and whether everything read before is void.

        A file that is not there, or cannot be read, is an empty one.
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
        whole = content[: content.rfind(b"\n") + 1]
        if whole:
            self._offset += len(whole)
            self._mark = whole[-_MARK_BYTES:]
        return [record for line in whole.split(b"\n") if (record := parse(line + b"\n"))], is_void

    def _still_fits(self, file: BinaryIO, size: int) -> bool:
        if size < self._offset:
            return False
        file.seek(self._offset - len(self._mark))
        return file.read(len(self._mark)) == self._mark
