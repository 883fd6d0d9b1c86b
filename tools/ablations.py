"""Which parts of Absolute Zero does nano profit from? Ablations, judged on held-out tasks.

    python tools/ablations.py           # arms x seeds, two at a time, then the table; resumable
    python tools/ablations.py report    # the table again, and docs/measurements/ablations.json

An arm is the preset `nano-cpu` with one thing changed, or as little as can be; tools/learning/arms.py lists
them. Runs of tools/nano_learning.py are taken over where they are the same.
"""

import argparse
import sys
from pathlib import Path

from learning.ablation import write_report
from learning.arms import ABLATIONS
from learning.runs import RUNS, SEEDS, run_all


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", nargs="?", choices=("run", "report"), default="run")
    parser.add_argument("--output", type=Path, default=RUNS, help="folder of the runs")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    options = parser.parse_args()
    if options.command == "run":
        arms = dict.fromkeys(arm for question in ABLATIONS for arm in (question.control, question.arm))
        run_all(options.output, list(arms), options.seeds, options.jobs)
    print(write_report(options.output, ABLATIONS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
