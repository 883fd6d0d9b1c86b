"""Writes a folder completely or not at all: under another name first, then synced and renamed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyzero.errors import ExportError
from tinyzero.run.durable import explaining_failures, sync_tree

_GIB = 2**30


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """An empty folder next to `target`. It becomes `target` if the block succeeds, else it is deleted.

    The remains of an earlier try that was killed are deleted first.

    Raises:
        ExportError: the target exists already, or another process is writing it.
        CheckpointError: the disk is full or not writable.
    """
    _refuse_existing(target)
    aside = target.with_name(f".{target.name}.partial")
    with explaining_failures(target):
        aside.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_RDONLY)
    try:
        _lock(descriptor, target)
        try:
            with explaining_failures(target):
                _clear(aside)
                yield aside
                sync_tree(aside)
                _refuse_existing(target)
                if target.exists():
                    target.rmdir()
                aside.rename(target)
                sync_tree(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        os.close(descriptor)


def check_room(folder: Path, num_bytes: int) -> None:
    """Check for room on the disk before a long export. Raises ExportError."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise ExportError(
            f"the merged model needs {num_bytes / _GIB:.1f} GiB, and there are {free / _GIB:.1f} GiB free in "
            f"{folder.parent}; make room or choose another --output"
        )


def _refuse_existing(target: Path) -> None:
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ExportError(
            f"{target} exists and was not written by this command; "
            "remove it (export also takes another --output)"
        )


def _lock(descriptor: int, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ExportError(f"another process is writing {target}; wait for it") from error


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
