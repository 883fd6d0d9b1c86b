"""How repetitive a batch of questions is: clusters of questions by the words they share.

Source: R-Zero (arXiv:2508.05004). The penalty of a question is its cluster's share of the batch.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

_MAX_ORDER = 4
"""Length of the longest n-grams in BLEU."""
_SMOOTHING = 0.1
"""Number of matches that an order without a match counts as: smoothing method 1 of nltk."""

Words = tuple[str, ...]


def repetition_penalties(questions: Sequence[str], *, distance: float = 0.5) -> list[float]:
    """For each question, the size of its cluster divided by the number of questions; 0 for an empty one.

    Agglomerative clustering with average linkage over `bleu_distance`: the two nearest clusters are merged
    while the mean distance of their members is below `distance`. The order of the questions does
    not matter, not even for ties. Takes about a second for 512 questions of 60 words.

    Args:
        questions: empty or blank if a proposal could not be read; such entries count in the denominator only.
        distance: in (0, 1]; larger makes larger clusters.
    """
    words = [tuple(question.split()) for question in questions]
    counts = Counter(entry for entry in words if entry)
    distinct = sorted(counts)
    size_of = _cluster_sizes(count_ngrams(distinct), [counts[entry] for entry in distinct], distance)
    size_by_words = dict(zip(distinct, size_of, strict=True))
    return [size_by_words.get(entry, 0) / len(questions) for entry in words]


@dataclass(frozen=True, slots=True)
class _CountedWords:
    """The n-grams of a question, counted once and used for all comparisons.

    Attributes:
        num_words: at least 1.
        ngrams: for each order, a number for each n-gram together with how often it came before. So the size
            of an intersection is the clipped number of matches in BLEU.
        log_totals: sum over the orders of log(number of n-grams, at least 1).
    """

    num_words: int
    ngrams: tuple[frozenset[int], ...]
    log_totals: float


def count_ngrams(questions: Sequence[Words]) -> list[_CountedWords]:
    """One entry per question. The numbering is shared, so compare only entries of the same call."""
    numbers: dict[tuple[Words, int], int] = {}
    orders = range(1, _MAX_ORDER + 1)
    return [
        _CountedWords(
            num_words=len(words),
            ngrams=tuple(
                frozenset(numbers.setdefault(ngram, len(numbers)) for ngram in _occurrences(words, order))
                for order in orders
            ),
            log_totals=sum(math.log(max(1, len(words) - order + 1)) for order in orders),
        )
        for words in questions
    ]


def _occurrences(words: Words, order: int) -> Iterator[tuple[Words, int]]:
    seen: Counter[Words] = Counter()
    for start in range(len(words) - order + 1):
        ngram = words[start : start + order]
        yield ngram, seen[ngram]
        seen[ngram] += 1


def bleu_distance(first: _CountedWords, second: _CountedWords) -> float:
    """1 - BLEU, averaged over both directions, in [0, 1].

    BLEU of a hypothesis against one reference is `exp(min(0, 1 - reference words / hypothesis words)) *
    (p_1 p_2 p_3 p_4)^(1/4)`, with p_n the matches over the hypothesis's n-grams of order n; an order without
    a match counts as 0.1 matches, and BLEU is 0 where no word matches.

    Both directions have the same matches but different denominators. R-Zero's code uses one direction only:
    the hypothesis is the question that is earlier in the batch, so the reward depends on the order.
    """
    if first.ngrams[0].isdisjoint(second.ngrams[0]):
        return 1.0
    log_matches = sum(
        math.log(len(mine & theirs) or _SMOOTHING)
        for mine, theirs in zip(first.ngrams, second.ngrams, strict=True)
    )
    ratio = second.num_words / first.num_words
    forwards = math.exp((log_matches - first.log_totals) / _MAX_ORDER + min(0.0, 1 - ratio))
    backwards = math.exp((log_matches - second.log_totals) / _MAX_ORDER + min(0.0, 1 - 1 / ratio))
    return max(0.0, 1.0 - (forwards + backwards) / 2)


def _cluster_sizes(items: Sequence[_CountedWords], weights: Sequence[int], distance: float) -> list[int]:
    """For each item, the summed weights of its cluster.

    Args:
        items: distinct questions, in an order that does not depend on the batch.
        weights: how often each item is in the batch. Copies have distance 0 by definition, although BLEU
            is below 1 for a question of fewer than four words.
    """
    sums = _distances(items, weights)
    size, members = list(weights), [[index] for index in range(len(items))]

    def mean(a: int, b: int) -> float:
        return sums[a][b] / (size[a] * size[b])

    pairs = [(mean(a, b), a, b) for a in range(len(items)) for b in sums[a] if a < b]
    nearest = [pair for pair in pairs if pair[0] < distance]
    heapq.heapify(nearest)
    while nearest:
        when_pushed, a, b = heapq.heappop(nearest)
        if not members[a] or not members[b] or when_pushed != mean(a, b):
            continue  # one of the two was merged already
        size[a] += size[b]
        members[a] += members[b]
        members[b] = []
        del sums[a][b], sums[b][a]
        for c, summed in sums[b].items():
            sums[a][c] += summed
            sums[c][a] = sums[a][c]
            del sums[c][b]
            if mean(a, c) < distance:
                heapq.heappush(nearest, (mean(a, c), min(a, c), max(a, c)))
    sizes = [0] * len(items)
    for cluster, indices in enumerate(members):
        for index in indices:
            sizes[index] = size[cluster]
    return sizes


def _distances(items: Sequence[_CountedWords], weights: Sequence[int]) -> list[dict[int, float]]:
    """Symmetric: item -> other item -> distance times the number of pairs it represents."""
    sums: list[dict[int, float]] = [{} for _ in items]
    for a, b in combinations(range(len(items)), 2):
        sums[a][b] = sums[b][a] = bleu_distance(items[a], items[b]) * weights[a] * weights[b]
    return sums
