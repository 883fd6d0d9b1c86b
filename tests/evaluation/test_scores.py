"""What several answers to a task come to, worked out by hand."""

from itertools import combinations

import pytest

from tinyzero.evaluation.table import JudgedAnswers, group_scores, majority, pass_at, sampled_scores
from tinyzero.types import Task, Verdict, VerdictStatus

RIGHT, WRONG, MALFORMED = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED


def verdicts(*answers):
    """`5` is right, the empty text could not be read."""
    status = {"5": RIGHT, "": MALFORMED}
    return [Verdict(status=status.get(answer, WRONG), answer=answer) for answer in answers]


def answered(*answers):
    task = Task(id="a", kind="deduction", program="", inputs=(), outputs=())
    return JudgedAnswers(
        task=task, texts=answers, tokens=list(map(len, answers)), verdicts=verdicts(*answers)
    )


@pytest.mark.parametrize("correct", range(6))
@pytest.mark.parametrize("k", range(1, 6))
def test_pass_at_k_is_the_share_of_draws_of_k_that_hold_a_right_one(k, correct):
    draws = list(combinations([True] * correct + [False] * (5 - correct), k))
    assert pass_at(k, correct, 5) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(
    ("answers", "rate"),
    [
        (("5", "5", "4"), 1.0),
        (("5", "4", "4"), 0.0),
        (("5", "4"), 0.5),
        (("5", "4", "3"), 1 / 3),
        (("5", "", ""), 0.0),
        (("5",), 1.0),
    ],
)
def test_a_majority_is_of_equal_answers_and_a_tie_is_drawn(answers, rate):
    assert majority(verdicts(*answers)) == pytest.approx(rate)


def test_scores_of_a_task_by_measure():
    one = answered("5", "<think>4", "5", "4")
    assert sampled_scores([one]) == {
        "sampled": {"a": 0.5},
        "thinking_share": {"a": 0.25},
        "answer_tokens": {"a": (1 + 8 + 1 + 1) / 4},
    }
    assert group_scores([one]) == {"pass@4": {"a": 1.0}, "majority": {"a": 1.0}}


def test_of_many_attempts_eight_count():
    one = answered(*["5"] * 1, *["4"] * 15)
    assert group_scores([one])["pass@8"] == {"a": pytest.approx(0.5)}
