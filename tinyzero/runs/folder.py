"""One run on disk: names, the resolved configuration, and the lock that keeps a second trainer out."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Self

from tinyzero.config import Config
from tinyzero.errors import CheckpointError, nearest
from tinyzero.runs.durable import explaining_failures, write_json


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder and the paths in it.

    Attributes:
        path: the folder itself; its last part is the run's name.
    """

    path: Path

    @classmethod
    def create(cls, output: Path, name: str, config: Config) -> Self:
        """Make the folder of a new run.

        Raises:
            CheckpointError: a run of that name exists (it is never overwritten), or the disk refuses.
        """
        folder = cls(output / name)
        if not folder._claim():
            raise CheckpointError(
                f"{folder.path} exists; choose another --name, or continue it: "
                f"tinyzero train --resume {folder.path}"
            )
        folder.write_config(config)
        return folder

    @classmethod
    def create_numbered(cls, output: Path, stem: str, config: Config, *, today: date) -> Self:
        """Make a new run's folder, named `<stem>-<date>-<n>` with the first n that is free."""
        folders = (cls(output / f"{stem}-{today}-{number}") for number in count(1))
        folder = next(folder for folder in folders if folder._claim())
        folder.write_config(config)
        return folder

    def _claim(self) -> bool:
        """Make the folder; False where it is there. Of several processes at once, one gets True."""
        with explaining_failures(self.path):
            try:
                self.path.mkdir(parents=True)
            except FileExistsError:
                return False
            self.checkpoints.mkdir()
        return True

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder of an existing run.

        Raises:
            CheckpointError: there is no run; the message names the nearest one.
        """
        if not is_run(path):
            names = [folder.name for folder in runs_in(path.parent)]
            raise CheckpointError(f"no run at {path} (no config.json there){nearest(path.name, names)}")
        return cls(path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def tasks(self) -> Path:
        return self.path / "tasks.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "run.log"

    @property
    def adapter(self) -> Path:
        """Where the trained adapters lie when the run has ended."""
        return self.path / "adapter"

    def config(self) -> Config:
        """The resolved configuration that the run was started with, or last resumed with."""
        path = self.path / "config.json"
        try:
            return Config.model_validate_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(
                f"{path} cannot be read by this version of TinyZero: {_first_line(error)}"
            ) from error

    def write_config(self, config: Config) -> None:
        write_json(self.path / "config.json", config.model_dump(mode="json"))

    def environment(self) -> dict[str, Any]:
        """What environment.json says; empty where the run never got that far."""
        return _read_object(self.path / "environment.json") or {}

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        write_json(self.path / "environment.json", environment)

    def evaluation(self) -> dict[str, Any] | None:
        """The before/after table as evaluation.json has it; None where the run has not come to its end."""
        return _read_object(self.path / "evaluation.json")

    def write_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        """The before/after table of the run's end, for whoever reports or exports it."""
        write_json(self.path / "evaluation.json", evaluation)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the run for this process; the kernel lets go of it even after kill -9.

        Raises:
            CheckpointError: another process is training in this folder.
        """
        with explaining_failures(self.path):
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor, self.path)
            yield
        finally:
            os.close(descriptor)


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def is_run(path: Path) -> bool:
    try:
        return (path / "config.json").is_file()
    except OSError:  # a name too long, a folder that is closed to us
        return False


def runs_in(output: Path) -> list[RunFolder]:
    """All runs in a folder, by name."""
    if not output.is_dir():
        return []
    return [RunFolder(path) for path in sorted(output.iterdir()) if is_run(path)]


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise CheckpointError(f"{path} is being trained by process {holder or '?'}; stop it first") from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)


def _first_line(error: ValueError) -> str:
    return " ".join(str(error).split())[:160]
