"""Scores from judged answers to held-out tasks. Pure arithmetic."""

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
_MAJORITY = "majority"
_PASS_ATTEMPTS = 8
"""The k of pass@k, if a task has that many answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswers:
    """The answers to one task, aligned: full texts, numbers of sampled tokens, verdicts."""

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


def solve_rates(answered: Sequence[JudgedAnswers]) -> Rates:
    return {item.task.id: item.solve_rate for item in answered}


def sampled_scores(answered: Sequence[JudgedAnswers]) -> dict[str, Rates]:
    """Measure -> task id -> value: solve rate, share of the answers that reason, their mean length."""
    return {
        SAMPLED: solve_rates(answered),
        THINKING: {item.task.id: item.thinking_share for item in answered},
        TOKENS: {item.task.id: fmean(item.tokens) for item in answered},
    }


def group_scores(answered: Sequence[JudgedAnswers]) -> dict[str, Rates]:
    """Scores of all answers to a task together: whether any is right, and whether the majority is."""
    k = min(_PASS_ATTEMPTS, *(len(item.verdicts) for item in answered))
    passes = {item.task.id: pass_at(k, item.num_correct, len(item.verdicts)) for item in answered}
    return {f"pass@{k}": passes, _MAJORITY: {item.task.id: majority(item.verdicts) for item in answered}}


def pass_at(k: int, num_correct: int, attempts: int) -> float:
    """Probability that k attempts, drawn without replacement, include a right one.

    Source: the unbiased estimator of Chen et al. (arXiv:2107.03374), eq. 1.
    """
    return 1.0 - comb(attempts - num_correct, k) / comb(attempts, k)


def majority(verdicts: Sequence[Verdict]) -> float:
    """Probability that the most frequent answer is right, with ties broken at random.

    Answers are compared as text. All unreadable answers count as one answer.
    """
    votes: Mapping[str, list[bool]] = defaultdict(list)
    for verdict in verdicts:
        votes[verdict.answer].append(verdict.is_correct)
    most = max(map(len, votes.values()))
    return fmean(group[0] for group in votes.values() if len(group) == most)
