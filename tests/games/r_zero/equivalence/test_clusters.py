import pytest

from tinyzero.games.r_zero.equivalence.comparer import cluster, majority


class Recording:
    """Says that answers are the same where they begin alike; keeps what it was asked."""

    def __init__(self):
        self.calls = []

    def same(self, pairs):
        self.calls.append(list(pairs))
        return [first[0] == second[0] for first, second in pairs]


def test_answers_join_the_first_cluster_that_they_equal_and_clusters_count_from_0():
    comparer = Recording()
    assert cluster([["b1", "a1", "b2", "c1", "a2", "b3"]], comparer) == [[0, 1, 0, 2, 1, 0]]
    # Against founders only: the second b is never compared with.
    assert comparer.calls[-1] == [("b1", "b3"), ("a1", "b3"), ("c1", "b3")]


def test_equality_need_not_be_transitive():
    class Near:
        def same(self, pairs):
            return [abs(int(first) - int(second)) <= 1 for first, second in pairs]

    assert cluster([["1", "2", "3"], ["2", "1", "3"], ["1", "3", "2"]], Near()) == [
        [0, 0, 1],
        [0, 0, 0],
        [0, 1, 0],
    ]


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
        [],
        [("a1", "a2"), ("c1", "d1"), ("e1", "e2")],
        [("a1", "b1"), ("e1", "e3")],
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
