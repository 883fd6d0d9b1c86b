"""Resolves `model.base`: the bundled model, a local folder, or an id on the Hub."""

from pathlib import Path

import tinyzero
from tinyzero.errors import ModelLoadError

HELDOUT_FILE = "heldout.jsonl"
"""File of held-out tasks in a model's folder; nano has one."""


def local_folder(base: str) -> Path | None:
    """The folder of a base model on this machine; None for a Hub id or a missing folder."""
    folder = Path(tinyzero.__file__).parent / "nano" if base == "nano" else Path(base).expanduser()
    return folder if folder.is_dir() else None


def resolve_base(base: str) -> str:
    """The folder or Hub id of `model.base`.

    Raises:
        ModelLoadError: the folder does not exist.
    """
    folder = local_folder(base)
    if folder is not None:
        return str(folder)
    if base == "nano":
        raise ModelLoadError("the nano model is missing from this installation; reinstall tinyzero")
    if base.startswith(("/", ".", "~")) or base.count("/") > 1:
        raise ModelLoadError(f"model.base is {base!r}, but there is no such folder")
    return base
