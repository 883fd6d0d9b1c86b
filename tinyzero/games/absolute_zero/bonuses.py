"""Optional reward terms of proposals, all bounded. To add one: write a `Bonus`, then list it in `BONUSES`.

Absolute Zero's code has such terms too. Its experiments switch all of them off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Protocol

from tinyzero.config import BonusConfig
from tinyzero.errors import ConfigError, NotFinite, nearest
from tinyzero.execution.values import parse_literal
from tinyzero.tasks.similarity import cyclomatic_complexity, edit_distance
from tinyzero.types import Task

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposal that became a task, and the data that a reward term may use.

    Attributes:
        novelty: distance to the nearest task of its kind in the pool, in [0, 1].
        references: the tasks in the proposer's prompt.
        peers: the other tasks of its kind in the pool.
    """

    task: Task
    novelty: float
    references: Sequence[Task]
    peers: Sequence[Task]


class Bonus(Protocol):
    """One optional term."""

    @property
    def name(self) -> str:
        """Key of `BONUSES`, of `rewards.bonuses` and of the metrics."""
        ...

    def value(self, proposed: Proposed) -> float:
        """The size of the term for this proposal, in [0, 1]."""
        ...


class Novelty:
    """Distance to the nearest task of the same kind, in the prompt or not."""

    name = "novelty"

    def value(self, proposed: Proposed) -> float:
        return proposed.novelty


class Complexity:
    """McCabe's complexity of the program. It reaches 1 at 16 paths."""

    name = "complexity"
    most = 15
    """Number of branch points that gives 1. Absolute Zero's code divides its own measure by 15."""

    def value(self, proposed: Proposed) -> float:
        return min(1.0, (cyclomatic_complexity(proposed.task.program) - 1) / self.most)


class EditDistance:
    """Mean distance to the references: difflib compares the syntax trees."""

    name = "edit_distance"

    def value(self, proposed: Proposed) -> float:
        return edit_distance(proposed.task.program, [task.program for task in proposed.references])


class AnswerDiversity:
    """How rare the outputs are among the outputs of the peers: mean surprise of types and values.

    Surprise is 1 - share, as in Absolute Zero's code ("hierarchical").
    """

    name = "answer_diversity"

    def value(self, proposed: Proposed) -> float:
        outputs, peers = proposed.task.outputs, [peer.outputs for peer in proposed.peers]
        types, peer_types = _types(outputs), [_types(other) for other in peers]
        return (_surprise(outputs, peers) + _surprise(types, peer_types)) / 2


def _surprise(item: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> float:
    return 1.0 - others.count(item) / len(others) if others else 1.0


@lru_cache(maxsize=65536)
def _types(outputs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(type(parse_literal(output)).__name__ for output in outputs)


BONUSES: dict[str, Bonus] = {
    bonus.name: bonus for bonus in (Novelty(), Complexity(), EditDistance(), AnswerDiversity())
}


def choose_bonuses(
    configs: Mapping[str, BonusConfig], known: Mapping[str, Bonus]
) -> list[tuple[Bonus, BonusConfig]]:
    """The reward terms that a run uses. Raises ConfigError for a name that is not in `known`."""
    unknown = next((name for name in configs if name not in known), None)
    if unknown is not None:
        raise ConfigError(
            f"rewards.bonuses has {unknown!r}, which is none of {', '.join(known)}{nearest(unknown, known)}"
        )
    return [(known[name], config) for name, config in configs.items() if config.coefficient > 0]


def bonus_terms(proposed: Proposed, chosen: Sequence[tuple[Bonus, BonusConfig]]) -> dict[str, float]:
    """Term -> min(coefficient x value, cap).

    Raises:
        NotFinite: a value is no number in [0, 1].
    """
    return {
        bonus.name: min(config.coefficient * _checked(bonus, proposed), config.cap)
        for bonus, config in chosen
    }


def _checked(bonus: Bonus, proposed: Proposed) -> float:
    value = bonus.value(proposed)
    if isinstance(value, Real) and -_ROUNDING <= value <= 1 + _ROUNDING:
        return value
    raise NotFinite(
        f"the bonus {bonus.name!r} gives {repr(value)[:80]} for the task {proposed.task.id}; its value "
        f"has to be a number from 0 to 1: mend it, or set rewards.bonuses.{bonus.name}.coefficient to 0"
    )
