"""Write the folder of a long run, made up by formula: to measure what reads it, without training for weeks.

    python tools/synthetic_run.py runs/long --steps 20000 --tasks 500000

The files have the names, the keys and the sizes of a real run of Absolute Zero; there is no checkpoint.
Every hundredth task is one that the pool has dropped before: its id comes twice.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tinyzero.config import load_config
from tinyzero.machine.hardware import Machine
from tinyzero.machine.settling import settle
from tinyzero.run.folder import RunFolder

_KINDS = ("deduction", "abduction", "induction")
_STAGES = ("proposed", "parsed", "allowed", "ran", "deterministic", "nontrivial", "new")
_LEARNED = ("loss", "grad_norm", "skipped", "entropy", "clip_fraction", "ratio_max", "sampler_gap_mean")
_ALARMS = ("duplicates", "few_shapes", "trivial", "unanimous", "short_answers", "low_entropy", "truncated")
_REPEATED_EVERY = 100
_STATUSES = ("correct", "wrong", "malformed")


def main() -> None:
    options = parse_arguments()
    run = create(options.run, options.steps)
    random = Random(0)
    steps = range(1, options.steps + 1)
    per_step = options.tasks / options.steps
    _write(run.metrics, (metrics(step, random, per_step) for step in steps))
    _write(run.samples, (sample(step, turn, random, per_step) for step in steps for turn in range(6)))
    _write(run.tasks, (task(number, random, per_step) for number in range(options.tasks)))
    _write(run.replays, (replay(step, turn, random, per_step) for step in steps for turn in range(4)))
    _write(run.events, events(options.steps, random))
    for path in sorted(run.path.glob("*.jsonl")):
        print(f"{path.name:<16}{path.stat().st_size / 2**20:8.1f} MiB")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="the new run's folder")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=500_000)
    return parser.parse_args()


def create(path: Path, steps: int) -> RunFolder:
    config = settle(load_config("nano-cpu", [f"run.max_steps={steps}"]), Machine(memory_gib=16.0))
    run = RunFolder.create(path.parent, path.name, config)
    run.write_environment({"preset": "nano-cpu", "seed": 0, "device": "cpu", "sandbox_tier": "3"})
    return run


def metrics(step: int, random: Random, tasks_per_step: float) -> dict[str, Any]:
    """A line of metrics.jsonl: about 110 figures."""
    draw = random.random
    line: dict[str, Any] = {"step": step}
    for kind in _KINDS:
        line |= {f"proposer/{kind}/{stage}": 8.0 - place for place, stage in enumerate(_STAGES)}
        line |= {f"proposer/{kind}/reward": draw(), f"solver/{kind}/attempts": 64.0}
        line |= {f"solver/{kind}/accuracy": draw(), f"solver/{kind}/reward": draw()}
    line |= {f"proposer/{name}": draw() for name in ("valid_share", "reward", "trivial_share", "new_share")}
    line |= {f"proposer/{name}": draw() for name in ("duplicate_share", "kind_entropy", "distinct_shapes")}
    line |= {f"solver/{name}": draw() for name in ("accuracy", "reward", "malformed_share", "mixed_share")}
    for role in ("proposer", "solver"):
        line |= {f"tokens/{role}": 1000.0, f"length/{role}": 20 * draw(), f"truncated/{role}": draw() / 9}
        line |= {f"learner/{role}/{name}": draw() for name in _LEARNED}
    if step % 20 == 0:
        line |= measured(random)
    line |= {f"time/{phase}_s": draw() for phase in ("verify", "propose", "solve", "judge", "learn")}
    line |= {"time/step_s": 5 + draw(), "pool/size": min(step * tasks_per_step, 5000.0), "pool/dropped": 0.0}
    return line | {f"watch/{name}": 0.0 for name in _ALARMS}


def measured(random: Random) -> dict[str, float]:
    decodings = ("sampled", "greedy")
    return {f"heldout/{name}/{how}": random.random() for how in decodings for name in (*_KINDS, "mean")}


def task(number: int, random: Random, tasks_per_step: float) -> dict[str, Any]:
    """A line of tasks.jsonl."""
    attempts = 8
    correct = random.randrange(attempts + 1)
    source = number // 2 if number % _REPEATED_EVERY == _REPEATED_EVERY - 1 else number
    letters = [chr(97 + source // 26**place % 26) for place in range(4)]
    return {
        "step": 1 + int(number / tasks_per_step),
        "id": _id(source),
        "kind": _KINDS[source % 3],
        "program": f"def f({letters[0]}, n):\n    if n < {source % 97}:\n"
        f"        return {letters[0]}.{letters[1]}{letters[2]}(n)\n"
        f"    return sorted({letters[0]} * {source % 7})[n:{source % 11}] # {letters[3]}",
        "inputs": [f"'{''.join(letters)}', {source % 13}"],
        "outputs": [repr(letters * 2)],
        "message": "",
        "shape": _id(source // 3),
        "parents": [_id(max(0, source - 50)), _id(max(0, source - 90))],
        "author": f"proposer@{number // 25}",
        "attempts": attempts,
        "verdicts": {"correct": correct, "wrong": attempts - correct},
        "solve_rate": correct / attempts,
    }


def sample(step: int, turn: int, random: Random, tasks_per_step: float) -> dict[str, Any]:
    """A line of samples.jsonl."""
    status, kind = random.choice(_STATUSES), _KINDS[turn % 3]
    return {
        "step": step,
        "role": "solver" if turn % 2 else "proposer",
        "kind": kind,
        "task_id": _id(int((step - 1) * tasks_per_step) + turn),
        "prompt": f"solve {kind}\n" + "def f(a, n):\n    return sorted(a * 3)[n:5]\n" * 6,
        "prefill": "",
        "completion": "[1, 2, 3] # because a * 3 has it all three times, and n is 2, so two are left out",
        "tokens": random.randrange(200),
        "finish_reason": "stop",
        "verdict": {"status": status, "answer": "[1, 2, 3]", "detail": ""} if turn % 2 else None,
        "rejection": None,
        "reward": random.random(),
        "reward_terms": {"accuracy": random.random()},
        "advantage": random.random(),
    }


def replay(step: int, turn: int, random: Random, tasks_per_step: float) -> dict[str, Any]:
    """A line of replays.jsonl."""
    known = max(1, int((step - 1) * tasks_per_step))
    verdicts = {"attempts": 8, "verdicts": {"correct": 4, "wrong": 4}, "solve_rate": 0.5}
    return {"step": step, "id": _id(max(0, known - random.randrange(1, 5000) - turn)), **verdicts}


def events(steps: int, random: Random) -> Iterator[dict[str, Any]]:
    """The lines of events.jsonl: a checkpoint and a measurement every 20 steps, and an alarm every 50."""
    yield {"event": "start", "time": 1.0, "step": 0, "changed": []}
    for step in range(1, steps + 1):
        at = {"time": 1.0 + 6 * step, "step": step}
        if step % 20 == 0:
            answers = [{"id": _id(place), "prompt": "p" * 400, "answer": "a" * 200} for place in range(6)]
            yield {"event": "measuring", **at, "tasks": 375}
            yield {"event": "measured", **at, **measured(random)}
            yield {"event": "answered", **at, "answers": answers}
            yield {"event": "checkpoint", **at, "path": f"checkpoints/step-{step:06d}"}
        if step % 25 == 0:
            name = _ALARMS[step // 50 % len(_ALARMS)]
            figures = {"value": 0.5, "threshold": 0.4}
            turn = {"event": "alarm_over", "alarm": name} if step % 50 else {"event": name, "advice": "look"}
            yield {**turn, **at, **figures}
    yield {
        "event": "end",
        "time": 2.0 + 6 * steps,
        "step": steps,
        "reason": "max_steps",
        "seconds": 6.0 * steps,
    }


def _id(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


def _write(path: Path, records: Iterator[dict[str, Any]]) -> None:
    encode: Callable[[dict[str, Any]], str] = json.JSONEncoder().encode
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{encode(record)}\n" for record in records)


if __name__ == "__main__":
    main()
