"""CPU time of verifying proposals, by this checkout and by another, in turn.

python tools/bench/verification.py ../other-checkout
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

_HERE = Path(__file__).parents[2]
_WORK = """
import json, sys, time
from bench.peers import _family_cpu_s as sandbox_s
from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.types import Proposal

BODIES = (
    "return x + {}",
    "total = {}\\n    for i in range(x % 50):\\n        total += i * i\\n    return total",
    "s = str(x)\\n    return s[::-1] + s + '{}'",
)

def proposal(number):
    program = "def f(x):\\n    " + BODIES[number % 3].format(number)
    return Proposal(kind="deduction", program=program, inputs=("41",))

def verify(executor, proposals):
    kind = KINDS["deduction"]
    if hasattr(kind, "proposal_jobs"):  # of versions before 0.2
        jobs = [kind.proposal_jobs(each) for each in proposals]
        results = iter(executor.run_jobs([job for each in jobs for job in each]))
        return [kind.accept(one, [next(results) for _ in each], 1) for one, each in zip(proposals, jobs)]
    from tinyzero.tasks.judging import verify
    return verify(proposals, kinds=KINDS, runner=executor, step=1)

count = int(sys.argv[1])
with Executor() as executor:
    verify(executor, [proposal(number) for number in range(count, count + 8)])
    start = sandbox_s(executor.pids), time.process_time(), executor.num_runs
    outcomes = verify(executor, [proposal(number) for number in range(count)])
    end = sandbox_s(executor.pids), time.process_time(), executor.num_runs
    sandbox, trainer, runs = ((after - before) / count for before, after in zip(start, end))
print(json.dumps({
    "sandbox_ms": 1000 * sandbox, "trainer_ms": 1000 * trainer, "processes": runs,
    "tasks": sum(type(outcome).__name__ == "Task" for outcome in outcomes),
}))
"""


def lap(checkout: Path, num_proposals: int) -> dict[str, float]:
    """Figures for one proposal, and the number of proposals that became tasks."""
    path = os.pathsep.join((str(checkout), str(_HERE / "tools")))
    done = subprocess.run(
        [sys.executable, "-c", _WORK, str(num_proposals)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def compare(other: Path, *, num_laps: int, num_proposals: int) -> dict[str, dict[str, float]]:
    """Median figures of both checkouts, and the share that is left of the other's CPU time in the sandbox."""
    laps: dict[str, list[dict[str, float]]] = {"other": [], "here": []}
    for _ in range(num_laps):
        laps["other"].append(lap(other, num_proposals))
        laps["here"].append(lap(_HERE, num_proposals))
    figures = {
        name: {figure: median(each[figure] for each in of) for figure in of[0]} for name, of in laps.items()
    }
    ratios = [
        here["sandbox_ms"] / other["sandbox_ms"]
        for here, other in zip(laps["here"], laps["other"], strict=True)
    ]
    figures["here / other"] = {"sandbox_ms": median(ratios), "least": min(ratios), "most": max(ratios)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout of another version")
    parser.add_argument("--laps", type=int, default=5)
    parser.add_argument("--proposals", type=int, default=200)
    options = parser.parse_args()
    figures = compare(options.other.resolve(), num_laps=options.laps, num_proposals=options.proposals)
    for name, values in figures.items():
        print(f"{name:14}" + "".join(f"  {figure} {value:.2f}" for figure, value in values.items()))


if __name__ == "__main__":
    main()
