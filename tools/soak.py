"""Train nano for a while, and say what grows: memory, descriptors, processes, files, the time of a step.

    python tools/soak.py --minutes 60

Prints a table: the mean of each figure, and by how much it grows in 1000 steps, with a 95 % interval. The
first quarter of the run is left out, in which caches fill. Linux only; not a part of CI.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean

import psutil

_LOOK_EVERY_S = 2.0
_BLOCKS = 10
_STUDENT = 2.306  # 97.5 % quantile for the 8 degrees of freedom of 10 blocks and a line
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the trainer, its processes and its folders have at one moment.

    Attributes:
        trainer_mib: resident memory of the trainer.
        others_mib: memory that its other processes do not share, the sum.
        temporary_files: below the temporary folder, which the run has for itself.
        run_kib: size of the logs in the run's folder.
    """

    trainer_mib: float
    others_mib: float
    descriptors: float
    threads: float
    processes: float
    temporary_files: float
    run_kib: float


def main() -> int:
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        looks, code = soak(Path(folder), options.minutes, options.settings)
        seconds = step_seconds(Path(folder))
    if code != 0 or len(seconds) < 2 * _BLOCKS:
        print(f"the run ended with exit code {code} after {len(seconds)} steps; see above", file=sys.stderr)
        return 1
    looks = [(step, seen) for step, seen in looks if step < len(seconds)]  # not those of the run's end
    print(f"{len(seconds)} steps in {options.minutes:g} minutes; the first quarter is left out\n")
    print("\n".join(table(looks, seconds)))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def soak(folder: Path, minutes: float, settings: Sequence[str]) -> tuple[list[tuple[int, Look]], int]:
    """Train below `folder`. Returns (step, look) pairs, and the trainer's exit code."""
    temporary, looks = folder / "tmp", list[tuple[int, Look]]()
    temporary.mkdir()
    fixed = ["run.max_steps=1000000", f"run.max_minutes={minutes}", "evaluation.every_steps=50"]
    arguments = [f"--set={setting}" for setting in (*fixed, *settings)]
    command = [
        sys.executable,
        "-m",
        "tinyzero",
        "train",
        "--preset",
        "nano-cpu",
        "--name",
        "soak",
        *arguments,
    ]
    with (folder / "out.txt").open("wb") as out:
        trainer = psutil.Popen(
            [*command, "--output", str(folder / "runs"), "--ui", "plain"],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        run = folder / "runs" / "soak"
        while trainer.poll() is None:
            step = len(step_seconds(folder))
            if step and (seen := look(trainer, run, temporary)) is not None:
                looks.append((step, seen))
            time.sleep(_LOOK_EVERY_S)
    if trainer.returncode != 0:
        print((folder / "out.txt").read_text()[-2000:], file=sys.stderr)
    return looks, int(trainer.returncode)


def look(trainer: psutil.Process, run: Path, temporary: Path) -> Look | None:
    """None if the trainer has gone meanwhile."""
    try:
        others = [
            size for child in trainer.children(recursive=True) if (size := own_bytes(child)) is not None
        ]
        return Look(
            trainer_mib=trainer.memory_info().rss / _MIB,
            others_mib=sum(others) / _MIB,
            descriptors=trainer.num_fds(),
            threads=trainer.num_threads(),
            processes=1 + len(others),
            temporary_files=sum(1 for path in temporary.rglob("*") if path.is_file()),
            run_kib=sum(path.stat().st_size for path in run.glob("*.jsonl")) / 1024,
        )
    except psutil.NoSuchProcess:
        return None


def own_bytes(process: psutil.Process) -> int | None:
    """Memory that a process does not share; None if it has gone, as children do after milliseconds."""
    try:
        return int(process.memory_full_info().uss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def step_seconds(folder: Path) -> list[float]:
    """Seconds of each step that is in the log."""
    path = folder / "runs" / "soak" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line)["time/step_s"] for line in lines if line.endswith("\n")]


def table(looks: Sequence[tuple[int, Look]], seconds: Sequence[float]) -> list[str]:
    """Markdown, one row a figure."""
    rows = ["| figure | mean | growth in 1000 steps | 95 % interval |", "|---|---:|---:|---:|"]
    series = {
        field.name: [(step, getattr(seen, field.name)) for step, seen in looks] for field in fields(Look)
    }
    series["step_s"] = [(float(step), value) for step, value in enumerate(seconds, start=1)]
    for name, points in series.items():
        kept = points[len(points) // 4 :]
        slope, half = growth(kept)
        low, high = 1000 * (slope - half), 1000 * (slope + half)
        mean = fmean(value for _, value in kept)
        rows.append(f"| {name} | {mean:.2f} | {1000 * slope:+.2f} | {low:+.2f} to {high:+.2f} |")
    return rows


def growth(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope of a line through the means of ten blocks, and half of its 95 % interval.

    Neighbouring looks are alike, so they are no independent measurements; the means of blocks nearly are.
    """
    size = len(points) / _BLOCKS
    blocks = [points[round(at * size) : round((at + 1) * size)] for at in range(_BLOCKS)]
    x = [fmean(step for step, _ in block) for block in blocks]
    y = [fmean(value for _, value in block) for block in blocks]
    middle, mean = fmean(x), fmean(y)
    spread = sum((at - middle) ** 2 for at in x)
    slope = sum((at - middle) * (value - mean) for at, value in zip(x, y, strict=True)) / spread
    residuals = [value - mean - slope * (at - middle) for at, value in zip(x, y, strict=True)]
    error = (sum(residual**2 for residual in residuals) / (_BLOCKS - 2) / spread) ** 0.5
    return slope, _STUDENT * error


if __name__ == "__main__":
    sys.exit(main())
