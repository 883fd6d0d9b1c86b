"""Does self-play make nano better? Runs of the `nano-cpu` preset and its controls, judged on held-out tasks.

    python tools/nano_learning.py run       # arms x seeds, two at a time; what is finished is not run again
    python tools/nano_learning.py report    # tables, docs/measurements/nano-learning.json, two figures
    python tools/nano_learning.py check     # three minutes, fails where learning is broken; CI runs it

Every arm is the preset with one thing changed. In the arm `shuffled` each round's rewards are dealt out at
random among the rollouts of a role, which is self-play without its signal. In `own majority` a solver is
paid for agreeing with most of its attempts, which needs no truth. R-Zero's arms play `r-zero-nano-cpu` with
the majority, the truth or a random answer as label, and its options:

    python tools/nano_learning.py run --arms "r-zero" "r-zero truth" "r-zero random labels"
"""

import argparse
import sys
import time
from pathlib import Path

from learning.arms import ARMS, LEARNING
from learning.report import write_report
from learning.runs import RUNS, SEEDS, measure_base, open_trainer, run_all, train

from tinyzero.evaluation.comparison import Comparison
from tinyzero.trainer import Trainer
from tinyzero.watch.comparison import comparison_lines

CHECK_STEPS = 20
"""A check is the beginning of a whole run, so that the curves of whole runs say how often it errs."""
CHECK_RISE = 0.05
"""What greedy held-out accuracy must have gained by then. Greedy, since a policy that only becomes surer of
what it believed gains sampled accuracy and no greedy one; docs/experiments.md says why so much."""


def main() -> int:
    options = parse_arguments()
    if options.command == "run":
        run_all(options.output, options.arms, options.seeds, options.jobs)
    elif options.command == "one":
        train(options.output, options.arm, options.seed)
    elif options.command == "base":
        measure_base(options.output, options.seed)
    elif options.command == "report":
        print(write_report(options.output, LEARNING))
    else:
        folder = options.output / "check"
        with open_trainer(folder, options.arm, options.seed) as trainer:
            comparison = begin(trainer)
        return judge(comparison)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=("run", "base", "one", "report", "check"))
    parser.add_argument("--output", type=Path, default=RUNS, help="folder of the runs")
    parser.add_argument("--arms", nargs="+", choices=ARMS, metavar="ARM", default=list(LEARNING))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--arm", choices=ARMS, default="trained", help="for one and check")
    parser.add_argument("--seed", type=int, default=0, help="for one and check")
    return parser.parse_args()


def begin(trainer: Trainer) -> Comparison:
    """Play the first steps and measure before and after."""
    assert trainer.probe is not None, "nano has held-out tasks"  # noqa: S101
    trainer.probe.measure(0)
    for _ in range(CHECK_STEPS):
        started = time.monotonic()
        report = trainer.step()
        print(f"step {report.step}/{CHECK_STEPS}, {time.monotonic() - started:.1f} s", flush=True)
    trainer.probe.measure(CHECK_STEPS, is_end=True)
    comparison = trainer.probe.compare()
    assert comparison is not None, "two measurements make a comparison"  # noqa: S101
    return comparison


def judge(comparison: Comparison) -> int:
    """1 where the first steps of a run gained too little."""
    gained = comparison.overall("greedy").difference
    print("\n".join(comparison_lines(comparison)))
    print(f"gained {gained:+.3f}; learning works above {CHECK_RISE:+.3f}")
    return 0 if gained > CHECK_RISE else 1


if __name__ == "__main__":
    sys.exit(main())
