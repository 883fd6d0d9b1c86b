r"""Decides which mathematical answers are the same, and never evaluates an answer in this process.

from tinyzero.games.r_zero.equivalence.comparer import cluster, majority
from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer

with AnswerComparer() as comparer:
    [labels] = cluster([[r"\frac{1}{2}", "0.5", "x"]], comparer)
    assert labels == [0, 0, 1]
    assert majority(labels) == (0, 2 / 3)
"""
