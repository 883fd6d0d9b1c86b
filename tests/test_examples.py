"""The examples: each is a plugin that a real run plays, with nothing changed in the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rollouts import rollout_of

from tinyzero.config import load_config
from tinyzero.games.choice import choose_game
from tinyzero.plugins import find, load
from tinyzero.tasks import KINDS
from tinyzero.tasks.funnel import make_task
from tinyzero.types import Proposal, Role

EXAMPLES = Path(__file__).parents[1] / "examples"
USING_ALL = [
    'selfplay.kinds=["deduction", "return-type"]',
    "rewards.proposer=steep",
    "rewards.bonuses.vocabulary.coefficient=0.3",
    "rewards.solver_terms.brevity.coefficient=0.1",
    "advantages.estimator=median",
    "sampling.engine=diary",
    "selfplay.game=one-kind",
]


def tinyzero(*arguments, folder):
    """The command in a folder that is not the checkout's."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, "-m", "tinyzero", *arguments]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
    return finished


@pytest.mark.slow
def test_all_examples_are_part_of_a_real_run_that_goes_on_and_verifies_its_tasks(tmp_path):
    plugins = [part for path in sorted(EXAMPLES.glob("*.py")) for part in ("--plugin", str(path))]
    quick = [*USING_ALL, "evaluation.heldout=none", "hardware.threads=1"]
    settings = [part for setting in quick for part in ("--set", setting)]
    tinyzero("train", "nano-cpu", *plugins, *settings, "--max-steps", "1", "--name", "a", folder=tmp_path)
    resumed = ["train", "--resume", "a", "--max-steps", "2", "--yes-plugins"]
    assert "going on after step 1" in tinyzero(*resumed, folder=tmp_path).stderr
    metrics = [json.loads(line) for line in (tmp_path / "runs/a/metrics.jsonl").read_text().splitlines()]
    assert "proposer/deduction/proposed" in metrics[0]
    assert metrics[1]["proposer/return-type/proposed"] > 0
    assert all(step["reward/solver/brevity"] < 0 for step in metrics)
    assert sum(step.get("reward/proposer/steep", 0) for step in metrics) > 0
    assert sum(step.get("reward/proposer/vocabulary", 0) for step in metrics) > 0
    assert len((tmp_path / "diary.jsonl").read_text().splitlines()) > 10
    verified = tinyzero("tasks", "a", "--verify", "--yes-plugins", folder=tmp_path).stdout
    assert "return-type" in verified
    assert "differs" not in verified


@pytest.fixture
def example():
    """Loads an example as a plugin, and gives its module."""

    def load_one(name):
        load([find(str(EXAMPLES / f"{name}.py"))])
        return sys.modules[f"tinyzero_plugin_{name}"]

    yield load_one
    load([])


def test_the_solver_of_the_kind_is_judged_by_type(example):
    example("custom_kind")
    kind = KINDS["return-type"]
    program = "def f(a):\n    return a / 2"
    task = make_task(Proposal(kind=kind.name, program=program, inputs=("4",)), [2.0], step=1)
    statuses = [kind.grade(task, answer).status for answer in ("float", "`float`", "int", "2.0", "")]
    assert statuses == ["correct", "correct", "wrong", "malformed", "malformed"]
    assert "float" not in kind.solve_prompt(task, "full").text
    assert kind.difficulty in kind.propose_prompt([task], "full").text


def test_rare_success_is_paid_more_and_none_nothing(example):
    assert [example("custom_reward").steep(rate) for rate in (0.0, 0.25, 0.5, 1.0)] == [
        0.0,
        0.5625,
        0.25,
        0.0,
    ]


def test_the_median_is_that_of_the_attempts_at_a_task(example):
    rewards = [("a", 1.0), ("a", 0.0), ("a", 0.0), ("b", 1.0), ("b", 1.0)]
    rollouts = [rollout_of(Role.SOLVER, task_id=task, terms={"accuracy": value}) for task, value in rewards]
    assert example("custom_advantages").over_median(rollouts, None) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_the_game_plays_the_kinds_in_turn(example):
    example("custom_game")

    class Silent:
        def sample(self, request):
            played.append({prompt.kind for prompt in request.prompts})
            raise InterruptedError

        def fits(self, prompt):
            return True

    class Idle:
        def run_jobs(self, jobs):
            return []

    played = []
    config = load_config("nano-cpu", ["selfplay.game=one-kind", "pool.recheck_share=0"])
    game = choose_game(config, sampler=Silent(), executor=Idle(), comparer=None)
    for step in range(4):
        with pytest.raises(InterruptedError):
            game.play(step)
    assert played == [{"deduction"}, {"abduction"}, {"induction"}, {"deduction"}]
    assert len(game.kinds) == 3
