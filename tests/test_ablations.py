"""The ablation table: differences worked out by hand from made-up runs, and what intervals allow to say."""

import json
from math import sqrt
from pathlib import Path

import pytest

from tinyzero.config import Config
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    from learning import ablation

    return ablation


def ask(output):
    from learning import ablation
    from learning.arms import Question

    return ablation.ask(output, Question(title="more, not less", arm="with it", control="without"))


class Measured:
    def __init__(self, rates):
        self.rates = rates

    def save(self, folder):
        last = {"step": 1, "rates": dict.fromkeys(("sampled", "greedy"), self.rates)}
        (folder / "heldout.json").write_text(json.dumps({"first": last, "last": last}))


def make_run(output, arm, seed, rates):
    run = RunFolder.create(output, f"{arm.replace(' ', '_')}-{seed}", Config())
    line = {
        "step": 1,
        "tokens/proposer": 100.0,
        "tokens/solver": 20.0,
        "tokens/replay": 3.0,
        "time/step_s": 90.0,
    }
    run.metrics.write_text(json.dumps(line) + "\n")
    checkpoints.write(run, 1, {"probe": Measured(rates)})
    run.write_evaluation({"rows": []})


@pytest.fixture
def output(tmp_path, monkeypatch, ablation):
    monkeypatch.setattr(ablation, "held_out_ids", lambda: {"deduction": ["a", "b"], "abduction": ["c"]})
    return tmp_path / "runs"


def test_kinds_count_alike_and_seeds_are_paired(output):
    make_run(output, "with it", 0, {"a": 1.0, "b": 0.5, "c": 0.5})  # (3/4 + 1/2) / 2 = 5/8
    make_run(output, "without", 0, {"a": 0.5, "b": 0.5, "c": 0.5})  # 1/2
    make_run(output, "with it", 1, {"a": 1.0, "b": 1.0, "c": 1.0})  # 1
    make_run(output, "without", 1, {"a": 1.0, "b": 1.0, "c": 0.5})  # 3/4
    make_run(output, "with it", 2, {"a": 0.0, "b": 0.0, "c": 0.0})  # has no control
    answer = ask(output)
    assert answer["seeds"] == [0, 1]
    assert answer["tokens"] == [123.0, 123.0]
    assert answer["minutes"] == [1.5, 1.5]
    found = answer["sampled"]
    assert found["by_seed"] == [12.5, 25.0]
    assert found["mean"] == 18.75
    assert found["accuracy"] == [81.2, 62.5]
    half = 12.706 * sqrt((6.25**2) * 2) / sqrt(2)
    assert found["over_seeds"] == [round(18.75 - half, 2), round(18.75 + half, 2)]
    assert 0 <= found["over_tasks"][0] <= 18.75 <= found["over_tasks"][1]


def test_an_arm_without_runs_has_no_line(output):
    assert ask(output) is None


def test_one_seed_says_nothing_about_others(ablation, output):
    make_run(output, "with it", 0, {"a": 1.0, "b": 1.0, "c": 1.0})
    make_run(output, "without", 0, {"a": 1.0, "b": 1.0, "c": 0.5})
    assert ask(output) is None
    with pytest.raises(ValueError, match="1 values"):
        ablation.t_interval([3.0])


def test_the_average_of_a_run_is_compared_with_its_end(ablation, output):
    for seed, rate in ((0, 0.5), (1, 0.25)):
        make_run(output, "trained", seed, dict.fromkeys("abc", rate))
        averaged = dict.fromkeys(("sampled", "greedy"), dict.fromkeys("abc", 0.75))
        (output / f"trained-{seed}" / "averaged.json").write_text(json.dumps(averaged))
    make_run(output, "trained", 2, dict.fromkeys("abc", 0.0))  # resumed at its end: without an average
    answer = ablation.ask_average(output, "trained")
    assert answer["seeds"] == [0, 1]
    assert answer["sampled"]["by_seed"] == [25.0, 50.0]


def test_without_averages_there_is_nothing_to_compare(ablation, output):
    make_run(output, "trained", 0, dict.fromkeys("abc", 0.5))
    assert ablation.ask_average(output, "trained") is None


@pytest.mark.parametrize(
    ("seeds", "tasks", "words"),
    [
        ([0.1, 3], [0.2, 1], "helps"),
        ([-3, -0.1], [-1, -0.1], "harms"),
        ([-0.1, 3], [0.2, 1], "not distinguishable from noise"),
        ([-0.6, -0.4], [-1.7, 0.6], "not distinguishable from noise"),
    ],
)
def test_only_two_intervals_beside_zero_are_a_verdict(seeds, tasks, words, ablation):
    assert ablation.verdict({"over_seeds": seeds, "over_tasks": tasks}) == words


def test_every_question_is_about_arms_that_are_there():
    from learning.arms import ABLATIONS, ARMS

    assert {arm for question in ABLATIONS for arm in (question.arm, question.control)} <= set(ARMS)


def test_the_held_out_ids_are_nanos_without_the_longer_programs(ablation):
    ids = ablation.held_out_ids()
    assert {kind: len(tasks) for kind, tasks in ids.items()} == {
        "deduction": 340,
        "abduction": 340,
        "induction": 340,
    }
