"""What an outcome is worth: pure functions from verdicts, solve rates and programs to named reward terms."""

from tinyzero.rewards.bonuses import BONUSES, Bonus, Proposed, bonus_terms, choose_bonuses
from tinyzero.rewards.verdicts import learnability, proposer_reward, rejection_reward, solver_reward

__all__ = [
    "BONUSES",
    "Bonus",
    "Proposed",
    "bonus_terms",
    "choose_bonuses",
    "learnability",
    "proposer_reward",
    "rejection_reward",
    "solver_reward",
]
