import pytest

from tinyzero.games.metrics import diversity_metrics, round_metrics
from tinyzero.types import (
    Answer,
    Completion,
    Prompt,
    Rejection,
    RewardBreakdown,
    Role,
    Rollout,
    Stage,
    Task,
    Verdict,
    VerdictStatus,
)


def make_answer(role, kind, *, tokens=2, finish_reason="stop"):
    completion = Completion(text="", token_ids=(7,) * tokens, finish_reason=finish_reason)
    return Answer(prompt=Prompt(role=role, kind=kind, text=""), completion=completion)


def make_proposal(kind, stage, reward, **answer):
    return Rollout(
        answer=make_answer(Role.PROPOSER, kind, **answer),
        reward=RewardBreakdown(terms={"any": reward}),
        rejection=None if stage is None else Rejection(stage=stage),
    )


def make_attempt(kind, task_id, status, reward=0.0, **answer):
    return Rollout(
        answer=make_answer(Role.SOLVER, kind, **answer),
        reward=RewardBreakdown(terms={"any": reward}),
        task_id=task_id,
        verdict=Verdict(status=status),
    )


def test_the_funnel_counts_the_proposals_that_got_through_each_stage():
    metrics = round_metrics(
        [
            make_proposal("deduction", Stage.PARSED, -1),
            make_proposal("deduction", Stage.RAN, -0.5),
            make_proposal("deduction", Stage.NEW, -0.5),
            make_proposal("deduction", None, 0.8),
            make_proposal("abduction", None, 0.2),
        ]
    )
    stages = ["proposed", "parsed", "allowed", "ran", "deterministic", "nontrivial", "new"]
    assert [metrics[f"proposer/deduction/{stage}"] for stage in stages] == [4, 3, 3, 2, 2, 2, 1]
    assert [metrics[f"proposer/abduction/{stage}"] for stage in stages] == [1] * 7
    assert metrics["proposer/valid_share"] == pytest.approx(2 / 5)
    assert metrics["proposer/deduction/reward"] == pytest.approx(-1.2 / 4)
    assert metrics["proposer/reward"] == pytest.approx(-1.0 / 5)
    assert metrics["proposer/new_share"] == pytest.approx(2 / 3)


def test_accuracy_is_a_share_of_attempts_and_mixed_share_one_of_tasks():
    correct, wrong, malformed = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED
    metrics = round_metrics(
        [
            make_attempt("deduction", "a", correct, 1.0),
            make_attempt("deduction", "a", wrong, -0.5),
            make_attempt("deduction", "b", correct, 1.0),
            make_attempt("deduction", "b", correct, 1.0),
            make_attempt("abduction", "c", malformed, -1.0),
            make_attempt("abduction", "c", wrong, -0.5),
        ]
    )
    assert metrics["solver/deduction/accuracy"] == 0.75
    assert metrics["solver/abduction/accuracy"] == 0
    assert metrics["solver/accuracy"] == 0.5
    assert metrics["solver/mixed_share"] == pytest.approx(1 / 3)
    assert metrics["solver/malformed_share"] == pytest.approx(1 / 6)
    assert metrics["solver/deduction/reward"] == pytest.approx(2.5 / 4)
    assert metrics["solver/abduction/attempts"] == 2


def test_lengths_and_truncation_are_counted_by_role():
    metrics = round_metrics(
        [
            make_proposal("deduction", None, 0, tokens=10, finish_reason="length"),
            make_attempt("deduction", "a", VerdictStatus.WRONG, tokens=1),
            make_attempt("deduction", "a", VerdictStatus.WRONG, tokens=4),
        ]
    )
    assert metrics["tokens/proposer"] == 10
    assert metrics["tokens/solver"] == 5
    assert metrics["length/solver"] == 2.5
    assert metrics["truncated/proposer"] == 1
    assert metrics["truncated/solver"] == 0


def test_a_figure_without_data_is_left_out():
    assert round_metrics([]) == {}
    metrics = round_metrics([make_proposal("deduction", Stage.PARSED, -1)])
    assert not any(key.startswith(("solver/", "tokens/solver")) for key in metrics)


def test_distinct_shapes_are_counted_per_task():
    tasks = [
        Task(id=str(index), kind="deduction", program="", inputs=(), outputs=(), shape=shape)
        for index, shape in enumerate("aabb")
    ]
    assert diversity_metrics(tasks) == {"proposer/distinct_shapes": 0.5}
    assert diversity_metrics([]) == {}
