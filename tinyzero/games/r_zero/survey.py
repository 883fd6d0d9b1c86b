"""Compares many answers to a question: the majority, its share, and its confidence."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tinyzero.games.attempts import uncertainty
from tinyzero.games.r_zero.equivalence.comparer import cluster, majority
from tinyzero.games.r_zero.equivalence.forms import normal_form
from tinyzero.games.r_zero.equivalence.units import split_unit
from tinyzero.games.r_zero.program_question import Values, cluster_values, read_value
from tinyzero.games.r_zero.question import read_answer
from tinyzero.tasks.deduction import NO_LITERAL
from tinyzero.types import Answer, Comparer, RewardBreakdown, Role, Task, Verdict, VerdictStatus


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A question and its answers.

    Attributes:
        texts: the answer read from each completion; empty if unreadable.
        clusters: a number per answer, equal for answers that mean the same; -1 if unreadable.
        label: the majority's answer, in the wording of its first member with a unit, or else of its first;
            empty if no answer is readable.
        share: share of the majority in all answers.
    """

    task: Task
    answers: Sequence[Answer]
    texts: Sequence[str]
    clusters: Sequence[int]
    label: str
    share: float

    @property
    def verdicts(self) -> list[Verdict]:
        """Answers of the majority count as right, since the right answer is not known."""
        largest, _ = majority(self.clusters) or (None, 0.0)
        pairs = zip(self.texts, self.clusters, strict=True)
        return [judge(self.task, text, is_right=number == largest) for text, number in pairs]

    @property
    def margin(self) -> float:
        """How far the majority's share is above that of the second answer; 0 for a tie or without answers."""
        votes = Counter(number for number in self.clusters if number >= 0)
        first, second = ([count for _, count in votes.most_common(2)] + [0, 0])[:2]
        return (first - second) / len(self.clusters) if self.clusters else 0.0

    @property
    def readable_share(self) -> float:
        return 1 - self.clusters.count(-1) / len(self.clusters) if self.clusters else 0.0

    @property
    def consistency(self) -> float:
        """1 if all answers are the same, 0 if all differ; an unreadable answer differs from every other."""
        sizes = Counter(number for number in self.clusters if number >= 0)
        return consistency([*sizes.values(), *[1] * self.clusters.count(-1)])

    @property
    def confidence(self) -> float:
        """Mean confidence of the answers that agree with the majority; 0 if there are none."""
        pairs = zip(self.confidences, self.verdicts, strict=True)
        agreeing = [confidence for confidence, verdict in pairs if verdict.is_correct]
        return fmean(agreeing) if agreeing else 0.0

    @property
    def confidences(self) -> list[float]:
        """exp(mean logprob) of each answer; 0 if it is unreadable."""
        return [
            confidence(answer.completion.sampler_logprobs) if text else 0.0
            for answer, text in zip(self.answers, self.texts, strict=True)
        ]


def survey(tasks: Sequence[Task], answers: Sequence[Sequence[Answer]], comparer: Comparer) -> list[Survey]:
    """Compare the answers to each question: as values where programs are asked about, else by `comparer`."""
    texts = _read(tasks, answers)
    is_about_programs = any(task.program for task in tasks)
    clusters = cluster_values(texts) if is_about_programs else cluster(texts, comparer)
    return [_survey(*column) for column in zip(tasks, answers, texts, clusters, strict=True)]


def _read(tasks: Sequence[Task], answers: Sequence[Sequence[Answer]]) -> list[list[str]]:
    """The answer in each completion; empty if unreadable."""
    return [
        [read_value(task, answer.text) if task.program else read_answer(answer.text) for answer in group]
        for task, group in zip(tasks, answers, strict=True)
    ]


def _survey(task: Task, answers: Sequence[Answer], texts: Sequence[str], clusters: Sequence[int]) -> Survey:
    largest, share = majority(clusters) or (-1, 0.0)
    members = [text for text, number in zip(texts, clusters, strict=True) if number == largest >= 0]
    with_unit = (text for text in members if not task.program and split_unit(normal_form(text))[1])
    label = next(with_unit, (members or [""])[0])
    return Survey(task=task, answers=answers, texts=texts, clusters=clusters, label=label, share=share)


def against_labels(
    tasks: Sequence[Task], answers: Sequence[Sequence[Answer]], comparer: Comparer
) -> list[list[Verdict]]:
    """Verdicts on answers to labelled questions; the label is the only output of each task."""
    texts = _read(tasks, answers)
    pairs = [
        (text, task.outputs[0]) for task, group in zip(tasks, texts, strict=True) for text in group if text
    ]
    same = iter((Values() if any(task.program for task in tasks) else comparer).same(pairs))
    return [
        [judge(task, text, is_right=bool(text) and next(same)) for text in group]
        for task, group in zip(tasks, texts, strict=True)
    ]


def judge(task: Task, text: str, *, is_right: bool) -> Verdict:
    if not text:
        detail = NO_LITERAL if task.program else "no \\boxed answer"
        return Verdict(status=VerdictStatus.MALFORMED, detail=detail)
    return Verdict(status=VerdictStatus.CORRECT if is_right else VerdictStatus.WRONG, answer=text)


def survey_metrics(role: Role, surveys: Iterable[Survey]) -> dict[str, float]:
    """How confident and how consistent the solver is: means over the questions with a label.

    Args:
        role: whose step it is. The figures differ in meaning: a challenger's questions were
            just written, a solver's were chosen by difficulty.
    """
    labelled = [survey for survey in surveys if survey.label]
    if not labelled:
        return {}
    return {
        f"{role}/question/majority_share": fmean(survey.share for survey in labelled),
        f"{role}/question/consistency": fmean(survey.consistency for survey in labelled),
        f"{role}/question/confidence": fmean(survey.confidence for survey in labelled),
    }
