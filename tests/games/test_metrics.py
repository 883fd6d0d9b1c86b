import pytest

from tinyzero.games.metrics import advantage_metrics, diversity_metrics, round_metrics
from tinyzero.types import (
    Answer,
    AttemptRollout,
    Completion,
    Prompt,
    ProposalRollout,
    Rejection,
    RewardBreakdown,
    Stage,
    Task,
    Verdict,
    VerdictStatus,
)


def make_answer(kind, *, tokens=2, finish_reason="stop", text=""):
    completion = Completion(text=text, token_ids=(7,) * tokens, finish_reason=finish_reason)
    return Answer(prompt=Prompt(kind=kind, text=""), completion=completion)


def make_proposal(kind, stage, reward, **answer):
    task = Task(id="new", kind=kind, program="", inputs=(), outputs=())
    return ProposalRollout(
        answer=make_answer(kind, **answer),
        reward=RewardBreakdown(terms={"any": reward}),
        outcome=task if stage is None else Rejection(stage=stage),
    )


def make_attempt(kind, task_id, status, reward=0.0, *, read="", **answer):
    return AttemptRollout(
        answer=make_answer(kind, **answer),
        reward=RewardBreakdown(terms={"any": reward}),
        task_id=task_id,
        verdict=Verdict(status=status, answer=read),
    )


def measured(rollouts):
    proposals = [rollout for rollout in rollouts if isinstance(rollout, ProposalRollout)]
    attempts = [rollout for rollout in rollouts if isinstance(rollout, AttemptRollout)]
    return round_metrics(proposals, attempts)


