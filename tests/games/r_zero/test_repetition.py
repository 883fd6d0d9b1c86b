"""Repetition: BLEU against nltk's numbers, clusters against hand-made ones and a slow reference."""

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.games.r_zero.repetition import bleu_distance, count_ngrams, repetition_penalties

CAT = "the cat sat on the mat"


def distance(first: str, second: str) -> float:
    return bleu_distance(*count_ngrams([tuple(first.split()), tuple(second.split())]))


@pytest.mark.parametrize(
    ("first", "second", "forwards", "backwards"),
    [
        # nltk 3.9.1: sentence_bleu([second.split()], first.split(), SmoothingFunction().method1), reversed.
        (CAT, "the cat sat on a mat", 0.537284965911771, 0.537284965911771),
        ("the cat sat on the mat today", CAT, 0.8091067115702212, 0.846481724890614),
        ("a b c d e f g h", "a b c d x f g h", 0.5, 0.5),
        ("find the sum of all primes", "find the sum", 0.20205155046766235, 0.20687381245863395),
        ("the the the the", "the cat the dog", 0.09554427922043669, 0.09554427922043669),
        ("a b c d", "d c b a", 0.11362193664674995, 0.11362193664674995),
        ("a b c", "d e f", 0.0, 0.0),
        (CAT, CAT, 1.0, 1.0),
    ],
)
def test_the_distance_is_that_of_nltk_averaged_over_both_directions(first, second, forwards, backwards):
    expected = pytest.approx(1 - (forwards + backwards) / 2, abs=1e-12)
    assert distance(first, second) == expected
    assert distance(second, first) == expected


def test_bleu_by_hand():
    # 7 words against 6: matches 6, 5, 4, 3 of 7, 6, 5, 4; no brevity penalty one way, exp(1 - 7/6) the other.
    forwards = (6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** 0.25
    backwards = 2.718281828459045 ** (1 - 7 / 6)
    assert distance(f"{CAT} today", CAT) == pytest.approx(1 - (forwards + backwards) / 2)


def test_questions_that_differ_pay_for_themselves_only():
    assert repetition_penalties(["a b c d e", "f g h i j", "k l m n o", "p q r s t"]) == [0.25] * 4


def test_copies_stand_together_however_short():
    # BLEU of "find x" with itself is 0.32 by nltk, for want of longer n-grams.
    assert repetition_penalties(["find x", "find x", "a b c d e", "find  x\n"]) == [0.75, 0.75, 0.25, 0.75]


def test_unreadable_questions_pay_nothing_and_count_in_the_denominator():
    assert repetition_penalties(["", "a b c d", "a b c d", " \n"]) == [0, 0.5, 0.5, 0]
    assert repetition_penalties(["", ""]) == [0, 0]
    assert repetition_penalties([]) == []


def test_linkage_is_the_mean_over_all_pairs_of_two_clusters():
    a, b, c = CAT, "the cat sat on a mat", "one cat sat on a mat"
    assert distance(a, b) == pytest.approx(0.4627, abs=1e-4)
    assert distance(b, c) < distance(a, b) < 0.5 < distance(a, c)
    linked = (distance(a, b) + distance(a, c)) / 2  # b and c are merged first
    assert repetition_penalties([a, b, c], distance=linked - 1e-6) == [1 / 3, 2 / 3, 2 / 3]
    assert repetition_penalties([a, b, c], distance=linked + 1e-6) == [1, 1, 1]


def test_a_copy_weighs_as_much_as_any_other_member():
    a, b, c = CAT, "the cat sat on a mat", "one cat sat on a mat"
    linked = (distance(a, b) + 2 * distance(a, c)) / 3  # from a to {b, c, c}
    assert repetition_penalties([a, b, c, c], distance=linked - 1e-6) == [0.25, 0.75, 0.75, 0.75]
    assert repetition_penalties([a, b, c, c], distance=linked + 1e-6) == [1] * 4


def test_two_questions_at_the_threshold_are_apart():
    a, b = "a b c d e f g h", "a b c d x f g h"
    assert repetition_penalties([a, b], distance=distance(a, b)) == [0.5, 0.5]
    assert repetition_penalties([a, b], distance=distance(a, b) + 1e-9) == [1, 1]


def slow_sizes(questions, threshold):
    """Average linkage from its definition: every pair of clusters looked at before every merge."""
    distances = {
        (i, j): 0.0 if questions[i] == questions[j] else distance(questions[i], questions[j])
        for i in range(len(questions))
        for j in range(len(questions))
    }

    def apart(a, b):
        return sum(distances[i, j] for i in a for j in b) / (len(a) * len(b))

    clusters = [(i,) for i in range(len(questions))]
    while len(clusters) > 1:
        nearest = min(combinations(clusters, 2), key=lambda pair: apart(*pair))
        if apart(*nearest) >= threshold:
            break
        clusters = [cluster for cluster in clusters if cluster not in nearest] + [sum(nearest, ())]
    return [next(len(cluster) for cluster in clusters if i in cluster) for i in range(len(questions))]


@pytest.mark.parametrize("seed", range(20))
def test_clusters_are_those_of_the_definition(seed):
    rng = random.Random(seed)
    stems = [[rng.choice("abcdefghijklmnopqrst") for _ in range(12)] for _ in range(3)]
    questions = []
    for _ in range(24):
        words = list(rng.choice(stems))
        for _ in range(rng.randrange(6)):
            words[rng.randrange(12)] = rng.choice("uvwxyz")
        questions.append(" ".join(words[: rng.randrange(8, 13)]))
    expected = [size / 24 for size in slow_sizes(questions, 0.5)]
    assert repetition_penalties(questions) == expected
    assert len(set(expected)) > 1


@given(
    st.lists(st.text("ab ", max_size=8), max_size=12).flatmap(
        lambda questions: st.tuples(st.just(questions), st.permutations(range(len(questions))))
    )
)
def test_the_order_of_the_questions_does_not_matter(batch):
    questions, order = batch
    penalties = repetition_penalties(questions)
    assert repetition_penalties([questions[i] for i in order]) == [penalties[i] for i in order]
