"""Writes files so that a kill or a power cut leaves the state before or after, never a mixture."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyzero.errors import CheckpointError

_MIB = 2**20
_DISK_SAYS_NO = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EFBIG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` with a file that holds `content`. It is written under another name first."""
    aside = path.with_name(f".{path.name}.partial")
    with explaining_failures(path):
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        put_in_place(aside, path)


def put_in_place(aside: Path, path: Path) -> None:
    """Sync a complete file to the disk and give it its name, in place of the file that has it."""
    _sync(aside)
    aside.replace(path)
    _sync(path.parent)


def sync_tree(folder: Path) -> None:
    """Sync a folder, its files and its subfolders to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprints(folder: Path, *, without: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Path in the folder -> size in bytes and SHA-256, for every file except those in `without`."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: _fingerprint(files[name]) for name in sorted(files) if name not in without}


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


@contextmanager
def explaining_failures(path: Path) -> Iterator[None]:
    """Turn the error of a full or read-only disk into one line that says what to do."""
    try:
        yield
    except Exception as error:
        reason = _refusal(error, path)
        if reason is None:
            raise
        free_mib = _free_bytes(path) // _MIB
        raise CheckpointError(
            f"cannot write {path}: {reason} ({free_mib} MiB free there); make room or choose another --output"
        ) from error


def _refusal(error: Exception, path: Path) -> str | None:
    """The disk's error message; None if the error has another cause."""
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno in _DISK_SAYS_NO else None
    # torch and safetensors wrap "no space left" in their own exceptions.
    is_full = "No space left" in str(error) or _free_bytes(path) < _MIB
    return os.strerror(errno.ENOSPC) if is_full else None


def _free_bytes(path: Path) -> int:
    # Path.exists raises for a name that is too long or a folder without access; os.path.exists does not.
    parents = (path, *path.absolute().parents)
    existing = next(parent for parent in parents if os.path.exists(parent))  # noqa: PTH110
    return shutil.disk_usage(existing).free
