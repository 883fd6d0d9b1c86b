"""What a run leaves in its folder: every task, a fair sample of rollouts, every step once."""

import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.config import Config
from tinyzero.evaluation.comparison import Comparison
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.run.recorder import Recorder, spread, task_records
from tinyzero.run.records import read
from tinyzero.types import (
    Answer,
    AttemptRollout,
    Completion,
    Prompt,
    ProposalRollout,
    Rejection,
    RewardBreakdown,
    Role,
    Round,
    Stage,
    StepReport,
    Task,
    Verdict,
    VerdictStatus,
)


def rollout(role, kind, text, *, task_id="", verdict=None, rejection=None):
    completion = Completion(text=text, token_ids=(1, 2, 3), finish_reason="length")
    answer = Answer(prompt=Prompt(kind=kind, text=f"Q {text}", prefill="P"), completion=completion)
    reward = RewardBreakdown(terms={"outcome": 1.0, "format": -0.25})
    if role is Role.PROPOSER:
        outcome = Rejection(stage=rejection, detail="why") if rejection else replace(TASK, id=task_id)
        return ProposalRollout(answer=answer, reward=reward, outcome=outcome)
    judged = Verdict(status=verdict or VerdictStatus.WRONG, answer=text, detail="because")
    return AttemptRollout(answer=answer, reward=reward, task_id=task_id, verdict=judged)


TASK = Task(
    id="t1",
    kind="deduction",
    program="def f(x):\n    return x",
    inputs=("1",),
    outputs=("1",),
    parents=("t0",),
    shape="s",
    step=0,
    author="proposer@3",
)


def report(step):
    rollouts = [
        rollout(Role.PROPOSER, "deduction", "good", task_id="t1"),
        rollout(Role.PROPOSER, "abduction", "bad", rejection=Stage.RAN),
        rollout(Role.SOLVER, "deduction", "right", task_id="t1", verdict=VerdictStatus.CORRECT),
        rollout(Role.SOLVER, "deduction", "wrong", task_id="t1", verdict=VerdictStatus.WRONG),
        rollout(Role.SOLVER, "deduction", "huh", task_id="t1", verdict=VerdictStatus.MALFORMED),
        rollout(Role.SOLVER, "deduction", "no", task_id="t1", verdict=VerdictStatus.WRONG),
    ]
    played = Round(
        rollouts=rollouts,
        advantages=[0.5, -0.5, 1.0, -1.0, -2.0, -1.0],
        new_tasks=[TASK],
        metrics={},
        seconds={},
    )
    return StepReport(step=step, metrics={"solver/accuracy": 0.25}, round=played)


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path, "first", Config())


def record(run, steps, *, after=0, samples=6, device="cpu", keep=None):
    config = Config.model_validate({"run": {"samples_per_step": samples, "keep_samples": keep}})
    recorder = Recorder(run, preset="nano-cpu")
    recorder.on_start(
        RunStart(
            name=run.name, path=run.path, config=config, step=after, device=device, sandbox_tier="strong"
        )
    )
    for step in steps:
        recorder.on_step(report(step))
    recorder.on_end(RunSummary(step=steps[-1], reason=StopReason.MAX_STEPS, seconds=1.0, checkpoint=None))


def test_a_task_is_recorded_with_its_parents_and_its_solve_rate(run):
    record(run, [1])
    assert list(read(run.tasks)) == [
        {
            "step": 1,
            "id": "t1",
            "kind": "deduction",
            "program": "def f(x):\n    return x",
            "inputs": ["1"],
            "outputs": ["1"],
            "message": "",
            "shape": "s",
            "parents": ["t0"],
            "author": "proposer@3",
            "attempts": 4,
            "verdicts": {"correct": 1, "wrong": 2, "malformed": 1},
            "solve_rate": 0.25,
        }
    ]


def test_attempts_at_earlier_tasks_are_recorded_by_step_and_id(run):
    again = replace(report(2).round, new_tasks=[], replayed_tasks=[TASK])
    recorder = Recorder(run, preset="nano-cpu")
    recorder.on_start(
        RunStart(name="first", path=run.path, config=Config(), step=0, device="cpu", sandbox_tier="strong")
    )
    recorder.on_step(StepReport(step=2, metrics={}, round=again))
    recorder.on_end(RunSummary(step=2, reason=StopReason.MAX_STEPS, seconds=1.0, checkpoint=None))
    assert list(read(run.tasks)) == []
    verdicts = {"correct": 1, "wrong": 2, "malformed": 1}
    (line,) = read(run.replays)
    assert line == {"step": 2, "id": "t1", "attempts": 4, "verdicts": verdicts, "solve_rate": 0.25}


def test_attempts_that_train_nothing_count_for_the_solve_rate(run):
    played = report(1).round
    measured = replace(
        played, rollouts=played.rollouts[:2], untrained=played.rollouts[2:4], advantages=[0, 0]
    )
    (record,) = task_records(StepReport(step=1, metrics={}, round=measured))
    assert (record["attempts"], record["solve_rate"]) == (2, 0.5)


