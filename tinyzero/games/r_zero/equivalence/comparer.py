"""Compares answers, by form where that decides, else by a confined worker; groups equal ones, and votes."""

import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tinyzero.games.r_zero.equivalence.forms import is_prose, is_too_large, normal_form, number, split_unit
from tinyzero.games.r_zero.equivalence.judge import GRADER, Judge, JudgeSettings, Pair
from tinyzero.types import Comparer

MAX_ANSWER_CHARS = 400
"""Longer answers are compared by their normal forms only."""
MAX_REMEMBERED = 65_536
"""Pairs whose verdict is kept."""
_MIN_DECIMALS = 6
"""From here on a decimal is taken for a rounded number, as math-verify does."""
PAIRS_AT_ONCE = 4
"""For each worker; then answers that were too much for it are looked for."""
MAX_UNDECIDED = 12
"""Pairs of one call that may take their whole time; the rest of its pairs are not judged then."""
PLAIN = "1"
"""Whatever cannot be compared with this in time cannot be compared with anything."""


K = TypeVar("K")


class AnswerComparer:
    r"""Tells which pairs of answers are the same.

        with AnswerComparer() as comparer:
            assert comparer.same([("x+1", "1+x"), ("0.5", r"\frac12"), ("x", "y")]) == [True, True, False]

    Most pairs are decided by their normal forms. The others go to math-verify, in processes that are started
    when the first such pair comes, confined as programs are (docs/security.md), and killed when a pair takes
    too long: answers are hostile text, sympy evaluates strings, and math-verify is known to hang. Safe to use
    from several threads, of which the first to compare has to outlive the comparer.

    Args:
        workers: pairs judged at once, each by a process of its own.
        timeout_s: for a pair, CPU seconds of its process, so that a busy machine changes no verdict. One that
            hardly computes is killed after as much wall time, any other after four times as much.
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
        self._remembered: OrderedDict[Pair, bool] = OrderedDict()
        self._heavy: OrderedDict[str, bool] = OrderedDict()  # answers that were part of an undecided pair
        self.num_judged = 0
        """Pairs that went to the worker, so far."""
        self.num_undecided = 0
        """Those of them without a verdict: they took too long, or broke math-verify."""

    @property
    def pids(self) -> list[int]:
        """Of the worker; empty while there is none."""
        return self._judge.pids

    def same(self, pairs: Sequence[Pair]) -> list[bool]:
        """One entry per pair. A pair that takes too long, or breaks math-verify, is not the same.

        Raises:
            ComparerBroken: the worker cannot do its work; that is never taken for "not the same".
        """
        with self._lock:
            forms: dict[str, str] = {}
            for answer in (answer for pair in pairs for answer in pair):
                if answer not in forms:
                    forms[answer] = normal_form(answer)
            asked = [(forms[first], forms[second]) for first, second in pairs]
            verdicts = {pair: same_by_form(*pair) for pair in asked}
            hard = sorted({_unordered(pair) for pair, verdict in verdicts.items() if verdict is None})
            judged = self._judged(hard)
            return [judged[_unordered(pair)] if (v := verdicts[pair]) is None else v for pair in asked]

    def close(self) -> None:
        """End all processes. Running twice is harmless."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _judged(self, pairs: Sequence[Pair]) -> dict[Pair, bool]:
        known = {pair: self._remembered[pair] for pair in pairs if pair in self._remembered}
        known |= self._newly_judged([pair for pair in pairs if pair not in known])
        for pair in known:
            self._remember(self._remembered, pair, known[pair])
        return {pair: known.get(pair, False) for pair in pairs}

    def _newly_judged(self, pairs: Sequence[Pair]) -> dict[Pair, bool]:
        """Verdicts in chunks, so that a few hostile answers cannot spend the time of all their pairs.

        Pairs that are left out because this call has spent its time are not in the result.
        """
        judged: dict[Pair, bool] = {}
        num_left, size = MAX_UNDECIDED, PAIRS_AT_ONCE * self._judge.settings.workers
        for start in range(0, len(pairs), size):
            chunk = [pair for pair in pairs[start : start + size] if not self._is_heavy(pair)]
            judged |= dict.fromkeys(pairs[start : start + size], False)
            verdicts = dict(zip(chunk, self._verdicts(chunk), strict=True))
            judged |= {pair: verdict is True for pair, verdict in verdicts.items()}
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
        """Remember which of two answers it was: that which cannot be compared with 1 either."""
        unknown = [answer for answer in answers if answer not in self._heavy]
        verdicts = self._judge.verdicts([_unordered((answer, PLAIN)) for answer in unknown])
        for answer, verdict in zip(unknown, verdicts, strict=True):
            self._remember(self._heavy, answer, verdict is None)

    @staticmethod
    def _remember(memory: OrderedDict[K, bool], key: K, value: bool) -> None:  # noqa: FBT001
        memory[key] = value
        memory.move_to_end(key)
        while len(memory) > MAX_REMEMBERED:
            memory.popitem(last=False)


