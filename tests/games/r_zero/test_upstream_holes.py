"""Holes of the published code of R-Zero (commit 5699329), each shown closed here.

One test a hole, so that nobody has to take our word for it; most are covered in more depth elsewhere.
"""

from itertools import permutations

import pytest

from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer, cluster, majority
from tinyzero.games.r_zero.question import QUESTION, read_answer
from tinyzero.games.r_zero.repetition import repetition_penalties
from tinyzero.games.r_zero.scoring import score_questions
from tinyzero.games.r_zero.survey import challenger_reward, survey
from tinyzero.types import Answer, Completion, Prompt, RewardBreakdown, Task

TASK = Task(id="t", kind="question", program="", inputs=(), outputs=(), message="How many?")


@pytest.fixture(scope="module")
def comparer():
    with AnswerComparer() as comparer:
        yield comparer


def answers(*texts):
    prompt = Prompt(kind="question", text="How many?")
    return [
        Answer(prompt=prompt, completion=Completion(text=text, sampler_logprobs=(-0.5,))) for text in texts
    ]


def test_an_answer_is_read_whole_and_not_its_last_character():
    assert read_answer(r"It is \boxed{1} or rather \boxed{128}.") == "128"


def test_no_answer_cannot_win_the_vote(comparer):
    (one,) = survey([TASK], [answers("None", "none", "no box", r"\boxed{7}", r"\boxed{7}")], comparer)
    assert (one.label, one.share) == ("7", 0.4)
    (nothing,) = survey([TASK], [answers("None", "None")], comparer)
    assert (nothing.label, nothing.share) == ("", 0)


def test_a_half_agreed_question_earns_one_and_not_one_half():
    assert challenger_reward(0.5, 0.0).total == 1
    assert challenger_reward(0.75, 0.0).total == 0.5


def test_a_question_is_never_worth_less_than_nothing():
    assert challenger_reward(0.5, 1.0, repetition_weight=5).total == 0
    (answer,) = answers("no question")
    rejection = QUESTION.parse_proposal(answer.text, [])
    (rollout,) = score_questions([answer], [rejection], [], [0.0], weight=1.0)
    assert rollout.reward == RewardBreakdown(terms={"uncertainty": 0.0, "repetition": 0.0})


def test_what_a_question_earns_does_not_depend_on_where_it_stands_in_the_batch():
    questions = (
        "how many apples does Tom have if he buys five more",
        "how many apples does Tom have if he buys five more than Ann and gives two of them away today",
        "what is the area of a circle of radius three",
    )
    expected = dict(zip(questions, repetition_penalties(questions), strict=True))
    for order in permutations(questions):
        assert repetition_penalties(order) == [expected[question] for question in order]


@pytest.mark.slow
def test_two_answers_are_the_same_in_both_directions_or_not_at_all(comparer):
    assert comparer.same([("2x+z=5", "5"), ("5", "2x+z=5")]) == [False, False]


@pytest.mark.slow
def test_comparing_never_hangs_and_goes_on_afterwards():
    with AnswerComparer(timeout_s=0.5) as impatient:
        assert impatient.same([(r"10^{10^{10^{10}}}", r"9^{9^{9^{9}}}+1"), ("x+1", "1+x")])[1]


def test_an_answer_is_never_evaluated(comparer, tmp_path):
    trap = tmp_path / "trap"
    attack = f"__import__('pathlib').Path('{trap}').touch()"
    assert comparer.same([(attack, "x+1"), ("x+1", f"\\text{{{attack}}}")]) == [False, False]
    assert not trap.exists()


def test_a_cluster_is_of_answers_that_mean_the_same(comparer):
    (numbers,) = cluster([["0.5", r"\frac{1}{2}", "2", "", "1/2"]], comparer)
    assert numbers == [0, 0, 1, -1, 0]
    assert majority(numbers) == (0, 0.6)
