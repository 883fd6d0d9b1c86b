"""The kinds of task. To add one: write a module with a `Kind`, then list it here."""

from tinyzero.tasks.abduction import Abduction
from tinyzero.tasks.base import Kind, Style, TaskSource
from tinyzero.tasks.deduction import Deduction
from tinyzero.tasks.error_prediction import ErrorPrediction
from tinyzero.tasks.induction import Induction
from tinyzero.tasks.question import Question

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Deduction(), Abduction(), Induction(), ErrorPrediction())
}
"""Those that a program verifies: what Absolute Zero plays."""

QUESTION = Question()
"""What R-Zero plays."""

ALL_KINDS: dict[str, Kind] = {**KINDS, QUESTION.name: QUESTION}
"""Those that can be measured on held-out tasks."""

__all__ = ["ALL_KINDS", "KINDS", "QUESTION", "Kind", "Style", "TaskSource"]
