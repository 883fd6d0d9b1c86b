"""Runs of arms and seeds, side by side, each in a process of its own; what is finished is not run again."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from learning.arms import ARMS, LEARNING
from learning.averaging import AveragingObserver
from learning.controls import LABELS, UnevenAttempts, majority
from learning.lengths import LadderObserver, find_ladder
from tinyzero.assembly import assemble
from tinyzero.config import load_config, override
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.controls import ChangedRewards
from tinyzero.games.r_zero.game import RZero
from tinyzero.machine.hardware import look
from tinyzero.machine.settling import settle
from tinyzero.policy.policy import Policy
from tinyzero.run.folder import RunFolder, is_run
from tinyzero.run.recorder import Recorder
from tinyzero.trainer import Trainer
from tinyzero.watch.plain import PlainObserver

RUNS = Path("runs/nano-learning")
SEEDS = (0, 1, 2, 3, 4)
MANY = "24-answers"
"""Folder in that of an untrained model: the same with 24 answers to each task, for their majority."""
_ONE_RUN = Path(__file__).parents[1] / "nano_learning.py"


def run_all(output: Path, arms: Sequence[str], seeds: Sequence[int], jobs: int) -> None:
    """The base of every seed, then the runs; seeds first, so that an early stop leaves whole comparisons."""
    start = [sys.executable, str(_ONE_RUN)]
    bases = [[*start, "base", "--output", str(output), "--seed", str(seed)] for seed in seeds]
    runs = [
        [*start, "one", "--output", str(output), "--arm", arm, "--seed", str(seed)]
        for seed, arm in product(seeds, arms)
    ]
    with ThreadPoolExecutor(jobs) as pool:
        for commands in (bases, runs):
            for process in pool.map(lambda command: subprocess.run(command, check=True), commands):
                process.check_returncode()


def measure_base(output: Path, seed: int) -> None:
    """The untrained model's scores, which all arms of a seed share; measured once."""
    folder = base_path(output, seed)
    if not (folder / "heldout.json").is_file():
        _measure_untrained(folder, seed)
    if not (folder / MANY).is_dir():
        _measure_untrained(folder / MANY, seed, ("evaluation.attempts=24", "evaluation.curve=false"))


def _measure_untrained(folder: Path, seed: int, settings: Sequence[str] = ()) -> None:
    with TemporaryDirectory() as aside, open_trainer(Path(aside), "trained", seed, settings) as trainer:
        assert trainer.probe is not None, "nano has held-out tasks"  # noqa: S101
        trainer.probe.measure(0, is_end=True)
        folder.mkdir(parents=True, exist_ok=True)
        trainer.probe.save(folder)


def train(output: Path, arm: str, seed: int) -> None:
    """One run, or the rest of it. Only the arms whose curves are drawn are measured on the way."""
    others = () if arm in LEARNING else ("evaluation.every_steps=none",)
    with open_trainer(output, arm, seed, others) as trainer:
        if trainer.run.read_evaluation() is not None:
            print(f"{trainer.run.path} is finished")
            return
        base = base_path(output, seed)
        if trainer.steps_done == 0 and trainer.probe is not None and base.is_dir():
            trainer.probe.load(base)
        recorder = Recorder(trainer.run, preset=ARMS[arm].preset)
        trainer.observers = (recorder, PlainObserver(print), *ladder_observers(trainer))
        if ARMS[arm].average and isinstance(trainer.policy, Policy):
            trainer.observers = (*trainer.observers, AveragingObserver(trainer, trainer.policy))
        trainer.train()


def ladder_observers(trainer: Trainer) -> Sequence[LadderObserver]:
    has_curve = trainer.config.evaluation.every_steps is not None
    ladder = find_ladder(trainer.config.model.base) if has_curve else None
    return [] if ladder is None else [LadderObserver(trainer, ladder)]


@contextmanager
def open_trainer(output: Path, arm: str, seed: int, others: Sequence[str] = ()) -> Iterator[Trainer]:
    path = run_path(output, arm, seed)
    settings = [f"run.seed={seed}", "hardware.threads=1", *ARMS[arm].settings, *others]
    config = settle(load_config(ARMS[arm].preset, settings), look())
    run = RunFolder(path) if is_run(path) else RunFolder.create(output, path.name, config)
    with run.exclusive(), assemble(override(run.config(), ARMS[arm].settings), run) as trainer:
        if ARMS[arm].attempts and isinstance(trainer.game, AbsoluteZero):
            trainer.game = UnevenAttempts(trainer.game, ARMS[arm].attempts)
        if ARMS[arm].is_own_majority:
            trainer.game = ChangedRewards(trainer.game, config, majority)
        if (labels := ARMS[arm].labels) != "majority":
            assert isinstance(trainer.game, RZero), "labels are R-Zero's"  # noqa: S101
            trainer.game.choose_label = LABELS[labels]
        yield trainer


def base_path(output: Path, seed: int) -> Path:
    return output / f"base-{seed}"


def run_path(output: Path, arm: str, seed: int) -> Path:
    return output / f"{arm.replace(' ', '_')}-{seed}"