def test_a_sample_has_the_words_the_verdict_and_every_reward_term(run):
    record(run, [1])
    samples = {sample["completion"]: sample for sample in read(run.samples)}
    assert samples["right"] == {
        "step": 1,
        "role": "solver",
        "kind": "deduction",
        "task_id": "t1",
        "prompt": "Q right",
        "prefill": "P",
        "completion": "right",
        "tokens": 3,
        "finish_reason": "length",
        "verdict": {"status": "correct", "answer": "right", "detail": "because"},
        "rejection": None,
        "reward": 0.75,
        "reward_terms": {"outcome": 1.0, "format": -0.25},
        "advantage": 1.0,
    }
    assert samples["bad"]["rejection"] == {"stage": "ran", "detail": "why"}
    assert samples["bad"]["advantage"] == -0.5


def test_few_samples_still_show_every_role_and_kind(run):
    record(run, [1], samples=3)
    assert {(s["role"], s["kind"]) for s in read(run.samples)} == {
        ("proposer", "deduction"),
        ("proposer", "abduction"),
        ("solver", "deduction"),
    }


@given(count=st.integers(0, 10), seed=st.integers())
def test_a_spread_draws_no_rollout_twice(count, seed):
    drawn = spread(report(1).round, count, Random(seed))
    assert len(drawn) == len(set(drawn)) == min(count, 6)


def test_metrics_are_a_line_a_step(run):
    record(run, [1, 2])
    assert list(read(run.metrics)) == [
        {"step": 1, "solver/accuracy": 0.25},
        {"step": 2, "solver/accuracy": 0.25},
    ]


def test_a_resumed_run_has_every_step_once_and_both_starts(run):
    record(run, [1, 2, 3])
    before = run.samples.read_text()
    record(run, [3], after=2)
    assert [line["step"] for line in read(run.metrics)] == [1, 2, 3]
    assert [line["step"] for line in read(run.tasks)] == [1, 2, 3]
    assert run.samples.read_text() == before  # the same are drawn again
    assert [(e["event"], e["step"]) for e in read(run.events)] == [
        ("start", 0),
        ("end", 3),
        ("start", 2),
        ("end", 3),
    ]


def test_the_environment_is_recorded_and_a_decisive_change_is_an_event(run, caplog):
    record(run, [1])
    environment = json.loads((run.path / "environment.json").read_text())
    assert (environment["preset"], environment["device"], environment["sandbox_tier"]) == (
        "nano-cpu",
        "cpu",
        "strong",
    )
    assert environment["packages"]["pydantic"]
    record(run, [2], after=1, device="cuda:0")
    starts = [event for event in read(run.events) if event["event"] == "start"]
    assert "changed" not in starts[0]
    assert starts[1]["changed"] == ["device: cpu -> cuda:0"]
    assert caplog.messages == ["no longer the environment of the first steps: device: cpu -> cuda:0"]


@pytest.mark.parametrize(
    ("key", "value", "change"),
    [("packages", {"torch": "1.0"}, "packages.torch: 1.0 -> "), ("threads", 99, "threads: 99 -> ")],
)
def test_a_resumed_run_says_which_version_or_number_of_threads_has_changed(run, caplog, key, value, change):
    record(run, [1])
    run.write_environment(run.environment() | {key: value})
    record(run, [2], after=1)
    assert change in caplog.text


def test_the_table_of_held_out_accuracy_is_a_file(run):
    recorder = Recorder(run, preset="mine")
    recorder.on_start(
        RunStart(name="x", path=run.path, config=Config(), step=0, device="cpu", sandbox_tier="strong")
    )
    recorder.on_end(
        RunSummary(
            step=5,
            reason=StopReason.MAX_STEPS,
            seconds=1.0,
            checkpoint=None,
            comparison=Comparison(set_name="mine", attempts=8, step=5, rows=()),
        )
    )
    content = json.loads((run.path / "evaluation.json").read_text())
    assert content == {
        "set": "mine",
        "attempts": 8,
        "step": 5,
        "rows": [],
        "others": [],
        "untrained": [],
    }


def test_early_samples_are_thinned_and_a_resumed_run_has_the_same(run, tmp_path):
    record(run, range(1, 46), samples=2, keep=10)
    steps = [line["step"] for line in read(run.samples)]
    assert steps[-30:] == [step for step in range(31, 46) for _ in range(2)]
    assert len(steps) == 30 + 3 * 2
    resumed = RunFolder.create(tmp_path, "resumed", Config())
    record(resumed, range(1, 28), samples=2, keep=10)
    record(resumed, range(22, 46), after=21, samples=2, keep=10)
    assert resumed.samples.read_bytes() == run.samples.read_bytes()
    assert [line["step"] for line in read(run.metrics)] == list(range(1, 46))
