"""What `model.base` means: the model that ships, a folder of this machine, or an id on the Hub."""

from pathlib import Path

import tinyzero
from tinyzero.errors import ModelLoadError

HELDOUT_FILE = "heldout.jsonl"
"""Held-out tasks that lie beside a model; nano has some."""


def local_folder(base: str) -> Path | None:
    """The folder of a base model on this machine; None for a Hub id, and for a folder that is not there."""
    folder = Path(tinyzero.__file__).parent / "nano" if base == "nano" else Path(base).expanduser()
    return folder if folder.is_dir() else None


def resolve_base(base: str) -> str:
    """The folder or Hub id that `model.base` means.

    Raises:
        ModelLoadError: it is a folder, and not there.
    """
    folder = local_folder(base)
    if folder is not None:
        return str(folder)
    if base == "nano":
        raise ModelLoadError("the nano model is not in this installation; reinstall tinyzero")
    if base.startswith(("/", ".", "~")) or base.count("/") > 1:
        raise ModelLoadError(f"model.base is {base!r}, but there is no such folder")
    return base
