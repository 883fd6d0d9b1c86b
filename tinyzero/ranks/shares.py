"""Who does what: requests, programs and pairs of answers are dealt to the ranks, and what came is gathered.

Shares are a function of the work alone, so a resumed run deals like an uninterrupted one.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tinyzero.ranks.world import World
from tinyzero.types import Comparer, Completion, Execution, Job, Prompt, Runner, Sampler, SamplingRequest

T = TypeVar("T")
_Piece = tuple[int, int]
"""A prompt's place in a request, and the first of its samples that belong to the piece."""

_PIECES_PER_RANK = 4
"""At least, where there are enough samples: pieces are dealt as they are."""
_CHARS_PER_TOKEN = 4


def deal(weights: Sequence[float], size: int) -> list[list[int]]:
    """Places of all weights, in `size` shares of about one total: the next largest to the least loaded."""
    shares: list[list[int]] = [[] for _ in range(size)]
    loads = [(0.0, rank) for rank in range(size)]
    for place in sorted(range(len(weights)), key=lambda place: -weights[place]):
        load, rank = heapq.heappop(loads)
        shares[rank].append(place)
        heapq.heappush(loads, (load + weights[place], rank))
    return [sorted(share) for share in shares]


def _do_share(
    world: World, items: Sequence[T], weights: Sequence[float], do: Callable[[list[T]], Sequence[object]]
) -> list[object]:
    """Do this rank's share of the items and gather all results, in the items' order."""
    shares = deal(weights, world.size)
    own = [items[place] for place in shares[world.rank]]
    gathered = world.gather(list(do(own)) if own else [])
    results: list[object] = [None] * len(items)
    for share, done in zip(shares, gathered, strict=True):
        for place, result in zip(share, done, strict=True):
            results[place] = result
    return results


class RanksSampler:
    """Every rank samples its share of a request, with the random numbers that the samples have by name."""

    def __init__(self, sampler: Sampler, world: World) -> None:
        self._sampler, self._world = sampler, world

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        """See `Sampler`."""
        size, pieces = pieces_of(request, self._world.size)
        weights = [
            len(request.prompts[prompt].text) / _CHARS_PER_TOKEN + size * request.max_tokens
            for prompt, _ in pieces
        ]
        groups: list[list[Completion]] = [[] for _ in request.prompts]
        done = _do_share(self._world, pieces, weights, lambda own: self._sample(request, size, own))
        for (prompt, _), completions in zip(pieces, done, strict=True):
            groups[prompt] += completions  # type: ignore[arg-type]
        return groups

    def _sample(
        self, request: SamplingRequest, size: int, pieces: Sequence[_Piece]
    ) -> list[list[Completion]]:
        origins = []
        for prompt, first in pieces:
            number, earlier = request.origin(prompt)
            origins.append((number, earlier + first))
        prompts = tuple(request.prompts[prompt] for prompt, _ in pieces)
        return self._sampler.sample(
            replace(request, prompts=prompts, num_samples=size, origins=tuple(origins))
        )

    def fits(self, prompt: Prompt) -> bool:
        """See `Sampler`."""
        return self._sampler.fits(prompt)


def pieces_of(request: SamplingRequest, num_ranks: int) -> tuple[int, list[_Piece]]:
    """Samples of a piece, and the pieces: prompts, or equal parts of their samples where prompts are few."""
    enough = _PIECES_PER_RANK * num_ranks
    sizes = [size for size in range(request.num_samples, 0, -1) if request.num_samples % size == 0]
    size = next(
        (size for size in sizes if len(request.prompts) * request.num_samples // size >= enough), sizes[-1]
    )
    firsts = range(0, request.num_samples, size)
    return size, [(prompt, first) for prompt in range(len(request.prompts)) for first in firsts]


class RanksRunner:
    """Every rank's executor runs its share of the programs; all ranks get the one outcome of each."""

    def __init__(self, runner: Runner, world: World) -> None:
        self._runner, self._world = runner, world

    def run_jobs(self, jobs: Sequence[Job]) -> list[list[Execution]]:
        """See `Runner`."""
        weights = [len(job.inputs) * (3 if job.check_determinism else 1) for job in jobs]
        return _do_share(self._world, jobs, weights, self._runner.run_jobs)  # type: ignore[return-value]


class RanksComparer:
    """Every rank compares its share of the pairs.

    Attributes:
        num_undecided, num_skipped: of all ranks, where their comparers count; see `AnswerComparer`.
    """

    def __init__(self, comparer: Comparer, world: World) -> None:
        self._comparer, self._world = comparer, world
        self.num_undecided = self.num_skipped = 0

    def same(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Comparer`."""
        distinct = list(dict.fromkeys(pairs))
        verdicts = _do_share(self._world, distinct, [1.0] * len(distinct), self._comparer.same)
        names = ("num_undecided", "num_skipped")
        counts = self._world.gather([getattr(self._comparer, name, 0) for name in names])
        self.num_undecided, self.num_skipped = map(sum, zip(*counts, strict=True))
        known = dict(zip(distinct, verdicts, strict=True))
        return [bool(known[pair]) for pair in pairs]
