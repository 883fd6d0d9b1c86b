"""What R-Zero pays: a challenger for uncertain and new questions, a solver for agreeing with the label."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinyzero.config import RewardsConfig
from tinyzero.games.attempts import Attempted, score_attempts
from tinyzero.games.metrics import length_metrics, mean_reward
from tinyzero.games.r_zero.question_set import QuestionSet
from tinyzero.games.r_zero.repetition import repetition_penalties
from tinyzero.games.r_zero.survey import Survey, challenger_reward
from tinyzero.types import (
    Answer,
    AttemptRollout,
    ProposalRollout,
    Rejection,
    RewardBreakdown,
    Role,
    Stage,
    Task,
)

ROUNDING = 1e-9
"""So that 8 of 10 and 2 of 10 are equally far from one half."""


def repetition(outcomes: Sequence[Task | Rejection]) -> list[float]:
    """Share of the batch that is like each question; 0 for what is none."""
    return repetition_penalties(
        [_words(outcome) if isinstance(outcome, Task) else "" for outcome in outcomes]
    )


def _words(question: Task) -> str:
    return question.message or " ".join((question.program, *question.inputs))


def score_questions(
    answers: Sequence[Answer],
    outcomes: Sequence[Task | Rejection],
    surveys: Sequence[Survey],
    penalties: Sequence[float],
    *,
    weight: float,
    min_readable: float = 0.0,
) -> list[ProposalRollout]:
    """One rollout per proposal; unreadable ones earn 0.

    Args:
        surveys: of each different question among the outcomes.
        penalties: as `repetition` gives them. weight: of these.
        min_readable: share of readable answers below which a question earns 0.
    """
    shares = {
        survey.task.id: survey.share if survey.readable_share >= min_readable - ROUNDING else None
        for survey in surveys
    }
    return [
        ProposalRollout(
            answer=answer,
            reward=challenger_reward(None, 0.0)
            if isinstance(outcome, Rejection)
            else challenger_reward(shares[outcome.id], penalty, repetition_weight=weight),
            outcome=outcome,
        )
        for answer, outcome, penalty in zip(answers, outcomes, penalties, strict=True)
    ]


def score_answers(
    attempted: Sequence[Attempted],
    surveys: Sequence[Survey],
    config: RewardsConfig,
    *,
    confidence_weight: float,
) -> list[AttemptRollout]:
    """One rollout per attempt; with a `confidence_weight`, a little more for what was sure.

    Only where some attempts are right and some are not: the differences in confidence alone, divided by their
    standard deviation, would weigh as much as a verdict.

    Args:
        surveys: of the same answers, in the same order.
    """
    rollouts = score_attempts(attempted, config)
    if not confidence_weight:
        return rollouts
    extra = [confidence * confidence_weight for survey in surveys for confidence in survey.confidences]
    mixed = {item.task.id for item in attempted if 0 < item.num_correct < len(item.verdicts)}
    return [
        _with_term(rollout, "confidence", value if rollout.task_id in mixed else 0.0)
        for rollout, value in zip(rollouts, extra, strict=True)
    ]


def weighted(
    advantages: Sequence[float], rollouts: Sequence[AttemptRollout], shares: Mapping[str, float]
) -> list[float]:
    """Advantages, aligned with the rollouts, times the share of the label of each question; 1 if unknown."""
    return [
        advantage * shares.get(rollout.task_id, 1.0)
        for advantage, rollout in zip(advantages, rollouts, strict=True)
    ]


def _with_term(rollout: AttemptRollout, name: str, value: float) -> AttemptRollout:
    return replace(rollout, reward=RewardBreakdown(terms={**rollout.reward.terms, name: value}))


def challenge_metrics(
    proposed: Sequence[ProposalRollout], outcomes: Sequence[Task | Rejection], penalties: Sequence[float]
) -> dict[str, float]:
    """How many questions were written, how many are usable, and how similar they are.

    Args:
        penalties: for each proposal, the share of its cluster in all proposals; 0 if it is no question.
    """
    questions = [outcome for outcome in outcomes if isinstance(outcome, Task)]
    parsed = [
        outcome for outcome in outcomes if isinstance(outcome, Task) or outcome.stage is not Stage.PARSED
    ]
    return {
        "proposer/question/proposed": float(len(outcomes)),
        "proposer/question/parsed": float(len(parsed)),
        "proposer/question/allowed": float(len(questions)),
        "proposer/question/reward": mean_reward(proposed),
        "proposer/reward": mean_reward(proposed),
        "proposer/valid_share": len(questions) / len(outcomes),
        **_variety(questions, [penalty * len(outcomes) for penalty in penalties if penalty]),
        **length_metrics(Role.PROPOSER, proposed),
    }


def _variety(questions: Sequence[Task], cluster_sizes: Sequence[float]) -> dict[str, float]:
    """Share of exact duplicates, and number of clusters of similar questions per question."""
    if not questions:
        return {}
    return {
        "proposer/duplicate_share": 1 - len({task.id for task in questions}) / len(questions),
        "proposer/distinct_shapes": sum(1 / size for size in cluster_sizes) / len(questions),
    }


def set_metrics(questions: QuestionSet) -> dict[str, float]:
    """Counts for the questions of the turn: written, kept, imported, and the share kept of those written."""
    imported = {"questions/imported": float(len(questions.imported))} if questions.imported else {}
    return {
        **imported,
        "questions/written": float(questions.num_written),
        "questions/kept": float(len(questions.kept)),
        "questions/kept_share": questions.num_kept_written / max(1, questions.num_written),
        **questions.tally.metrics(questions.kept),
    }
