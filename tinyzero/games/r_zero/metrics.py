"""Metrics of a challenger's step and of the questions of a solver's turn. Their names are API."""

from collections.abc import Sequence

from tinyzero.games.metrics import length_metrics, mean_reward
from tinyzero.games.r_zero.question_set import QuestionSet
from tinyzero.types import ProposalRollout, Rejection, Role, Stage, Task


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
    """Counts for the questions of the turn: written, kept, and the share kept."""
    return {
        "questions/written": float(questions.num_written),
        "questions/kept": float(len(questions.kept)),
        "questions/kept_share": len(questions.kept) / questions.num_written,
    }
