"""Writes files so that a kill or a power cut leaves the state before or after, never a mixture."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyzero.errors import CheckpointError

_MIB = 2**20
REPLACED = ".replaced"
"""Ends the hidden name of a folder while another takes its place."""
_OCCUPIED = {errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
# safetensors passes on the system's errors in this form, inside an exception of its own.
_WRAPPED = re.compile(r"\(os error (\d+)\)")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace `path` with a file that holds `content`. It is written under another name first."""
    aside = path.with_name(f".{path.name}.partial")
    with explaining_failures(path):
        aside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        put_in_place(aside, path)


def put_in_place(aside: Path, path: Path) -> None:
    """Sync a complete file to the disk and give it its name, in place of the file that has it."""
    sync(aside)
    aside.replace(path)
    sync(path.parent)


def replace_folder(aside: Path, target: Path) -> None:
    """Give a complete folder its name. It replaces an existing one, which is deleted last."""
    replaced = target.with_name(f".{target.name}{REPLACED}")
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        target.rename(replaced)
    aside.rename(target)
    sync(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def copy_folder(source: Path, target: Path) -> None:
    """Make `target` a copy of a folder: at any moment it is as before, absent, or complete."""
    aside = target.with_name(f".{target.name}.partial")
    with explaining_failures(target):
        try:
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(source, aside)
            sync_tree(aside)
            replace_folder(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Sync a folder, its files and its subfolders to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file or folder, which tell another in its place apart; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprints(folder: Path, *, without: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Path in the folder -> size in bytes and SHA-256, for every file except those in `without`."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: fingerprint(files[name]) for name in sorted(files) if name not in without}


def fingerprint(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


@contextmanager
def explaining_failures(path: Path) -> Iterator[None]:
    """Turn the error of a disk or folder that refuses a write into one line that says what to do."""
    try:
        yield
    except Exception as error:
        number, reason = _refusal(error, path)
        if not reason:
            raise
        raise CheckpointError(f"cannot write {path}: {reason} {_advice(number, path)}") from error


@contextmanager
def explaining_reads(path: Path) -> Iterator[None]:
    """Turn the error of a file or folder that cannot be read into one line that says what to do."""
    try:
        yield
    except OSError as error:
        advice = {
            **dict.fromkeys({*_OCCUPIED, errno.ENOTDIR}, "move it out of the way"),
            **dict.fromkeys(_FORBIDDEN, "give this user the right to read it, or use the user that trained"),
        }.get(error.errno or 0, "check the disk that it is on")
        raise CheckpointError(f"cannot read {error.filename or path}: {_words(error)}; {advice}") from error


def _refusal(error: Exception, path: Path) -> tuple[int, str]:
    """The system's error number and message; an empty message if the error has another cause."""
    if isinstance(error, CheckpointError):
        return 0, ""
    if isinstance(error, OSError):
        return error.errno or 0, _words(error)
    if wrapped := _WRAPPED.search(str(error)):
        return int(wrapped[1]), os.strerror(int(wrapped[1]))
    is_full = "No space left" in str(error) or _free_bytes(path) < _MIB
    return errno.ENOSPC, os.strerror(errno.ENOSPC) if is_full else ""


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _advice(number: int, path: Path) -> str:
    if number in _OCCUPIED:
        return "(something else has its name); move that out of the way"
    return f"({_free_bytes(path) // _MIB} MiB free there); make room or choose another --output"


def _free_bytes(path: Path) -> int:
    # Path.exists raises for a name that is too long or a folder without access; os.path.exists does not.
    parents = (path, *path.absolute().parents)
    existing = next(parent for parent in parents if os.path.exists(parent))  # noqa: PTH110
    return shutil.disk_usage(existing).free
