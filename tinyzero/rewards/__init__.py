"""What an outcome is worth: pure functions from verdicts, solve rates and programs to named reward terms."""

from tinyzero.rewards.bonuses import BONUSES, Bonus, Proposed, bonus_terms, choose_bonuses
from tinyzero.rewards.intrinsic import confidence, consistency
from tinyzero.rewards.repetition import repetition_penalties
from tinyzero.rewards.uncertainty import challenger_reward, uncertainty
from tinyzero.rewards.verdicts import learnability, proposer_reward, rejection_reward, solver_reward

__all__ = [
    "BONUSES",
    "Bonus",
    "Proposed",
    "bonus_terms",
    "challenger_reward",
    "choose_bonuses",
    "confidence",
    "consistency",
    "learnability",
    "proposer_reward",
    "rejection_reward",
    "repetition_penalties",
    "solver_reward",
    "uncertainty",
]
