"""`--ui json`: one object a line, whatever the numbers are."""

import json
import math
from pathlib import Path

from tinyzero.config import Config
from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.run.events import Checkpointed
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.types import Round, StepReport
from tinyzero.watch.json import JsonObserver


def test_every_line_is_an_object_that_names_its_event():
    lines = []
    observer = JsonObserver(lines.append)
    observer.on_start(
        RunStart(name="x", path=Path("runs/x"), config=Config(), step=20, device="cpu", sandbox_tier="strong")
    )
    empty = Round(rollouts=[], advantages=[], new_tasks=[], metrics={}, seconds={})
    observer.on_step(
        StepReport(step=21, metrics={"solver/accuracy": 0.5, "learner/grad_norm": math.nan}, round=empty)
    )
    observer.on_event(Checkpointed(step=21, path="runs/x/checkpoints/step-000021"))
    observer.on_end(RunSummary(step=21, reason=StopReason.REQUESTED, seconds=1.5, checkpoint=None))
    assert [json.loads(line) for line in lines] == [
        {
            "event": "start",
            "run": "x",
            "path": "runs/x",
            "step": 20,
            "max_steps": 200,
            "device": "cpu",
            "sandbox_tier": "strong",
        },
        {"event": "step", "step": 21, "metrics": {"solver/accuracy": 0.5, "learner/grad_norm": None}},
        {"event": "checkpoint", "step": 21, "path": "runs/x/checkpoints/step-000021", "seconds": 0.0},
        {"event": "end", "step": 21, "reason": "requested", "seconds": 1.5, "checkpoint": None},
    ]


def test_a_run_with_held_out_tasks_ends_with_its_table():
    lines = []
    observer = JsonObserver(lines.append)
    observer.on_start(
        RunStart(name="x", path=Path("runs/x"), config=Config(), step=0, device="cpu", sandbox_tier="strong")
    )
    comparison = Comparison(set_name="mine", attempts=8, step=5, rows=())
    observer.on_end(
        RunSummary(step=5, reason=StopReason.MAX_STEPS, seconds=1.5, checkpoint=None, comparison=comparison)
    )
    assert json.loads(lines[-1]) == {
        "event": "evaluation",
        "set": "mine",
        "attempts": 8,
        "step": 5,
        "rows": [],
        "others": [],
        "untrained": [],
        "run": "runs/x",
        "adapter": "runs/x/adapter",
    }


def test_the_table_of_a_run_with_a_claim_has_what_became_of_it():
    lines = []
    observer = JsonObserver(lines.append)
    config = Config.model_validate({"run": {"expect": "greedy+10"}})
    observer.on_start(
        RunStart(name="x", path=Path("x"), config=config, step=0, device="cpu", sandbox_tier="strong")
    )
    row = Row(
        name="mean", decoding="greedy", tasks=9, before=0.1, after=0.3, difference=0.2, low=0.1, high=0.3
    )
    comparison = Comparison(set_name="mine", attempts=8, step=5, rows=(row,))
    observer.on_end(
        RunSummary(step=5, reason=StopReason.MAX_STEPS, seconds=1.5, checkpoint=None, comparison=comparison)
    )
    claim = json.loads(lines[-1])["claim"]
    assert (claim["metric"], claim["direction"], claim["points"]) == ("greedy", "+", 10)
    assert (claim["difference"], claim["interval"], claim["outcome"]) == (20.0, [10.0, 30.0], "held")
