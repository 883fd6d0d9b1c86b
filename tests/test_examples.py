"""The examples: each plays for real, with nothing changed in the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name, *settings, typed=""):
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    finished = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *settings],
        input=typed,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def metrics_of(output):
    (metrics,) = output.glob("*/metrics.jsonl")
    return json.loads(metrics.read_text().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric"),
    [("custom_kind.py", "proposer/return-type/proposed"), ("custom_reward.py", "reward/proposer/vocabulary")],
)
def test_a_kind_and_a_term_of_ones_own_are_part_of_a_real_run(name, metric, tmp_path):
    settings = [f"run.output={tmp_path}", "run.max_steps=1", "evaluation.heldout=none"]
    run_example(name, *settings)
    assert metrics_of(tmp_path)[metric] > 0


def test_the_solver_of_the_kind_is_judged_by_type(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import custom_kind

    from tinyzero.tasks import KINDS
    from tinyzero.tasks.funnel import make_task
    from tinyzero.types import Proposal

    kind = KINDS.pop(custom_kind.ReturnType.name)
    program = "def f(a):\n    return a / 2"
    task = make_task(Proposal(kind=kind.name, program=program, inputs=("4",)), [2.0], step=1)
    statuses = [kind.grade(task, answer).status for answer in ("float", "`float`", "int", "2.0", "")]
    assert statuses == ["correct", "correct", "wrong", "malformed", "malformed"]
    assert "float" not in kind.solve_prompt(task, "full").text
    assert kind.difficulty in kind.propose_prompt([task], "full").text


def test_a_person_is_a_sampler():
    proposals = "def f(x):\n    return x * 2\nin: 21\n\ndef f(x):\n    return x - 1\nin: 4\n\n"
    answers = "42\n\n43\n\n4\n\n4\n\n"  # the output of the first, twice; an input of the second, twice
    shown = run_example("custom_sampler.py", typed=proposals + answers)
    lines = [line.split()[:3] for line in shown.splitlines()[-6:]]
    assert lines == [
        ["proposer", "deduction", "+0.50"],
        ["proposer", "abduction", "+0.00"],
        ["solver", "deduction", "+1.00"],
        ["solver", "deduction", "+0.00"],
        ["solver", "abduction", "+1.00"],
        ["solver", "abduction", "+1.00"],
    ]
