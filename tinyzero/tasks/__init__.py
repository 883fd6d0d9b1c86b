"""The kinds of task. To add one: write a module with a `Kind`, then list it here."""

from tinyzero.tasks.abduction import Abduction
from tinyzero.tasks.base import Kind
from tinyzero.tasks.deduction import Deduction
from tinyzero.tasks.error_prediction import ErrorPrediction
from tinyzero.tasks.induction import Induction

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Deduction(), Abduction(), Induction(), ErrorPrediction())
}
"""The kinds that a program verifies; Absolute Zero plays them."""
