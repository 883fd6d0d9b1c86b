"""Intervals of means of a few independent values. Pure arithmetic."""

from collections.abc import Sequence
from statistics import fmean, stdev

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Number of values -> two-sided 95 % quantile of Student's t with one degree of freedom less."""


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of two to ten independent values. Raises ValueError for other numbers."""
    if len(values) not in T_95:
        raise ValueError(f"{len(values)} seeds; an interval takes {min(T_95)} to {max(T_95)}")
    half = T_95[len(values)] * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half
