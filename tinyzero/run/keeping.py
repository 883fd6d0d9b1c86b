"""Keeps the work of a run: saves it while its folder is there, and says what is missing when it goes on."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.errors import CheckpointError, FolderLost
from tinyzero.foreign import read_json_object
from tinyzero.run import checkpoints
from tinyzero.run.checkpoints import Stateful
from tinyzero.run.durable import explaining_failures, explaining_reads, fingerprints, identity
from tinyzero.run.events import Checkpointed, Ended, events_of
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import Step, steps_of, whole
from tinyzero.run.records import read

if TYPE_CHECKING:
    from tinyzero.config import Settled

HELDOUT_METRIC = "heldout/mean/sampled"
"""What makes a checkpoint the best: the solve rate of held-out tasks, kinds alike."""
_SETTINGS = ("config.json", "environment.json")
_KEPT = (*_SETTINGS, "lock", "plugins")  # what a run that starts over begins with
_MOST_BYTES = 2**25  # of a log whose lines are counted: views of long runs stay quick
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Keeper:
    """Saves one run in its folder, and in no other that takes the folder's place.

    Attributes:
        has_changed: whether the newest checkpoint is out of date.
        saved_at: by the clock, when the newest checkpoint was written; the start before the first.
        best: (accuracy, step) of the best measurement on held-out tasks; its checkpoint is never deleted.
    """

    run: RunFolder
    clock: Callable[[], float]
    has_changed: bool = False
    saved_at: float = 0.0
    best: tuple[float, int] | None = None
    _newest: Path | None = None
    _folder: tuple[int, int] | None = field(init=False)
    _settings: dict[str, bytes] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._folder = identity(self.run.path)
        self._keep_settings()

    def check_folder(self) -> None:
        """Raise FolderLost if the run's folder is gone, or another is in its place."""
        if identity(self.run.path) != self._folder:
            raise FolderLost(f"{self.run.path} was deleted, moved or replaced while the run trained")

    def is_best(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether a step was measured, and no earlier one was better."""
        accuracy = metrics.get(HELDOUT_METRIC)
        if accuracy is None or (self.best is not None and accuracy < self.best[0]):
            return False
        self.best = accuracy, step
        return True

    def save(
        self, step: int, parts: Mapping[str, Stateful], *, keep: int, tell: Callable[[Checkpointed], None]
    ) -> Path:
        """Write a checkpoint unless the newest is still right; keep the `keep` newest and the best.

        Raises:
            FolderLost: the run's folder is gone, and nothing is written.
            CheckpointError: the disk refuses.
        """
        self.check_folder()
        self._keep_settings()
        if self._newest and not self.has_changed and not checkpoints.find_damage(self._newest):
            return self._newest
        began = self.clock()
        try:
            self._newest = checkpoints.write(self.run, step, parts, replace=self.has_changed)
        except CheckpointError:
            self.check_folder()
            raise
        self.has_changed, self.saved_at = False, self.clock()
        checkpoints.prune(self.run, keep, best=self.best and self.best[1])
        tell(Checkpointed(step=step, path=str(self._newest), seconds=self.saved_at - began))
        return self._newest

    def _keep_settings(self) -> None:
        """Write the files again without which the run cannot go on, where another program deleted them."""
        for name in _SETTINGS:
            path = self.run.path / name
            if path.is_file():
                self._settings[name] = path.read_bytes()
            elif name in self._settings and not path.exists():
                with explaining_failures(path):
                    path.write_bytes(self._settings[name])
                _logger.warning("%s was deleted; it is there again", path)


def restore(run: RunFolder, parts: Mapping[str, Stateful]) -> tuple[int, list[Step]]:
    """Load the newest intact checkpoint.

    Returns:
        Its step, and the logged steps up to it. Missing ones are told in a warning.

    Raises:
        CheckpointError: the checkpoints or the log cannot be read, or the checkpoints are gone.
    """
    last = checkpoints.restore(run, parts)
    logged = [step for step in steps_of(read(run.metrics)) if step.number <= last]
    if hole := _describe_hole([step.number for step in logged], last):
        _logger.warning(
            "%s lacks step(s) %s: a power cut or another program took the lines; the checkpoint is intact",
            run.metrics,
            hole,
        )
    return last, logged


def has_work(run: RunFolder) -> bool:
    """Whether a folder holds more than what a start leaves there before the first step."""
    return any(path.exists() for path in (*run.logs, run.adapter)) or bool(checkpoints.listing(run))


def has_results(run: RunFolder, step: int) -> bool:
    """Whether all that a run writes at its end is there, and of this step."""
    checkpoint = checkpoints.latest(run)
    if checkpoint is None or not _is_copy(run.adapter, checkpoint / "policy"):
        return False
    if (checkpoint / "probe").is_dir() and whole((run.read_evaluation() or {}).get("step")) != step:
        return False
    return any(isinstance(event, Ended) and event.step == step for event in events_of(read(run.events)))


def _is_copy(folder: Path, source: Path) -> bool:
    """Whether the folder holds the same files. Earlier versions wrote adapter_config.json in any order."""
    with explaining_reads(folder):
        expected, actual = fingerprints(source), fingerprints(folder)
    return all(
        name in actual and (name.endswith("adapter_config.json") or actual[name] == expected[name])
        for name in expected
    )


def describe_damage(run: RunFolder) -> Iterator[str]:
    """What views of a run leave out, a line for each damaged file."""
    for path in (run.path / "config.json", run.path / "environment.json", run.evaluation):
        if path.exists() and not _is_object(path):
            yield f"{path} cannot be read; it is shown as if it were empty"
    for path in run.logs:
        if path.exists() and not path.is_file():
            yield f"{path} is no file; move it out of the way"
        elif foreign := _count_foreign(path):
            yield f"{path} has {foreign} line(s) that no run has written; they are skipped"


def _is_object(path: Path) -> bool:
    try:
        read_json_object(path)
    except (OSError, ValueError):
        return False
    return True


def _count_foreign(path: Path) -> int:
    """Complete lines that do not look like an object; 0 for a log too long to be looked through."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return 0
        with path.open("rb") as file:
            complete = (line.strip() for line in file if line.endswith(b"\n"))
            return sum(not (line.startswith(b"{") and line.endswith(b"}")) for line in complete)
    except OSError:
        return 0


def start_over(run: RunFolder) -> Path:
    """Move all that a run has written into a folder inside its own, so that it begins at step 0 again.

    Raises:
        CheckpointError: another process trains the run, or the disk refuses.
    """
    with run.exclusive(), explaining_failures(run.path):
        names = (run.path / f"earlier-{number}" for number in count(1))
        earlier = next(path for path in names if not path.exists())
        earlier.mkdir()
        for path in sorted(run.path.iterdir()):
            if path.name not in _KEPT and not path.name.startswith("earlier-"):
                path.rename(earlier / path.name)
        run.checkpoints.mkdir()
    return earlier


def folder_beside(run: RunFolder, config: "Settled") -> RunFolder:
    """A new folder for a run that has lost its own.

    Raises:
        CheckpointError: none can be made.
    """
    return RunFolder.create_numbered(run.path.parent, f"{run.name}-saved", config, today=date.today())


def _describe_hole(steps: Sequence[int], last: int) -> str:
    """The steps up to `last` that are missing, as in `3, 13 to 24`; empty if none is."""
    missing = sorted(set(range(1, last + 1)).difference(steps))
    runs = [
        [step for _, step in group]
        for _, group in groupby(enumerate(missing), key=lambda item: item[1] - item[0])
    ]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
