r"""Rewards of one's own, for both roles.

    tinyzero train nano-cpu --plugin examples/custom_reward.py --set rewards.proposer=steep \
        --set rewards.bonuses.vocabulary.coefficient=0.3 --set rewards.solver_terms.brevity.coefficient=0.1

A term says how much of something there is; its coefficient and its cap are settings of the run.
"""

from tinyzero.games.absolute_zero.rewards import Proposed
from tinyzero.games.attempts import Attempt
from tinyzero.plugins import Registry
from tinyzero.tasks.similarity import skeleton

BUILTINS = {
    "abs", "all", "any", "divmod", "enumerate", "filter", "len", "map", "max", "min", "pow", "range",
    "reversed", "round", "sorted", "sum", "zip",
}  # fmt: skip


def steep(solve_rate: float) -> float:
    """What a task earns its proposer: (1 - p)^2, and nothing where nobody succeeds. Rare ones pay most."""
    return (1.0 - solve_rate) ** 2 if solve_rate > 0 else 0.0


def vocabulary(proposed: Proposed) -> float:
    """Different builtins and methods in the program, 1 from eight on."""
    words = set(skeleton(proposed.task.program))
    return min(1.0, sum(word.startswith(".") or word in BUILTINS for word in words) / 8)


def brevity(attempt: Attempt) -> float:
    """0 for an answer that stops at once, -1 for 200 tokens and more."""
    return -min(1.0, len(attempt.answer.completion.token_ids) / 200)


def register(registry: Registry) -> None:
    registry.proposer_reward("steep", steep)
    registry.proposer_term("vocabulary", vocabulary)
    registry.solver_term("brevity", brevity)
