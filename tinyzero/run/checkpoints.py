"""Checkpoints: `checkpoints/step-000100/<part>/` and progress.json. A checkpoint is complete or absent.

A checkpoint is written to another folder, synced and renamed; the logs are synced before it. progress.json
holds the step, the size and SHA-256 of every file, and its own SHA-256, so that damage is detected before
anything is loaded.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tinyzero.errors import CheckpointError
from tinyzero.foreign import read_json_object
from tinyzero.run.durable import (
    REPLACED,
    explaining_failures,
    explaining_reads,
    fingerprint,
    fingerprints,
    replace_folder,
    sync,
    sync_tree,
)
from tinyzero.run.events import CheckpointDamaged, Checkpointed, events_of
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import append_event, read

logger = logging.getLogger(__name__)

_PROGRESS = "progress.json"
_NAME = re.compile(r"step-[0-9]{6,}")


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
            _sync_logs(run_folder)
            run_folder.checkpoints.mkdir(exist_ok=True)
            _remove_leftovers(run_folder, step)
            _fill(aside, step, parts)
            replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def restore(run_folder: RunFolder, parts: Mapping[str, Stateful]) -> int:
    """Load the newest intact checkpoint into `parts`, and return its step.

    A run that was killed before its first checkpoint starts again: step 0, nothing is loaded.
    A damaged checkpoint is skipped, with a warning in the log and in events.jsonl.

    Raises:
        CheckpointError: there are checkpoints and none is intact, or there were some and they are gone.
    """
    _put_back(run_folder)
    folder, damages = newest_intact(run_folder)
    for damaged, damage in damages.items():
        logger.warning("checkpoint %s is damaged (%s); going back to the one before", damaged, damage)
        append_event(run_folder.events, CheckpointDamaged(checkpoint=damaged, damage=damage))
    if folder is None:
        _refuse_loss(run_folder)
        return 0
    for name, part in parts.items():
        if not (folder / name).is_dir():
            raise CheckpointError(f"{folder} holds no {name}; it was written by another version of TinyZero")
        part.load(folder / name)
    return step_of(folder)


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
    step = step_of(target)
    with explaining_failures(target):
        for leftover in run_folder.checkpoints.glob(".step-*"):
            shutil.rmtree(leftover)
        shutil.copytree(target, aside)
        change(aside)
        _write_progress(aside, step)
        sync_tree(aside)
        replace_folder(aside, target)
    return target


def latest(run_folder: RunFolder) -> Path | None:
    """The newest intact checkpoint; None if the run has none yet.

    Raises:
        CheckpointError: there are checkpoints and none is intact.
    """
    return newest_intact(run_folder)[0]


def steps_saved(run_folder: RunFolder) -> int:
    """Number of steps that a resumed run does not have to repeat.

    Raises:
        CheckpointError: there are checkpoints and none is intact, or there were some and they are gone.
    """
    folder = latest(run_folder)
    if folder is None:
        _refuse_loss(run_folder)
    return 0 if folder is None else step_of(folder)


def listing(run_folder: RunFolder) -> list[Path]:
    """All checkpoints, oldest first, damaged ones included."""
    with explaining_reads(run_folder.checkpoints):
        try:
            names = list(run_folder.checkpoints.iterdir())
        except FileNotFoundError:
            return []
    return sorted((path for path in names if _NAME.fullmatch(path.name)), key=step_of)


def prune(run_folder: RunFolder, keep: int, *, best: int | None = None) -> None:
    """Delete all but the `keep` newest checkpoints, and that of the step `best`."""
    with explaining_failures(run_folder.checkpoints):
        for folder in listing(run_folder)[:-keep]:
            if folder.is_dir() and step_of(folder) != best:
                shutil.rmtree(folder)


def newest_intact(run_folder: RunFolder) -> tuple[Path | None, dict[str, str]]:
    """The newest intact checkpoint, None if the run has none yet; and the damage of each newer one.

    Raises:
        CheckpointError: there are checkpoints and none is intact.
    """
    damages: dict[str, str] = {}
    for folder in reversed(listing(run_folder)):
        damage = find_damage(folder)
        if damage is None:
            return folder, damages
        damages[folder.name] = damage
    if damages:
        newest, damage = next(iter(damages.items()))
        raise CheckpointError(
            f"no checkpoint in {run_folder.checkpoints} is intact; start a new run, or play this one anew: "
            f"tinyzero train --resume {run_folder.path} --start-over ({newest}: {damage})"
        )
    return None, {}


def _refuse_loss(run_folder: RunFolder) -> None:
    """Raise CheckpointError if the run had a checkpoint: starting at step 0 would cut its logs to nothing."""
    events = events_of(read(run_folder.events))
    saved = [event.step for event in events if isinstance(event, Checkpointed)]
    has_lost = saved or run_folder.adapter.exists() or not run_folder.checkpoints.is_dir()
    if has_lost and any(path.exists() for path in (*run_folder.logs, run_folder.adapter)):
        last = f", and one was saved after step {max(saved)}" if saved else ""
        raise CheckpointError(
            f"there is no checkpoint in {run_folder.checkpoints}{last}; put it back, or play the run anew: "
            f"tinyzero train --resume {run_folder.path} --start-over"
        )


def _sync_logs(run_folder: RunFolder) -> None:
    """After a power cut, the logs reach at least as far as the newest checkpoint."""
    for path in run_folder.logs:
        if path.exists():
            sync(path)
    sync(run_folder.path)


def _put_back(run_folder: RunFolder) -> None:
    """Restore a checkpoint that a kill between two renames of `replace_folder` left under another name."""
    for replaced in run_folder.checkpoints.glob(f".step-*{REPLACED}"):
        target = replaced.with_name(replaced.name.removeprefix(".").removesuffix(REPLACED))
        if not target.exists():
            with explaining_failures(target):
                replaced.rename(target)


def _fill(folder: Path, step: int, parts: Mapping[str, Stateful]) -> None:
    folder.mkdir(parents=True)
    for name, part in parts.items():
        (folder / name).mkdir()
        part.save(folder / name)
    _write_progress(folder, step)
    sync_tree(folder)


def _write_progress(folder: Path, step: int) -> None:
    content = {"step": step, "files": fingerprints(folder, without=(_PROGRESS,))}
    text = json.dumps({**content, "sha256": _digest(content)}, indent=2)
    (folder / _PROGRESS).write_text(text + "\n", encoding="utf-8")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def find_damage(folder: Path) -> str | None:
    """The damage of a checkpoint; None if it is intact.

    Raises:
        CheckpointError: this user may not read it, which is no damage.
    """
    with explaining_reads(folder):
        try:
            expected = _read_progress(folder)["files"]
        except PermissionError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            return f"{_PROGRESS}: {error}"
        changed = (name for name in expected if _is_changed(folder / name, expected[name]))
        return next((f"{name} is missing or changed" for name in changed), None)


def _is_changed(path: Path, expected: object) -> bool:
    try:
        return fingerprint(path) != expected
    except PermissionError:
        raise
    except (OSError, ValueError):
        return True


def _read_progress(folder: Path) -> dict[str, Any]:
    """What progress.json says. Raises ValueError if that cannot be; earlier versions wrote no `sha256`."""
    content = read_json_object(folder / _PROGRESS)
    if content.keys() - {"sha256"} != {"step", "files"}:
        raise ValueError("not a checkpoint's")
    digest = content.pop("sha256", None)
    if not isinstance(content["files"], dict) or (digest is None and not content["files"]):
        raise ValueError("it names no files")
    if digest not in (None, _digest(content)):
        raise ValueError("changed")
    if content["step"] != step_of(folder):
        raise ValueError(f"of step {content['step']}")
    return content


def step_of(folder: Path) -> int:
    number = folder.name.removeprefix("step-")
    return int(number) if number.isdigit() else -1


def _remove_leftovers(run_folder: RunFolder, step: int) -> None:
    """Delete the remains of an interrupted write; put damaged checkpoints aside that `restore` skipped.

    The run's lock guarantees that no other process writes. A checkpoint of a later step than the run's is
    damaged. It gets another name: it would count as the newest, and `prune` would keep it instead of an
    intact one.
    """
    _put_back(run_folder)
    for folder in run_folder.checkpoints.glob(".step-*"):
        shutil.rmtree(folder)
    for folder in listing(run_folder):
        if step_of(folder) > step:
            replace_folder(folder, folder.with_name(f"damaged-{folder.name}"))
