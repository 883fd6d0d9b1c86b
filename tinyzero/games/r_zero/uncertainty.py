"""How sure a solver is of its answers: R-Zero's reward, and signals that need no verdict.

Confidence and consistency do not say whether an answer is right. A solver rewarded for them alone learns
to be sure, not to be right. A published run that rewarded self-certainty collapsed after about 20 steps into
answers of a few tokens, with the highest reward and an accuracy near 0; such rewards rise and then
fall, at a time set by the model's prior (arXiv:2603.08660); confident mistakes get too much reward
(arXiv:2510.08977). Use them to choose tasks, or as a small part of a reward next to a verdict, with a
held-out probe that shows when they mislead.
"""

import math
from collections.abc import Sequence

from tinyzero.games.attempts import uncertainty
from tinyzero.types import RewardBreakdown


def challenger_reward(
    share: float | None, repetition: float, *, repetition_weight: float = 1.0
) -> RewardBreakdown:
    """`max(0, uncertainty - repetition_weight * repetition)`, as two terms with this sum.

    Never negative: the penalty is at most the uncertainty. R-Zero's published code has no such floor and
    gives -1 to an unreadable question; the paper gives 0.

    Args:
        share: share of the majority's answer; None for a question that is unreadable or has no answer.
        repetition: the question's share of the batch (`repetition_penalties`), in [0, 1].

    Source: R-Zero (arXiv:2508.05004), with lambda = 1.
    """
    earned = 0.0 if share is None else uncertainty(share)
    deduction = min(earned, repetition_weight * repetition)
    return RewardBreakdown(terms={"uncertainty": earned, "repetition": 0.0 - deduction})


def confidence(logprobs: Sequence[float]) -> float:
    """`exp(mean logprob)` of the answer's tokens, in [0, 1]; 0 for no tokens.

    Danger: short, stereotyped answers score high without effort, so it rewards saying less.

    Args:
        logprobs: logprobs of the sampled tokens, nats.
    """
    if not logprobs:
        return 0.0
    return math.exp(min(0.0, math.fsum(logprobs) / len(logprobs)))


def consistency(cluster_sizes: Sequence[int]) -> float:
    """`1 - entropy / log(answers)` over clusters of equal answers, in [0, 1].

    1 if all answers agree or there is only one, 0 if all differ or there is none. Danger: answers
    may agree on a mistake, and a solver that is rewarded for agreement loses its other ways to
    solve a task; with R-Zero, the share of right pseudo-labels fell from round to round.

    Args:
        cluster_sizes: number of answers in each cluster. An unreadable answer agrees with no other: it is
            a cluster of size 1.
    """
    num_answers = sum(cluster_sizes)
    if num_answers <= 1:
        return float(num_answers)
    agreement = math.fsum(size * math.log(size) for size in cluster_sizes if size)  # n log n - n * entropy
    return min(1.0, agreement / (num_answers * math.log(num_answers)))
