"""Compares answers by normal form, else in a confined worker; groups equal answers; finds the majority."""

import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import chain, zip_longest
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tinyzero.games.r_zero.equivalence.forms import is_prose, is_too_large, normal_form, number
from tinyzero.games.r_zero.equivalence.judge import GRADER, Judge, JudgeSettings, Pair
from tinyzero.games.r_zero.equivalence.units import split_unit
from tinyzero.types import Comparer

MAX_ANSWER_CHARS = 400
"""Longer answers are compared by their normal forms only."""
MAX_REMEMBERED = 65_536
"""Number of pairs whose verdict is cached."""
_MIN_DECIMALS = 6
"""A decimal with at least this many places may be a rounded number, as in math-verify."""
_PAIRS_AT_ONCE = 4
"""Pairs per worker in one chunk. After each chunk, answers that are too slow to compare are identified."""
MAX_UNDECIDED = 12
"""Pairs of one call that may use up their time limit. After that, the remaining pairs are not judged."""
PLAIN = "1"
"""An answer that cannot be compared with this in time cannot be compared with any other."""


K = TypeVar("K")
V = TypeVar("V")


class AnswerComparer:
    r"""Tells which pairs of answers are the same.

        with AnswerComparer() as comparer:
            assert comparer.same([("x+1", "1+x"), ("0.5", r"\frac12"), ("x", "y")]) == [True, True, False]

    Normal forms decide most pairs. The others go to math-verify, in processes that are started
    when the first such pair comes, confined like programs (docs/security.md), and killed when a pair takes
    too long: answers are hostile text, sympy evaluates strings, and math-verify is known to hang. Safe to use
    from several threads; the first thread that compares must outlive the comparer.

    Args:
        workers: number of pairs judged at once, each in its own process.
        timeout_s: CPU seconds per pair, so that a busy machine changes no verdict. A process that hardly
            computes is killed after this much wall time, any other process after four times as much.
        memory_mib: address space of a process, MiB.
        allow_weak_sandbox: compare even where the system offers no seccomp.
        grader: file of a module with `warm_up()` and `same(first, second)`, to judge instead of math-verify.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        timeout_s: float = 2.0,
        memory_mib: int = 1024,
        allow_weak_sandbox: bool = False,
        grader: Path = GRADER,
    ) -> None:
        self._judge = Judge(
            JudgeSettings(
                workers=workers,
                timeout_s=timeout_s,
                memory_mib=memory_mib,
                allow_weak_sandbox=allow_weak_sandbox,
                grader=grader,
            )
        )
        self._finalizer = weakref.finalize(self, self._judge.close)
        self._lock = threading.Lock()
        self._remembered: OrderedDict[Pair, bool | None] = OrderedDict()
        self._heavy: OrderedDict[str, bool] = OrderedDict()  # answers of undecided pairs: too slow?
        self.num_judged = 0
        """Number of pairs sent to the worker so far."""
        self.num_undecided = 0
        """Number of those pairs without a verdict: they took too long, or math-verify failed."""
        self.num_skipped = 0
        """Number of pairs never sent: one of the answers is too slow, or the call had used up its time."""

    @property
    def pids(self) -> list[int]:
        """Process ids of the worker; empty while no worker runs."""
        return self._judge.pids

    def same(self, pairs: Sequence[Pair]) -> list[bool]:
        """One entry per pair. A pair counts as different if it takes too long or math-verify fails on it.

        Raises:
            ComparerBroken: the worker cannot work. This never counts as "not the same".
        """
        return [verdict is True for verdict in self.verdicts(pairs)]

    def verdicts(self, pairs: Sequence[Pair]) -> list[bool | None]:
        """Like `same`, but None for a pair that took too long, or on which math-verify failed."""
        with self._lock:
            forms = {answer: normal_form(answer) for answer in dict.fromkeys(chain.from_iterable(pairs))}
            form_pairs = [(forms[first], forms[second]) for first, second in pairs]
            by_form = {pair: same_by_form(*pair) for pair in form_pairs}
            hard = {pair: _values(pair) for pair, verdict in by_form.items() if verdict is None}
            judged = self._judged(sorted(set(hard.values())))
            return [judged[hard[pair]] if (v := by_form[pair]) is None else v for pair in form_pairs]

    def close(self) -> None:
        """End all processes. A second call is harmless."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _judged(self, pairs: Sequence[Pair]) -> dict[Pair, bool | None]:
        known = {pair: self._remembered[pair] for pair in pairs if pair in self._remembered}
        unknown = [pair for pair in pairs if pair not in known]
        self.num_skipped += len(unknown) + self.num_judged
        known |= self._newly_judged(unknown)
        self.num_skipped -= self.num_judged
        for pair in known:
            self._remember(self._remembered, pair, known[pair])
        return {pair: known.get(pair) for pair in pairs}

    def _newly_judged(self, pairs: Sequence[Pair]) -> dict[Pair, bool | None]:
        """Judge in chunks, so that a few hostile answers cannot use up the time of every pair they are in.

        Pairs that are skipped because this call has used up its time are not in the result.
        """
        judged: dict[Pair, bool | None] = {}
        num_left, size = MAX_UNDECIDED, _PAIRS_AT_ONCE * self._judge.settings.workers
        for start in range(0, len(pairs), size):
            chunk = [pair for pair in pairs[start : start + size] if not self._is_heavy(pair)]
            judged |= dict.fromkeys(pairs[start : start + size])
            verdicts = dict(zip(chunk, self._verdicts(chunk), strict=True))
            judged |= verdicts
            undecided = [pair for pair, verdict in verdicts.items() if verdict is None]
            num_left -= len(undecided)
            if num_left <= 0:
                break
            self._find_heavy(sorted({answer for pair in undecided for answer in pair}))
        return judged

    def _verdicts(self, pairs: Sequence[Pair]) -> list[bool | None]:
        verdicts = self._judge.verdicts(pairs)
        self.num_judged += len(pairs)
        self.num_undecided += verdicts.count(None)
        return verdicts

    def _is_heavy(self, pair: Pair) -> bool:
        return any(self._heavy.get(answer, False) for answer in pair)

    def _find_heavy(self, answers: Sequence[str]) -> None:
        """Find out which answer of an undecided pair is too slow: it cannot be compared with 1 either."""
        unknown = [answer for answer in answers if answer not in self._heavy]
        verdicts = self._judge.verdicts([_unordered((answer, PLAIN)) for answer in unknown])
        for answer, verdict in zip(unknown, verdicts, strict=True):
            self._remember(self._heavy, answer, verdict is None)

    @staticmethod
    def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
        memory[key] = value
        memory.move_to_end(key)
        while len(memory) > MAX_REMEMBERED:
            memory.popitem(last=False)


