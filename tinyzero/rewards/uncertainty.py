"""What R-Zero's challenger earns: questions on which the solver's answers are split, unlike the others."""

from tinyzero.types import RewardBreakdown


def uncertainty(share: float) -> float:
    """`1 - 2 |share - 1/2|`: 1 where half of the answers agree, 0 where all do or none.

    Args:
        share: of the majority's answer among all answers, in [0, 1].

    Source: R-Zero (arXiv:2508.05004); its published code pays min(share, 1 - share), which is half of that.
    """
    return 1.0 - 2.0 * abs(share - 0.5)


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
