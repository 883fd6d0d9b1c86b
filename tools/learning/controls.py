"""Games that pay agreement in place of truth, attempt some tasks more often, or label otherwise."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.r_zero.survey import Survey
from tinyzero.types import Answer, AttemptRollout, RewardBreakdown, Rollout, Task, VerdictStatus


def majority(rollouts: Sequence[Rollout], _stream: str) -> list[RewardBreakdown]:
    """1 for an attempt that says what most attempts at its task say, else 0; proposers keep their rewards.

    What a policy can gain without any check of its answers: it agrees with itself more.
    """
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for rollout in rollouts:
        if isinstance(rollout, AttemptRollout) and (answer := _answer(rollout)) is not None:
            votes[rollout.task_id][answer] += 1
    winners = {task: count.most_common(1)[0][0] for task, count in votes.items()}
    return [_agreement(rollout, winners) for rollout in rollouts]


def _agreement(rollout: Rollout, winners: Mapping[str, str]) -> RewardBreakdown:
    if not isinstance(rollout, AttemptRollout):
        return rollout.reward
    answer = _answer(rollout)
    agrees = answer is not None and answer == winners[rollout.task_id]
    return RewardBreakdown(terms={"agreement": float(agrees)})


def _answer(attempt: AttemptRollout) -> str | None:
    """The answer that was read, None where none could be read."""
    verdict = attempt.verdict
    return None if verdict.status is VerdictStatus.MALFORMED else verdict.answer


class UnevenAttempts(AbsoluteZero):
    """Absolute Zero with another number of attempts at the tasks of some kinds."""

    def __init__(self, game: AbsoluteZero, attempts: Mapping[str, int]) -> None:
        super().__init__(game.config, sampler=game.sampler, executor=game.executor, kinds=game.kinds)
        self.pool, self.rounds_prepared = game.pool, game.rounds_prepared
        self._attempts = attempts

    def solve(self, tasks: Sequence[Task], attempts: int, stream: str) -> list[list[Answer]]:
        answers: dict[str, list[Answer]] = {}
        for count in sorted({self._attempts.get(task.kind, attempts) for task in tasks}):
            some = [task for task in tasks if self._attempts.get(task.kind, attempts) == count]
            groups = super().solve(some, count, stream if count == attempts else f"{stream}/{count}")
            answers |= {task.id: group for task, group in zip(some, groups, strict=True)}
        return [answers[task.id] for task in tasks]


def truth(survey: Survey) -> str:
    """What the program of a question returned: a label that no vote can get wrong."""
    return survey.task.truth or ""


def random_label(survey: Survey) -> str:
    """One of the different answers to a question, each alike: a label without any knowledge."""
    answers = sorted({*filter(None, survey.texts)})
    return Random(survey.task.id).choice(answers) if answers else ""


LABELS: Mapping[str, Callable[[Survey], str]] = {"truth": truth, "random": random_label}
