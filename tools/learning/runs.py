"""Runs of arms and seeds, side by side, each in a process of its own; what is finished is not run again."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from learning.arms import ARMS
from learning.controls import CHANGES, ChangedRewards
from tinyzero.assembly import assemble
from tinyzero.config import load_config
from tinyzero.observers.plain import PlainObserver
from tinyzero.observers.recorder import Recorder
from tinyzero.runs.folder import RunFolder, is_run
from tinyzero.trainer import Trainer

RUNS = Path("runs/nano-learning")
SEEDS = (0, 1, 2, 3, 4)
_ONE_RUN = Path(__file__).parents[1] / "nano_learning.py"


def run_all(output: Path, arms: Sequence[str], seeds: Sequence[int], jobs: int) -> None:
    """Seeds first, so that an early stop leaves whole comparisons."""
    with ThreadPoolExecutor(jobs) as pool:
        commands = [
            [sys.executable, str(_ONE_RUN), "one", "--output", str(output), "--arm", arm, "--seed", str(seed)]
            for seed, arm in product(seeds, arms)
        ]
        for process in pool.map(lambda command: subprocess.run(command, check=True), commands):
            process.check_returncode()


def train(output: Path, arm: str, seed: int) -> None:
    """One run, or the rest of it."""
    with open_trainer(output, arm, seed) as trainer:
        if trainer.run.read_evaluation() is None:
            trainer.train()
        else:
            print(f"{trainer.run.path} is finished")


@contextmanager
def open_trainer(output: Path, arm: str, seed: int, *, is_recorded: bool = True) -> Iterator[Trainer]:
    path = run_path(output, arm, seed)
    settings = [f"run.seed={seed}", "hardware.threads=1"]
    config = load_config("nano-cpu", [*settings, *ARMS[arm].settings])
    run = RunFolder(path) if is_run(path) else RunFolder.create(output, path.name, config)
    observers = (Recorder(run, preset="nano-cpu"), PlainObserver(print)) if is_recorded else ()
    with run.exclusive(), assemble(run.config(), run, observers) as trainer:
        if (rewards := ARMS[arm].rewards) != "true":
            trainer.game = ChangedRewards(trainer.game, config, CHANGES[rewards])
        yield trainer


def run_path(output: Path, arm: str, seed: int) -> Path:
    return output / f"{arm.replace(' ', '_')}-{seed}"
