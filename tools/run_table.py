"""Print a run's metrics as a table of steps, and check that what must have happened did.

    python tools/run_table.py runs/NAME --steps 3 --positive proposer/valid_share solver/accuracy

Exits with 1 where a line says what is missing: fewer steps, or a metric that was above zero in none of them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

COLUMNS = {
    "step": "step",
    "valid": "proposer/valid_share",
    "accuracy": "solver/accuracy",
    "deduction": "solver/deduction/accuracy",
    "abduction": "solver/abduction/accuracy",
    "induction": "solver/induction/accuracy",
    "mixed": "solver/mixed_share",
    "propose s": "time/propose_s",
    "verify s": "time/verify_s",
    "solve s": "time/solve_s",
    "judge s": "time/judge_s",
    "learn s": "time/learn_s",
    "step s": "time/step_s",
}


def main() -> int:
    options = parse_arguments()
    lines = [json.loads(line) for line in (options.run / "metrics.jsonl").read_text("utf-8").splitlines()]
    print(table(lines))
    problems = list_problems(lines, options.steps, options.positive)
    for problem in problems:
        print(f"{options.run}: {problem}", file=sys.stderr)
    return 1 if problems else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=1, help="steps that the run must have made")
    parser.add_argument("--positive", nargs="*", default=(), help="metrics that must be above 0 in some step")
    return parser.parse_args()


def table(lines: Sequence[dict[str, float]]) -> str:
    """Markdown, one row a step; a metric that a step does not have is a dash."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS)]
    rows += [[cell(line.get(key)) for key in COLUMNS.values()] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(int(value)) if value == int(value) and value >= 1 else f"{value:.2f}"


def list_problems(lines: Sequence[dict[str, float]], steps: int, positive: Sequence[str]) -> list[str]:
    problems = [] if len(lines) >= steps else [f"{len(lines)} steps, expected {steps}"]
    for key in positive:
        if not any((line.get(key) or 0) > 0 for line in lines):
            problems.append(f"{key} was above 0 in no step")
    return problems


if __name__ == "__main__":
    sys.exit(main())
