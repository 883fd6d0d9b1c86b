"""How right labels are, where a program says what is right. Measures: no reward is computed from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from tinyzero.games.r_zero.program_question import is_true
from tinyzero.games.r_zero.survey import Survey
from tinyzero.types import AttemptRollout, Task

_ROUNDING = 1e-9


@dataclass(slots=True)
class LabelTally:
    """The labels of a question set, kept or not.

    Attributes:
        num_questions: readable questions. num_without_truth: those of them whose program gave no result.
        by_tenths: tenths of the majority's share, rounded down -> labels with a truth, and right ones.
    """

    num_questions: int = 0
    num_without_truth: int = 0
    by_tenths: dict[str, list[int]] = field(default_factory=dict)

    def add(self, surveys: Iterable[Survey]) -> None:
        """Count the questions about programs; others have no truth to compare with."""
        for survey in surveys:
            if not survey.task.program:
                continue
            self.num_questions += 1
            self.num_without_truth += survey.task.truth is None
            is_right = is_true(survey.task, survey.label) if survey.label else None
            if is_right is not None:
                counts = self.by_tenths.setdefault(str(int(10 * survey.share + _ROUNDING)), [0, 0])
                counts[0] += 1
                counts[1] += is_right

    def metrics(self, kept: Sequence[Task]) -> dict[str, float]:
        """Label accuracy of the kept questions, and of all that were written, by share.

        Args:
            kept: questions with their labels.
        """
        if not self.num_questions:
            return {}
        verdicts = [is_right for task in kept if (is_right := is_true(task, task.outputs[0])) is not None]
        return {
            "questions/no_truth_share": self.num_without_truth / self.num_questions,
            **({"questions/label_accuracy": fmean(verdicts)} if verdicts else {}),
            **{
                f"questions/label_accuracy/{tenths}_tenths": right / known
                for tenths, (known, right) in sorted(self.by_tenths.items())
            },
        }


def fresh_metrics(surveys: Sequence[Survey]) -> dict[str, float]:
    """Of a challenger's step: how often the majority is right, and how many questions have no truth."""
    tasks = [survey.task for survey in surveys if survey.task.program]
    if not tasks:
        return {}
    labelled = [survey for survey in surveys if survey.label and survey.task.truth is not None]
    accuracy = fmean(bool(is_true(survey.task, survey.label)) for survey in labelled) if labelled else None
    return {
        "proposer/question/no_truth_share": fmean(task.truth is None for task in tasks),
        **({} if accuracy is None else {"proposer/question/label_accuracy": accuracy}),
    }


def answer_metrics(surveys: Sequence[Survey], rollouts: Sequence[AttemptRollout]) -> dict[str, float]:
    """Of a solver's step: how many answers are true, and how much more is paid than that.

    Args:
        rollouts: of the surveys' answers, in the same order. An answer without a truth counts as not true.
    """
    if not any(survey.task.program for survey in surveys):
        return {}
    verdicts = [is_true(survey.task, text) for survey in surveys for text in survey.texts]
    known = [verdict for verdict in verdicts if verdict is not None]
    gaps = [rollout.reward.total - bool(verdict) for rollout, verdict in zip(rollouts, verdicts, strict=True)]
    return {
        **({"solver/question/true_accuracy": fmean(known)} if known else {}),
        "solver/question/reward_minus_truth": fmean(gaps),
    }
