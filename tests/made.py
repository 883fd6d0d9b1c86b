"""Records of a run, made up by formula, as the trainer would have written them."""

import json
from dataclasses import replace
from pathlib import Path

from tinyzero.watch.state import News, RunState, fold

KINDS = ("deduction", "abduction", "induction")
CONFIG = {
    "run": {"max_steps": 90, "seed": 0},
    "model": {"base": "nano"},
    "selfplay": {"kinds": list(KINDS), "game": "absolute-zero"},
}
ENVIRONMENT = {"preset": "nano-cpu", "device": "cpu", "sandbox_tier": "3"}
PROGRAM = "def f(a, b):\n    return a * 2 + b"


def metrics(step):
    kinds = {}
    for place, kind in enumerate(KINDS):
        stages = ("proposed", "parsed", "allowed", "ran", "deterministic", "nontrivial", "new")
        kinds |= {f"proposer/{kind}/{stage}": 8.0 - at for at, stage in enumerate(stages)}
        kinds |= {
            f"proposer/{kind}/reward": 0.1 * place,
            f"solver/{kind}/accuracy": min(0.9, 0.1 * place + 0.005 * step),
            f"solver/{kind}/reward": -0.2,
        }
    return {
        "step": step,
        **kinds,
        "proposer/valid_share": 0.75,
        "proposer/reward": 0.1,
        "solver/accuracy": min(0.9, 0.1 + 0.005 * step),
        "solver/reward": -0.2,
        "solver/mixed_share": 0.5,
        "tokens/proposer": 600.0,
        "tokens/solver": 1400.0,
        "learner/shared/entropy": 0.8,
        "learner/shared/grad_norm": 0.2,
        "pool/size": 3.0 + 18 * step,
        "time/propose_s": 1.0,
        "time/verify_s": 0.5,
        "time/solve_s": 3.0,
        "time/judge_s": 0.5,
        "time/learn_s": 4.0,
        "time/step_s": 10.0,
    }


def task(step, *, name=None, kind="deduction", program=PROGRAM, rate=0.25, **more):
    return {
        "step": step,
        "id": name or f"t{step}",
        "kind": kind,
        "program": program,
        "inputs": ["3, 4"],
        "outputs": ["10"],
        "message": "",
        "shape": f"s{step}",
        "parents": [],
        "attempts": 8,
        "solve_rate": rate,
        **more,
    }


def sample(step, *, kind="deduction", task_id=None, **more):
    return {
        "step": step,
        "role": "solver",
        "kind": kind,
        "task_id": f"t{step}" if task_id is None else task_id,
        "prompt": f"solve\n{PROGRAM}\nin: 3, 4",
        "prefill": "",
        "completion": "10",
        "tokens": 2,
        "finish_reason": "stop",
        "verdict": {"status": "correct", "answer": "10", "detail": ""},
        "rejection": None,
        "reward": 1.0,
        "reward_terms": {"accuracy": 1.0},
        "advantage": 0.5,
        **more,
    }


def made_state(steps, *, samples=None, tasks=None, events=(), **fields):
    """The state after `steps` steps of a run in training."""
    numbers = range(1, steps + 1)
    news = News(
        metrics=[metrics(step) for step in numbers],
        samples=[sample(step) for step in numbers] if samples is None else samples,
        tasks=[task(step) for step in numbers] if tasks is None else tasks,
        events=[{"event": "start", "time": 1000.0, "step": 0}, *events],
    )
    start = RunState(name="first", path="runs/first", config=CONFIG, environment=ENVIRONMENT, is_running=True)
    return replace(fold(start, news), **fields)


def write_run(folder: Path, steps, *, events=(), **files):
    """The folder of a run that has ended or was killed."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    numbers = range(1, steps + 1)
    logs = {
        "metrics": [metrics(step) for step in numbers],
        "samples": [sample(step) for step in numbers],
        "tasks": [task(step) for step in numbers],
        "events": [{"event": "start", "time": 1000.0, "step": 0}, *events],
        **files,
    }
    for name, records in logs.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
