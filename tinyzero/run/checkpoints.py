"""Checkpoints: `checkpoints/step-000100/<part>/` and progress.json. A checkpoint is complete or absent.

A checkpoint is written to another folder, synced and renamed. progress.json holds the step, and the size and
SHA-256 of every file, so that damage is detected before anything is loaded.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tinyzero.errors import CheckpointError
from tinyzero.foreign import read_json_object
from tinyzero.run.durable import explaining_failures, fingerprints, sync_tree
from tinyzero.run.events import CheckpointDamaged
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import append_event

logger = logging.getLogger(__name__)

_REPLACED = ".replaced"
_PROGRESS = "progress.json"


class Stateful(Protocol):
    """An object with state that a checkpoint saves."""

    def save(self, folder: Path) -> None:
        """Write the complete state into an empty folder."""
        ...

    def load(self, folder: Path) -> None:
        """Load the state that `save` wrote."""
        ...


def write(
    run_folder: RunFolder,
    step: int,
    parts: Mapping[str, Stateful],
    *,
    replace: bool = False,
) -> Path:
    """Save the state after `step` steps, and return its folder.

    If an intact checkpoint of this step exists, nothing is written: a run's state is a function of its
    step.

    Args:
        replace: write even then, because the game has prepared for the next step in the meantime.

    Raises:
        CheckpointError: the disk is full or not writable; older checkpoints stay intact.
    """
    target = run_folder.checkpoints / f"step-{step:06d}"
    if not replace and target.exists() and find_damage(target) is None:
        return target
    aside = run_folder.checkpoints / f".{target.name}"
    try:
        with explaining_failures(target):
            _remove_leftovers(run_folder, step)
            _fill(aside, step, parts)
            _put_in_place(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def restore(run_folder: RunFolder, parts: Mapping[str, Stateful]) -> int:
    """Load the newest intact checkpoint into `parts`, and return its step.

    A run that was killed before its first checkpoint starts again: step 0, nothing is loaded.
    A damaged checkpoint is skipped, with a warning in the log and in events.jsonl.

    Raises:
        CheckpointError: there are checkpoints and none is intact.
    """
    _put_back(run_folder)
    folder, damages = _newest_intact(run_folder)
    for damaged, damage in damages.items():
        logger.warning("checkpoint %s is damaged (%s); going back to the one before", damaged, damage)
        append_event(run_folder.events, CheckpointDamaged(checkpoint=damaged, damage=damage))
    if folder is None:
        return 0
    for name, part in parts.items():
        if not (folder / name).is_dir():
            raise CheckpointError(f"{folder} holds no {name}; it was written by another version of TinyZero")
        part.load(folder / name)
    return int(_read_progress(folder)["step"])


def amend(run_folder: RunFolder, change: Callable[[Path], None]) -> Path:
    """Let `change` edit the newest checkpoint: it edits a copy, which then replaces the checkpoint.

    The caller must hold the run's lock (`exclusive`).

    Raises:
        CheckpointError: the run has no checkpoint yet, or the disk is not writable.
    """
    _put_back(run_folder)
    target = latest(run_folder)
    if target is None:
        raise CheckpointError(f"{run_folder.path} has no checkpoint yet; train it for some steps first")
    aside = target.with_name(f".{target.name}")
    content = _read_progress(target)
    with explaining_failures(target):
        for leftover in run_folder.checkpoints.glob(".step-*"):
            shutil.rmtree(leftover)
        shutil.copytree(target, aside)
        change(aside)
        content["files"] = fingerprints(aside, without=(_PROGRESS,))
        (aside / _PROGRESS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        sync_tree(aside)
        _put_in_place(aside, target)
    return target


def latest(run_folder: RunFolder) -> Path | None:
    """The newest intact checkpoint; None if the run has none yet.

    Raises:
        CheckpointError: there are checkpoints and none is intact.
    """
    return _newest_intact(run_folder)[0]


def steps_saved(run_folder: RunFolder) -> int:
    """Number of steps that a resumed run does not have to repeat."""
    folder = latest(run_folder)
    return 0 if folder is None else int(_read_progress(folder)["step"])


def listing(run_folder: RunFolder) -> list[Path]:
    """All checkpoints, oldest first, damaged ones included."""
    return sorted(run_folder.checkpoints.glob("step-*"), key=step_of)


def prune(run_folder: RunFolder, keep: int) -> None:
    """Delete all but the `keep` newest checkpoints."""
    with explaining_failures(run_folder.checkpoints):
        for folder in listing(run_folder)[:-keep]:
            shutil.rmtree(folder)


def _newest_intact(run_folder: RunFolder) -> tuple[Path | None, dict[str, str]]:
    """The newest intact checkpoint, and the damage of each newer one."""
    damages: dict[str, str] = {}
    for folder in reversed(listing(run_folder)):
        damage = find_damage(folder)
        if damage is None:
            return folder, damages
        damages[folder.name] = damage
    if damages:
        raise CheckpointError(f"no checkpoint in {run_folder.checkpoints} is intact; start a new run")
    return None, {}


def _put_in_place(aside: Path, target: Path) -> None:
    """Make a complete folder the checkpoint. It replaces an existing one, which is deleted last."""
    replaced = target.with_name(f".{target.name}{_REPLACED}")
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        target.rename(replaced)
    aside.rename(target)
    sync_tree(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _put_back(run_folder: RunFolder) -> None:
    """Restore a checkpoint that a kill between the two renames of `_put_in_place` left under another name."""
    for replaced in run_folder.checkpoints.glob(f".step-*{_REPLACED}"):
        target = replaced.with_name(replaced.name.removeprefix(".").removesuffix(_REPLACED))
        if not target.exists():
            with explaining_failures(target):
                replaced.rename(target)


def _fill(folder: Path, step: int, parts: Mapping[str, Stateful]) -> None:
    folder.mkdir(parents=True)
    for name, part in parts.items():
        (folder / name).mkdir()
        part.save(folder / name)
    content = {"step": step, "files": fingerprints(folder, without=(_PROGRESS,))}
    (folder / _PROGRESS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sync_tree(folder)


def find_damage(folder: Path) -> str | None:
    """The damage of a checkpoint; None if it is intact."""
    try:
        expected = _read_progress(folder)["files"]
        actual = fingerprints(folder, without=(_PROGRESS,))
    except (OSError, ValueError, KeyError) as error:
        return f"{_PROGRESS}: {error}"
    return next(
        (f"{name} is missing or changed" for name in expected if actual.get(name) != expected[name]), None
    )


def _read_progress(folder: Path) -> dict[str, Any]:
    content = read_json_object(folder / _PROGRESS)
    if not isinstance(content.get("step"), int) or not isinstance(content.get("files"), dict):
        raise ValueError("not a checkpoint's")  # noqa: TRY004  of a file, not of an argument
    return content


def step_of(folder: Path) -> int:
    number = folder.name.removeprefix("step-")
    return int(number) if number.isdigit() else -1


def _remove_leftovers(run_folder: RunFolder, step: int) -> None:
    """Delete the remains of an interrupted write, and damaged checkpoints that `restore` skipped.

    The run's lock guarantees that no other process writes. A checkpoint of a later step than the run's is
    damaged. It must go: it would count as the newest, and `prune` would keep it instead of an intact one.
    """
    _put_back(run_folder)
    later = (folder for folder in listing(run_folder) if step_of(folder) > step)
    for folder in (*run_folder.checkpoints.glob(".step-*"), *later):
        shutil.rmtree(folder)
