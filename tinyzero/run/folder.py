"""One run on disk: names, the settled configuration, and the lock that keeps a second trainer out."""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from tinyzero.errors import CheckpointError, nearest
from tinyzero.foreign import BadContent, read_json, read_json_object
from tinyzero.run.durable import explaining_failures, sync, write_json

if TYPE_CHECKING:
    from tinyzero.config import Settled


_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder and the paths in it.

    Attributes:
        path: the folder itself; its last part is the run's name.
    """

    path: Path

    @classmethod
    def create(cls, output: Path, name: str, config: "Settled") -> Self:
        """Make the folder of a new run.

        Raises:
            CheckpointError: a run of that name exists (it is never overwritten), or the disk refuses.
        """
        folder = cls(output / name)
        if not folder._claim(config):
            way_out = (
                f"continue it: tinyzero train --resume {folder.path}" if is_run(folder.path) else "remove it"
            )
            raise CheckpointError(f"{folder.path} exists; choose another --name, or {way_out}")
        return folder

    @classmethod
    def create_numbered(cls, output: Path, stem: str, config: "Settled", *, today: date) -> Self:
        """Make a new run's folder, named `<stem>-<date>-<n>` with the first n that is free."""
        folders = (cls(output / f"{stem}-{today}-{number}") for number in count(1))
        return next(folder for folder in folders if folder._claim(config))

    def _claim(self, config: "Settled") -> bool:
        """Make the folder; False where it is there. Of several processes at once, one gets True.

        It is made under another name: a kill leaves no folder of this name without a configuration.
        """
        aside = RunFolder(self.path.with_name(f".starting-{uuid4().hex}"))
        with explaining_failures(self.path):
            if os.path.lexists(self.path) and not _is_empty_folder(self.path):
                return False
            try:
                aside.checkpoints.mkdir(parents=True)
                aside.write_config(config)
                return _rename_if_free(aside.path, self.path)
            finally:
                shutil.rmtree(aside.path, ignore_errors=True)

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
    def replays(self) -> Path:
        return self.path / "replays.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def logs(self) -> tuple[Path, ...]:
        """All that grow by lines."""
        return self.metrics, self.samples, self.tasks, self.replays, self.events

    def has_logs(self) -> bool:
        try:
            return any(path.is_file() for path in self.logs)
        except (OSError, ValueError):  # a name too long, or one that no file can have
            return False

    @property
    def log(self) -> Path:
        return self.path / "run.log"

    @property
    def adapter(self) -> Path:
        """Where the trained adapters lie when the run has ended."""
        return self.path / "adapter"

    def config(self) -> "Settled":
        """The settled configuration that the run was started with, or last resumed with."""
        # Half of the time that a command takes to start, and most commands on runs need no configuration.
        from tinyzero.config import Config, without_dropped
        from tinyzero.machine.settling import settle_recorded

        path = self.path / "config.json"
        try:
            tree = read_json(path)
            if isinstance(tree, dict) and "model_type" in tree:
                raise CheckpointError(
                    f"{self.path} is the folder of a model, and no run; tinyzero eval takes it"
                )
            known = without_dropped(tree, file=str(path)) if isinstance(tree, dict) else tree
            return settle_recorded(Config.model_validate(known), self.environment())
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path} cannot be read by this version of TinyZero: {_first_line(error)}"
            ) from error

    def warn_of_earlier_nano(self) -> None:
        """Tell in the log where the run's adapters were made for the nano of an earlier version."""
        tree = _read_object(self.path / "config.json") or {}
        model, evaluation = tree.get("model"), tree.get("evaluation")
        is_nano = isinstance(model, dict) and model.get("base") == "nano"
        if is_nano and isinstance(evaluation, dict) and "sampled_tasks" not in evaluation:
            _logger.warning(
                "%s was trained on the nano of an earlier version, whose weights this version does not have; "
                "its adapters do not fit this one: train anew for figures that mean something",
                self.path,
            )

    def write_config(self, config: "Settled") -> None:
        write_json(self.path / "config.json", config.model_dump(mode="json"))

    def environment(self) -> dict[str, Any]:
        """What environment.json says; empty where the run never got that far."""
        return _read_object(self.path / "environment.json") or {}

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        write_json(self.path / "environment.json", environment)

    def base(self) -> dict[str, Any]:
        """What the run knows its base model by; empty for a run that recorded nothing."""
        found = self.environment().get("base")
        return found if isinstance(found, dict) else {}

    def write_base(self, base: Mapping[str, Any]) -> None:
        """Record by what the base model is known again."""
        self.write_environment({**self.environment(), "base": dict(base)})

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.json"

    def read_evaluation(self) -> dict[str, Any] | None:
        """The before/after table as evaluation.json has it; None where the run has not come to its end."""
        return _read_object(self.evaluation)

    def write_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        """The before/after table of the run's end, for whoever reports or exports it."""
        write_json(self.evaluation, evaluation)

    @property
    def control(self) -> Path:
        """Where a person asks a running trainer for something, by files: see `tinyzero.run.control`."""
        return self.path / "control"

    def holder(self) -> int | None:
        """The process that trains this run on this machine, None where there is none."""
        try:
            with (self.path / "lock").open("rb") as file:
                process = int(file.read(32))
                return process if _is_alive(process) and _is_locked(file.fileno()) else None
        except (OSError, ValueError, OverflowError):
            return None

    def is_held(self) -> bool:
        return self.holder() is not None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the run for this process; the kernel lets go of it even after kill -9.

        Raises:
            CheckpointError: another process is training in this folder.
        """
        with explaining_failures(self.path / "lock"):
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor, self.path)
            yield
        finally:
            os.close(descriptor)


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        return read_json_object(path)
    except (OSError, BadContent):
        return None


def is_run(path: Path) -> bool:
    try:
        return (path / "config.json").is_file()
    except OSError:  # a name too long, a folder that is closed to us
        return False


def runs_in(output: Path) -> list[RunFolder]:
    """All runs in a folder, by name."""
    if not output.is_dir():
        return []
    paths = sorted(path for path in output.iterdir() if not path.name.startswith("."))
    return [RunFolder(path) for path in paths if is_run(path)]


def find_run(run: str, output: Path) -> RunFolder:
    """A run by its path, or by its name in the output folder.

    Raises:
        CheckpointError: there is none; the message names the nearest one.
    """
    for path in (output / run, Path(run).expanduser()):
        if is_run(path):
            return RunFolder(path)
    for path in (output / run, Path(run).expanduser()):
        if RunFolder(path).has_logs():
            raise CheckpointError(f"{path} has the logs of a run but no config.json, which opens it")
    names = [folder.name for folder in runs_in(output)]
    known = nearest(Path(run).name, names) or ("; tinyzero runs lists what there is" if names else "")
    raise CheckpointError(f"no run {run}, neither as a path nor in {output}{known}")


def _rename_if_free(folder: Path, name: Path) -> bool:
    try:
        folder.rename(name)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    sync(name.parent)
    return True


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:  # it is another user's
        return True
    except OSError:
        return False
    return process > 0


def _is_locked(descriptor: int) -> bool:
    """Ask only while the holder that the file names is alive: for a moment, asking keeps a trainer out."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise CheckpointError(f"{path} is being trained by process {holder or '?'}; stop it first") from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)


def _first_line(error: OSError | ValueError) -> str:
    return " ".join(str(error).split())[:160]
