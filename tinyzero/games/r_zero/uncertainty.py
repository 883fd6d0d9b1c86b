"""How sure a solver is of its answers: what R-Zero pays for, and signals that need no verdict.

Confidence and consistency do not say whether an answer is right. A solver that is paid for them alone learns
to be sure, not to be right: a published run paid for self-certainty collapsed after some twenty steps into
answers of a few tokens, with the reward at its height and the accuracy near 0; such rewards rise and then
fall, at a time that the model's prior sets (arXiv:2603.08660); confident mistakes are overpaid
(arXiv:2510.08977). Use them to choose tasks, or as a small part of a reward beside a verdict, with a held-out
probe to see when they go astray.
"""

import math
from collections.abc import Sequence

from tinyzero.games.attempts import uncertainty
from tinyzero.types import RewardBreakdown


def challenger_reward(
    share: float | None, repetition: float, *, repetition_weight: float = 1.0
) -> RewardBreakdown:
    """`max(0, uncertainty - repetition_weight * repetition)`, as two terms that add up to it.

    Never negative: a penalty takes as much as there is. R-Zero's published code has no such floor, and pays
    -1 for what cannot be read, where the paper pays 0.

    Args:
        share: of the majority's answer; None for a question that could not be read or that nobody answered.
        repetition: the question's share of the batch (`repetition_penalties`), in [0, 1].

    Source: R-Zero (arXiv:2508.05004), with lambda = 1.
    """
    earned = 0.0 if share is None else uncertainty(share)
    taken = min(earned, repetition_weight * repetition)
    return RewardBreakdown(terms={"uncertainty": earned, "repetition": 0.0 - taken})


def confidence(logprobs: Sequence[float]) -> float:
    """`exp(mean logprob)` of the answer's tokens, in [0, 1]; 0 for no tokens.

    The danger: short, stereotyped answers have it for free, so it pays for saying less.

    Args:
        logprobs: of the tokens as sampled, nats.
    """
    if not logprobs:
        return 0.0
    return math.exp(min(0.0, math.fsum(logprobs) / len(logprobs)))


def consistency(cluster_sizes: Sequence[int]) -> float:
    """`1 - entropy / log(answers)` over clusters of equal answers, in [0, 1].

    1 where all answers agree or there is one only, 0 where all differ or there is none. The danger: answers
    that agree may agree on a mistake, and a solver that is paid for agreement gives up its other ways to
    solve a task; with R-Zero, the share of right pseudo-labels fell from round to round.

    Args:
        cluster_sizes: number of answers in each cluster. An answer that could not be read agrees with none:
            a cluster of its own, of size 1.
    """
    num_answers = sum(cluster_sizes)
    if num_answers <= 1:
        return float(num_answers)
    agreement = math.fsum(size * math.log(size) for size in cluster_sizes if size)  # n log n - n * entropy
    return min(1.0, agreement / (num_answers * math.log(num_answers)))
