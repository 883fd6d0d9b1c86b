"""Applies keys to the view. Pure. The command line handles the keys that control a trainer."""

from collections.abc import Sequence
from dataclasses import replace

from tinyzero.watch.view import LAYOUTS, View

COMMON_HELP = (
    "n, N      the next sample, the one before",
    "k         samples and tasks of one kind, of the next, of all",
    "l         layout: auto, compact, full",
    "h, ?      this page, and back",
)
LEGEND_HELP = (
    "held-out         tasks that the model never trains on, before and now: the figure that counts",
    "above noise      the 95 % interval of the difference, paired by task, is above 0",
    "own tasks        the proposer sets them, harder or easier: no direction is good by itself",
    "accuracy         share of attempts that were right; in R-Zero, that agree with the majority",
    "deduction        say the output of a program; abduction: an input; induction: the program",
    "mixed            share of tasks that were solved by some attempts and not by others: only these teach",
    "valid            share of proposals that became tasks",
    "proposer reward  1 - solve rate, 0 where all or none were right; below 0 for what is no task",
    "advantage        how much better an answer was paid than its kind was on average",
    "entropy          how undecided the model is about the next token; near 0 it always says the same",
    "+0.05            how far the mean of the last 10 steps is above that of the first 10",
)


def press(view: View, key: str, kinds: Sequence[str]) -> View | None:
    """The view after a key; None for a key without a meaning for the view."""
    if key in ("n", " ", "right", "down"):
        return replace(view, sample=view.sample + 1)
    if key in ("N", "left", "up"):
        return replace(view, sample=max(0, view.sample - 1))
    if key == "k":
        return replace(view, kind=_next_kind(view.kind, kinds), sample=0)
    if key == "l":
        return replace(view, layout=LAYOUTS[(LAYOUTS.index(view.layout) + 1) % len(LAYOUTS)])
    return None


def _next_kind(kind: str | None, kinds: Sequence[str]) -> str | None:
    """The next filter: all kinds, then each kind in turn, then all again."""
    turn = [None, *kinds]
    return turn[(turn.index(kind) + 1) % len(turn)] if kind in turn else None
