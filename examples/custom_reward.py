"""A reward term of one's own: proposers are paid for programs that use many different builtins and methods.

    python examples/custom_reward.py run.max_steps=5

A term says how much of something a proposal has, from 0 to 1; coefficient and cap are the run's.
"""

import sys

import tinyzero
from tinyzero.games.absolute_zero.rewards import BONUSES, Proposed
from tinyzero.tasks.similarity import skeleton


class Vocabulary:
    """Different builtins and methods in the program, 1 from eight on."""

    name = "vocabulary"

    def value(self, proposed: Proposed) -> float:
        words = set(skeleton(proposed.task.program))
        used = {word for word in words if word.startswith(".") or word in BUILTINS}
        return min(1.0, len(used) / 8)


BUILTINS = {
    "abs",
    "all",
    "any",
    "divmod",
    "enumerate",
    "len",
    "map",
    "max",
    "min",
    "range",
    "reversed",
    "sorted",
}
BUILTINS |= {
    "sum",
    "zip",
    "filter",
    "round",
    "pow",
    "ord",
    "chr",
    "set",
    "dict",
    "tuple",
    "list",
    "str",
    "int",
}

BONUSES[Vocabulary.name] = Vocabulary()

if __name__ == "__main__":
    weight = "rewards.bonuses.vocabulary.coefficient=0.3"
    tinyzero.train("nano-cpu", settings=[weight, *sys.argv[1:]])
