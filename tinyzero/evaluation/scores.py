"""What judged answers to a held-out task come to. Pure arithmetic."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from tinyzero.evaluation.comparison import Rates
from tinyzero.tasks.answers import reasoning
from tinyzero.types import Task, Verdict

GREEDY, SAMPLED = "greedy", "sampled"
THINKING, TOKENS = "thinking_share", "answer_tokens"
MAJORITY = "majority"
PASS_ATTEMPTS = 8
"""The k of pass@k, where a task has as many answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answers to one task, aligned: their whole texts, sampled tokens, verdicts."""

    task: Task
    texts: Sequence[str]
    tokens: Sequence[int]
    verdicts: Sequence[Verdict]

    @property
    def num_correct(self) -> int:
        return sum(verdict.is_correct for verdict in self.verdicts)

    @property
    def solve_rate(self) -> float:
        return self.num_correct / len(self.verdicts)

    @property
    def thinking_share(self) -> float:
        return fmean(bool(reasoning(text)) for text in self.texts)


def solve_rates(answered: Sequence[Answered]) -> Rates:
    return {one.task.id: one.solve_rate for one in answered}


def sampled_scores(answered: Sequence[Answered]) -> dict[str, Rates]:
    """Measure -> task id -> value: solve rate, share of the answers that reason, their mean length."""
    return {
        SAMPLED: solve_rates(answered),
        THINKING: {one.task.id: one.thinking_share for one in answered},
        TOKENS: {one.task.id: fmean(one.tokens) for one in answered},
    }


def group_scores(answered: Sequence[Answered]) -> dict[str, Rates]:
    """What several answers to a task come to together: whether any is right, whether the majority is."""
    k = min(PASS_ATTEMPTS, *(len(one.verdicts) for one in answered))
    passes = {one.task.id: pass_at(k, one.num_correct, len(one.verdicts)) for one in answered}
    return {f"pass@{k}": passes, MAJORITY: {one.task.id: majority(one.verdicts) for one in answered}}


def pass_at(k: int, num_correct: int, attempts: int) -> float:
    """Probability that k of the attempts, drawn without replacement, hold a right one.

    Source: the unbiased estimator of Chen et al. (arXiv:2107.03374), eq. 1.
    """
    return 1.0 - comb(attempts - num_correct, k) / comb(attempts, k)


def majority(verdicts: Sequence[Verdict]) -> float:
    """Probability that the most frequent answer is right, ties being broken at random.

    Answers are compared as text, and all that cannot be read are one answer.
    """
    votes: Mapping[str, list[bool]] = defaultdict(list)
    for verdict in verdicts:
        votes[verdict.answer].append(verdict.is_correct)
    most = max(map(len, votes.values()))
    return fmean(group[0] for group in votes.values() if len(group) == most)
