"""tinyzero.json: what a folder is, and the size and SHA-256 of its files, by which a retry knows it again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyzero.hub.facts import RECORD

_FREE = (RECORD, "README.md")  # the card may be edited before it is pushed


def write_record(folder: Path, content: Mapping[str, Any]) -> None:
    whole = {**content, "files": fingerprints(folder)}
    (folder / RECORD).write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def is_same_export(folder: Path, request: Mapping[str, Any]) -> bool:
    """Whether `folder` is an export of this request, with all files but the card as they were written."""
    content = read_record(folder)
    return bool(content.get("request") == request and content.get("files") == fingerprints(folder))


def read_record(folder: Path) -> dict[str, Any]:
    """What tinyzero.json says; empty where there is none to be read."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def fingerprints(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> bytes and SHA-256 of every file in the folder but the card and the record."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    return {name: _fingerprint(path) for name, path in zip(names, files, strict=True) if name not in _FREE}


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
