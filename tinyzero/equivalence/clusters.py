"""Clusters of equal answers, and the vote among them. Which answers are equal is the comparer's business."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from tinyzero.equivalence.forms import normal_form
from tinyzero.types import Comparer

_NO_ANSWER = -1


def cluster(answers: Sequence[Sequence[str]], comparer: Comparer) -> list[list[int]]:
    """For each question one label per answer: the clusters are numbered from 0 by first appearance.

    An answer joins the first cluster whose first member it equals, as in R-Zero's code. One call of the
    comparer for the first answers of all questions, one for the second answers, and so on, so that many
    pairs can be compared at once.

    Args:
        answers: for each question; what has an empty normal form is no answer and gets -1.
    """
    labels: list[list[int]] = [[] for _ in answers]
    founders: list[list[str]] = [[] for _ in answers]
    for wave in zip_longest(*answers):
        asked = [
            [] if answer is None else [(founder, answer) for founder in known]
            for answer, known in zip(wave, founders, strict=True)
        ]
        verdicts = iter(comparer.same([pair for pairs in asked for pair in pairs if normal_form(pair[1])]))
        for answer, known, pairs, given in zip(wave, founders, asked, labels, strict=True):
            if answer is None:
                continue
            if not normal_form(answer):
                given.append(_NO_ANSWER)
                continue
            equal = [next(verdicts) for _ in pairs]
            given.append(equal.index(True) if True in equal else len(known))
            if given[-1] == len(known):
                known.append(answer)
    return labels


def majority(labels: Sequence[int]) -> tuple[int, float] | None:
    """The label of the largest cluster, the first to appear among equals, and its share of all answers.

    Answers that could not be read have no vote and count in the denominator: unlike in R-Zero's code, no
    question looks agreed upon because most of its answers were lost. None where no answer could be read.
    """
    votes = Counter(label for label in labels if label != _NO_ANSWER)
    if not votes:
        return None
    [(label, count)] = votes.most_common(1)  # the first to appear among equals, as Counter promises
    return label, count / len(labels)
