"""Runs of arms and seeds, side by side, each in a process of its own; what is finished is not run again."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

from learning.arms import ARMS
from tinyzero.assembly import assemble
from tinyzero.config import Config, load_config
from tinyzero.games import advantages
from tinyzero.machine.hardware import look
from tinyzero.machine.settling import settle
from tinyzero.run.folder import RunFolder, is_run
from tinyzero.run.recorder import Recorder
from tinyzero.trainer import Game, Trainer
from tinyzero.types import Preparation, Role, Rollout, Round
from tinyzero.watch.plain import PlainObserver

PROBE_EVERY = 20
RUNS = Path("runs/nano-learning")
SEEDS = (0, 1, 2)
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
    settings = [f"run.seed={seed}", "hardware.threads=1", f"evaluation.every_steps={PROBE_EVERY}"]
    config = settle(load_config("nano-cpu", [*settings, *ARMS[arm].settings]), look())
    run = RunFolder(path) if is_run(path) else RunFolder.create(output, path.name, config)
    observers = (Recorder(run, preset="nano-cpu"), PlainObserver(print)) if is_recorded else ()
    with run.exclusive(), assemble(run.config(), run, observers) as trainer:
        if ARMS[arm].is_shuffled:
            trainer.game = ShuffledRewards(trainer.game, config)
        yield trainer


def run_path(output: Path, arm: str, seed: int) -> Path:
    return output / f"{arm.replace(' ', '_')}-{seed}"


class ShuffledRewards:
    """A game whose rewards have nothing to do with what was played."""

    def __init__(self, game: Game, config: Config) -> None:
        self._game = game
        self._config = config

    def prepare(self, step: int) -> Iterator[Preparation]:
        return self._game.prepare(step)

    def play(self, step: int) -> Round:
        played = self._game.play(step)
        rollouts = list(played.rollouts)
        for role in Role:
            places = [index for index, rollout in enumerate(rollouts) if rollout.role is role]
            rewards = [rollouts[index].reward for index in places]
            Random(f"{self._config.run.seed}/{step}/shuffle/{role}").shuffle(rewards)
            for index, reward in zip(places, rewards, strict=True):
                rollouts[index] = replace(rollouts[index], reward=reward)
        return replace(played, rollouts=rollouts, advantages=self._advantages(rollouts))

    def _advantages(self, rollouts: Sequence[Rollout]) -> list[float]:
        return advantages.estimate(rollouts, self._config.advantages)

    def save(self, folder: Path) -> None:
        self._game.save(folder)

    def load(self, folder: Path) -> None:
        self._game.load(folder)