def test_the_funnel_counts_the_proposals_that_got_through_each_stage():
    metrics = measured(
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


def test_trivial_and_duplicate_shares_are_of_the_proposals_that_came_to_their_stage():
    refused = [Stage.PARSED, Stage.DETERMINISTIC, Stage.NONTRIVIAL, Stage.NONTRIVIAL, Stage.NEW]
    metrics = measured([make_proposal("deduction", stage, 0) for stage in (*refused, None, None, None)])
    assert metrics["proposer/trivial_share"] == pytest.approx(2 / 6)
    assert metrics["proposer/new_share"] == pytest.approx(3 / 4)
    assert metrics["proposer/duplicate_share"] == pytest.approx(1 / 4)
    all_trivial = measured([make_proposal("deduction", Stage.NONTRIVIAL, 0)])
    assert all_trivial["proposer/trivial_share"] == 1
    assert "proposer/duplicate_share" not in all_trivial


@pytest.mark.parametrize(
    ("became_tasks", "entropy"),
    [
        ({"deduction": 2, "abduction": 2, "induction": 2}, 1.0),
        ({"deduction": 5, "abduction": 0, "induction": 0}, 0.0),
        ({"deduction": 2, "abduction": 2, "induction": 0}, 0.6309297535714574),  # log 2 / log 3
        ({"deduction": 3, "abduction": 1}, 0.8112781244591328),  # .75 log2(4/3) + .25 log2(4), in bits
    ],
    ids=str,
)
def test_kind_entropy_is_one_where_all_kinds_played_give_as_many_tasks(became_tasks, entropy):
    metrics = measured(
        [make_proposal(kind, Stage.PARSED, 0) for kind in became_tasks]
        + [make_proposal(kind, None, 0) for kind, count in became_tasks.items() for _ in range(count)]
    )
    assert metrics["proposer/kind_entropy"] == pytest.approx(entropy)


def test_kind_entropy_says_nothing_of_one_kind_or_without_a_task():
    one_kind = [make_proposal("deduction", None, 0)]
    no_task = [make_proposal(kind, Stage.RAN, 0) for kind in ("deduction", "abduction")]
    assert "proposer/kind_entropy" not in measured(one_kind) | measured(no_task)


def test_accuracy_is_a_share_of_attempts_and_mixed_share_one_of_tasks():
    correct, wrong, malformed = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED
    metrics = measured(
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


def test_a_task_is_unanimous_where_all_its_attempts_say_the_same_right_or_wrong():
    correct, wrong, malformed = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED
    said = {
        "all right": [(correct, "1"), (correct, "1")],
        "all wrong, and the same": [(wrong, "2"), (wrong, "2")],
        "all right, and not the same": [(correct, "1"), (correct, "3")],
        "all unreadable": [(malformed, "x"), (malformed, "y")],
        "one unreadable": [(wrong, ""), (malformed, "")],
        "a single attempt": [(correct, "1")],
    }
    metrics = measured(
        [
            make_attempt("abduction", task, status, read=read)
            for task, answers in said.items()
            for status, read in answers
        ]
    )
    assert metrics["solver/unanimous_share"] == pytest.approx(3 / 5)
    assert "solver/unanimous_share" not in measured([make_attempt("abduction", "a", correct, read="1")])


def test_thinking_is_counted_by_kind_with_what_it_costs_and_what_it_is_good_for():
    correct, wrong, malformed = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED
    thought, cut_off = "<think>\n2 + 3 -> 5\n</think>5", "<think>\n2 + 3 ->"
    metrics = round_metrics(
        [],
        [
            make_attempt("deduction", "a", correct, tokens=20, text=thought),
            make_attempt("deduction", "a", malformed, tokens=40, text=cut_off),
            make_attempt("deduction", "a", wrong, text="4"),
            make_attempt("deduction", "a", correct, text="5"),
            make_attempt("deduction", "a", wrong, text="'<think>'"),
            make_attempt("abduction", "b", correct, text="2, 3"),
        ],
    )
    assert metrics["solver/deduction/thinking_share"] == 2 / 5
    assert metrics["solver/deduction/thinking_tokens"] == 30
    assert metrics["solver/deduction/thinking_accuracy"] == 1 / 2
    assert metrics["solver/deduction/direct_accuracy"] == pytest.approx(1 / 3)
    assert metrics["solver/abduction/thinking_share"] == 0
    assert "solver/abduction/thinking_accuracy" not in metrics
    assert metrics["solver/thinking_share"] == pytest.approx(2 / 6)
    assert metrics["solver/thinking_tokens"] == 30
    assert metrics["solver/thinking_accuracy"] == 1 / 2
    assert metrics["solver/direct_accuracy"] == 2 / 4
    all_think = round_metrics([], [make_attempt("deduction", "a", correct, text=thought)])
    assert all_think["solver/thinking_share"] == 1
    assert "solver/direct_accuracy" not in all_think


def test_lengths_and_truncation_are_counted_by_role():
    metrics = measured(
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
    assert measured([]) == {}
    metrics = measured([make_proposal("deduction", Stage.PARSED, -1)])
    assert not any(key.startswith(("solver/", "tokens/solver")) for key in metrics)


def test_distinct_shapes_are_counted_per_task_and_nodes_per_program():
    # Module, FunctionDef, arguments, arg, Return, Name, Load: 7. With `x + 1`: BinOp, Add, Constant more.
    programs = ["def f(x):\n    return x", "def f(x):\n    return x + 1"] * 2
    tasks = [
        Task(id=str(index), kind="deduction", program=program, inputs=(), outputs=(), shape=shape)
        for index, (shape, program) in enumerate(zip("aabb", programs, strict=True))
    ]
    assert diversity_metrics(tasks) == {"proposer/distinct_shapes": 0.5, "proposer/program_nodes": 8.5}
    assert diversity_metrics([]) == {}


def test_the_share_of_advantages_that_are_not_zero():
    assert advantage_metrics([0.5, 0.0, -0.5, 0.0, 0.0]) == {"advantages/nonzero_share": 0.4}
    assert advantage_metrics([]) == {"advantages/nonzero_share": 0.0}