def same_by_form(first: str, second: str) -> bool | None:
    """What two normal forms say about their answers; None where it takes algebra.

    Numbers are the same if they are equal, or if one is a decimal of six places or more and the other rounds
    to it. A unit on one side only is a unit left out on the other; two units have to be the same.
    """
    if first == second:
        return True
    if not first or not second or max(len(first), len(second)) > MAX_ANSWER_CHARS:
        return False
    (value, unit), (other_value, other_unit) = split_unit(first), split_unit(second)
    if unit and other_unit and unit != other_unit:
        return False
    a, b = number(value), number(other_value)
    if a is not None and b is not None:
        return a == b or _rounds_to(a, b) or _rounds_to(b, a)
    if any(is_prose(side) or is_too_large(side) for side in (value, other_value)):
        return False
    return None


def _rounds_to(exact: Fraction, decimal: Fraction) -> bool:
    """Whether `decimal` has so many places that it was rounded, and `exact` is what it may have been."""
    places = _decimal_places(decimal)
    return places >= _MIN_DECIMALS and abs(exact - decimal) * 10**places * 2 <= 1


def _decimal_places(value: Fraction) -> int:
    """Digits behind the point, 0 where they never end."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else 0


def _unordered(pair: Pair) -> Pair:
    return (min(pair), max(pair))


_NO_ANSWER = -1


def cluster(answers: Sequence[Sequence[str]], comparer: Comparer) -> list[list[int]]:
    """For each question one label per answer: the clusters are numbered from 0 by first appearance.

    An answer joins the first cluster whose first member it equals, as in R-Zero's code. One call of the
    comparer for the first answers of all questions, one for the second answers, and so on, so that many
    pairs can be compared at once.

    Args:
        answers: for each question; what has an empty normal form is no answer and gets -1.
    """
    labels: list[list[int]] = [[] for _ in answers]
    founders: list[list[str]] = [[] for _ in answers]
    for wave in zip_longest(*answers):
        asked = [
            [] if answer is None else [(founder, answer) for founder in known]
            for answer, known in zip(wave, founders, strict=True)
        ]
        verdicts = iter(comparer.same([pair for pairs in asked for pair in pairs if normal_form(pair[1])]))
        for answer, known, pairs, given in zip(wave, founders, asked, labels, strict=True):
            if answer is None:
                continue
            if not normal_form(answer):
                given.append(_NO_ANSWER)
                continue
            equal = [next(verdicts) for _ in pairs]
            given.append(equal.index(True) if True in equal else len(known))
            if given[-1] == len(known):
                known.append(answer)
    return labels


def majority(labels: Sequence[int]) -> tuple[int, float] | None:
    """The label of the largest cluster, the first to appear among equals, and its share of all answers.

    Answers that could not be read have no vote and count in the denominator: unlike in R-Zero's code, no
    question looks agreed upon because most of its answers were lost. None where no answer could be read.
    """
    votes = Counter(label for label in labels if label != _NO_ANSWER)
    if not votes:
        return None
    [(label, count)] = votes.most_common(1)  # the first to appear among equals, as Counter promises
    return label, count / len(labels)
