r"""Which answers in mathematics are the same, decided without ever evaluating them in this process.

from tinyzero.games.r_zero.equivalence.comparer import cluster, majority
from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer

with AnswerComparer() as comparer:
    [labels] = cluster([[r"\frac{1}{2}", "0.5", "x"]], comparer)
    assert labels == [0, 0, 1]
    assert majority(labels) == (0, 2 / 3)
"""
