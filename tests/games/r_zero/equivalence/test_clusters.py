from itertools import combinations, permutations

import pytest

from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer, cluster, majority


class Recording:
    """Says that answers are the same where they begin alike; keeps what it was asked."""

    def __init__(self):
        self.calls = []

    def same(self, pairs):
        self.calls.append(list(pairs))
        return [first[0] == second[0] for first, second in pairs]


def test_clusters_count_from_0_by_first_appearance_and_each_value_is_compared_once():
    comparer = Recording()
    assert cluster([["b1", "a1", "b2", "c1", "a2", "b3", "b1"]], comparer) == [[0, 1, 0, 2, 1, 0, 0]]
    pairs = [pair for call in comparer.calls for pair in call]
    assert sorted(pairs) == sorted(combinations(["a1", "a2", "b1", "b2", "b3", "c1"], 2))


class Near:
    """Says that whole numbers are the same where they are neighbours, which is not transitive."""

    def same(self, pairs):
        return [abs(int(first) - int(second)) <= 1 for first, second in pairs]


def partition(answers, comparer):
    """The clusters as sets of answers."""
    [labels] = cluster([answers], comparer)
    return {frozenset(a for a, n in zip(answers, labels, strict=True) if n == label) for label in labels}


@pytest.mark.parametrize(
    ("answers", "clusters"),
    [
        (["1", "2", "3", "7"], [{"1", "2", "3"}, {"7"}]),
        (["50%", "50", "1/2"], [{"50%", "50"}, {"1/2"}]),
        (["50%", "1/2", "50\\%", "100"], [{"50%", "50\\%"}, {"1/2"}, {"100"}]),
        (["5 cm", "5", "5.0"], [{"5 cm", "5", "5.0"}]),
        (["5 cm", "5", "5 km"], [{"5 cm"}, {"5"}, {"5 km"}]),
        (["5 cm", "5%", "6", "6 cm"], [{"5 cm"}, {"5%"}, {"6", "6 cm"}]),
        (
            ["25 cm^2", "25 cm²", "25", "25\\text{ cm}^{2}"],
            [{"25 cm^2", "25 cm²", "25", "25\\text{ cm}^{2}"}],
        ),
        (["1/3", "0.333333", "0.3333334", "0.34"], [{"1/3", "0.333333", "0.3333334"}, {"0.34"}]),
    ],
)
def test_the_order_of_answers_does_not_change_their_clusters(answers, clusters):
    comparer = Near() if "7" in answers else AnswerComparer()
    for order in permutations(answers):
        assert partition(list(order), comparer) == set(map(frozenset, clusters)), order


@pytest.mark.parametrize("nothing", ["", "  ", "$$", r"\boxed{}"])
def test_no_answer_is_in_no_cluster(nothing):
    comparer = Recording()
    assert cluster([[nothing, "a", nothing, "a"], [nothing], []], comparer) == [[-1, 0, -1, 0], [-1], []]
    assert all(nothing not in pair for call in comparer.calls for pair in call)


def test_all_questions_share_the_calls():
    comparer = Recording()
    questions = [["a1", "a2", "b1"], ["c1", "d1"], ["e1", "e2", "e3"]]
    assert cluster(questions, comparer) == [[0, 0, 1], [0, 1], [0, 0, 0]]
    assert comparer.calls == [
        [("a1", "a2"), ("c1", "d1"), ("e1", "e2")],
        [("a1", "b1"), ("a2", "b1"), ("e1", "e3"), ("e2", "e3")],
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 1, 2], (1, 0.5)),
        ([0, 1, 1, 0], (0, 0.5)),
        ([0, -1, -1, -1], (0, 0.25)),
        ([-1, 0, 1, -1, 1], (1, 0.4)),
        ([-1, -1], None),
        ([], None),
    ],
)
def test_the_majority_has_a_share_of_all_answers(labels, expected):
    assert majority(labels) == expected
