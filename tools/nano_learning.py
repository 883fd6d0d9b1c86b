"""Does self-play make nano better? Runs of the `nano-cpu` preset and its controls, judged on held-out tasks.

    python tools/nano_learning.py run       # arms x seeds, two at a time; what is finished is not run again
    python tools/nano_learning.py report    # the table, docs/measurements/nano-learning.json, the figure
    python tools/nano_learning.py check     # three minutes, fails where learning is broken; CI runs it

Every arm is the preset with one thing changed. In the arm `shuffled` each round's rewards are dealt out at
random among the rollouts of a role, which is self-play without its signal.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

from learning.report import write_report

from tinyzero import advantages
from tinyzero.comparison import Comparison
from tinyzero.config import Config, load_config
from tinyzero.observers.comparison import comparison_lines
from tinyzero.observers.plain import PlainObserver
from tinyzero.observers.recorder import Recorder
from tinyzero.runs.folder import RunFolder, is_run
from tinyzero.trainer import Game, Trainer, assemble
from tinyzero.types import Role, Rollout, Round

ARMS: Mapping[str, Sequence[str]] = {
    "trained": (),
    "shuffled": (),
    "frozen proposer": ("selfplay.train_proposer=false",),
}
SEEDS = (0, 1, 2)
RUNS = Path("runs/nano-learning")
PROBE_EVERY = 20
CHECK_STEPS = 20
"""A check is the beginning of a whole run, so that the curves of whole runs say how often it errs."""
CHECK_RISE = 0.03
"""What the mean of the held-out accuracy must have gained by then; docs/experiments.md says why."""


class ShuffledRewards:
    """A game whose rewards have nothing to do with what was played."""

    def __init__(self, game: Game, config: Config) -> None:
        self._game = game
        self._config = config

    def prepare(self) -> Iterator[tuple[int, int]]:
        return self._game.prepare()

    def play(self, step: int) -> Round:
        played = self._game.play(step)
        rollouts = list(played.rollouts)
        for role in Role:
            places = [index for index, rollout in enumerate(rollouts) if rollout.prompt.role is role]
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


def main() -> int:
    options = parse_arguments()
    if options.command == "run":
        run_all(options.output, options.arms, options.seeds, options.jobs)
    elif options.command == "one":
        train(options.output, options.arm, options.seed)
    elif options.command == "report":
        print(write_report(options.output, list(ARMS)))
    else:
        folder = options.output / "check"
        with open_trainer(folder, options.arm, options.seed, is_recorded=False) as trainer:
            comparison = begin(trainer)
        return judge(comparison)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("run", "one", "report", "check"))
    parser.add_argument("--output", type=Path, default=RUNS, help="folder of the runs")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--arm", choices=ARMS, default="trained", help="for one and check")
    parser.add_argument("--seed", type=int, default=0, help="for one and check")
    return parser.parse_args()


def run_all(output: Path, arms: Sequence[str], seeds: Sequence[int], jobs: int) -> None:
    """Each run in a process of its own; seeds first, so that an early stop leaves whole comparisons."""
    with ThreadPoolExecutor(jobs) as pool:
        commands = [
            [sys.executable, __file__, "one", "--output", str(output), "--arm", arm, "--seed", str(seed)]
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
    path = output / f"{arm.replace(' ', '-')}-{seed}"
    settings = [f"run.seed={seed}", "hardware.threads=1", f"evaluation.every_steps={PROBE_EVERY}"]
    config = load_config("nano-cpu", [*settings, *ARMS[arm]])
    run = RunFolder(path) if is_run(path) else RunFolder.create(output, path.name, config)
    observers = (Recorder(run, preset="nano-cpu"), PlainObserver(print)) if is_recorded else ()
    with run.exclusive(), assemble(run.config(), run, observers) as trainer:
        if arm == "shuffled":
            trainer.game = ShuffledRewards(trainer.game, config)
        yield trainer


def begin(trainer: Trainer) -> Comparison:
    """Play the first steps and measure before and after."""
    assert trainer.probe is not None, "nano has held-out tasks"  # noqa: S101
    trainer.probe.measure(0)
    for _ in range(CHECK_STEPS):
        started = time.monotonic()
        report = trainer.step()
        print(f"step {report.step}/{CHECK_STEPS}, {time.monotonic() - started:.1f} s", flush=True)
    trainer.probe.measure(CHECK_STEPS)
    comparison = trainer.probe.compare()
    assert comparison is not None, "two measurements make a comparison"  # noqa: S101
    return comparison


def judge(comparison: Comparison) -> int:
    """1 where the first steps of a run gained too little."""
    gained = comparison.overall("sampled").difference
    print("\n".join(comparison_lines(comparison)))
    print(f"gained {gained:+.3f}; learning works above {CHECK_RISE:+.3f}")
    return 0 if gained > CHECK_RISE else 1


if __name__ == "__main__":
    sys.exit(main())