def same_by_form(first: str, second: str) -> bool | None:
    """Whether two answers are the same by their normal forms; None if that needs algebra.

    Numbers are the same if they are equal, or if one is a decimal of six places and six digits or more and
    the other rounds to it. If only one answer has a unit, the unit is ignored; two units must be equal. A
    percent sign is a unit like any other.
    """
    if first == second:
        return True
    if not first or not second or max(len(first), len(second)) > MAX_ANSWER_CHARS:
        return False
    (value, unit), (other_value, other_unit) = split_unit(first), split_unit(second)
    if unit and other_unit and unit != other_unit:
        return False
    if value == other_value:
        return True
    a, b = number(value), number(other_value)
    if a is not None and b is not None:
        return a == b or _rounds_to(a, b) or _rounds_to(b, a)
    if any(is_prose(side) or is_too_large(side) for side in (value, other_value)):
        return False
    return None


def _values(pair: Pair) -> Pair:
    """The values of two normal forms without their units, in a fixed order."""
    return _unordered((split_unit(pair[0])[0], split_unit(pair[1])[0]))


def _unordered(pair: Pair) -> Pair:
    return (min(pair), max(pair))


def _rounds_to(exact: Fraction, decimal: Fraction) -> bool:
    """Whether `decimal` has enough places to be a rounded number, and `exact` rounds to it.

    Tiny decimals need as many digits: 0.000001 is exact.
    """
    places = _decimal_places(decimal)
    digits = len(str(abs(int(decimal * 10**places))))
    return min(places, digits) >= _MIN_DECIMALS and abs(exact - decimal) * 10**places * 2 <= 1


def _decimal_places(value: Fraction) -> int:
    """Digits after the decimal point; 0 if they never end."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else 0


_NO_ANSWER = -1


def cluster(answers: Sequence[Sequence[str]], comparer: Comparer) -> list[list[int]]:
    """For each question, one cluster number per answer. Clusters are numbered from 0 by first appearance.

    Which answers share a cluster does not depend on their order: every two values of a question are compared,
    and values that are linked by equal pairs are one cluster. Answers with one value and different units are
    one cluster per unit, and those without a unit are another; with one unit only, they are all the same.

    Args:
        answers: the answers to each question. An answer with an empty normal form gets -1.
    """
    forms = [[normal_form(answer) for answer in group] for group in answers]
    values = [sorted({split_unit(form)[0] for form in group if form}) for group in forms]
    return [_numbered(group, linked) for group, linked in zip(forms, linked(values, comparer), strict=True)]


def linked(values: Sequence[Sequence[str]], comparer: Comparer) -> list[dict[str, str]]:
    """For each question, the first of the equal values of each value.

    The comparer is called once for the second values of all questions, once for the third, and so on, so that
    many pairs can be compared at once, and none of them can use up the time of all.
    """
    linked: list[dict[str, str]] = [{} for _ in values]
    for wave in zip_longest(*values):
        columns = zip(wave, linked, strict=True)
        pairs = [(known, value) for value, links in columns if value is not None for known in links]
        verdicts = iter(comparer.same(pairs) if pairs else ())
        for value, links in zip(wave, linked, strict=True):
            if value is not None:
                equal = {links[known] for known in links if next(verdicts)}
                links[value] = min([value, *equal])
                links |= {known: links[value] for known, first in links.items() if first in equal}
    return linked


def _numbered(forms: Sequence[str], linked: Mapping[str, str]) -> list[int]:
    """Cluster numbers of the answers to one question, from their normal forms."""
    parts = [split_unit(form) for form in forms]
    units: dict[str, set[str]] = {}
    for value, unit in parts:
        if unit:
            units.setdefault(linked[value], set()).add(unit)
    numbers: dict[tuple[str, str], int] = {}
    labels = []
    for value, unit in parts:
        first = linked.get(value, "")
        key = (first, unit if len(units.get(first, ())) > 1 else "")
        labels.append(numbers.setdefault(key, len(numbers)) if first else _NO_ANSWER)
    return labels


def majority(labels: Sequence[int]) -> tuple[int, float] | None:
    """The label of the largest cluster and its share of all answers; of equal clusters, the first wins.

    Unreadable answers have no vote but count in the denominator. So, unlike in R-Zero's code, a question
    with mostly unreadable answers does not look agreed upon. None if no answer could be read.
    """
    votes = Counter(label for label in labels if label != _NO_ANSWER)
    if not votes:
        return None
    [(label, count)] = votes.most_common(1)  # the first to appear among equals, as Counter promises
    return label, count / len(labels)
