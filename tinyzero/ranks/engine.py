"""Every rank computes the gradients of its share of a step; all ranks get their sum."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tinyzero.learning.batch import TrainingSample
from tinyzero.learning.engine import LossEngine, RolePart
from tinyzero.policy.policy import Policy
from tinyzero.ranks.shares import deal
from tinyzero.ranks.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What a rank's share came to.

    Attributes:
        has_gradient: of each parameter of the adapters.
    """

    loss: float
    measures: dict[str, float]
    num_tokens: int
    has_gradient: tuple[bool, ...]
    is_out_of_memory: bool


class RanksEngine:
    """An engine on each rank. Tokens are weighed before they are dealt, so the sum is the mean over all."""

    def __init__(self, engine: LossEngine, policy: Policy, world: World) -> None:
        self._engine, self._policy, self._world = engine, policy, world
        world.sum_on(policy.device)

    def accumulate(
        self,
        parts: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """See `LossEngine`.

        Raises:
            torch.OutOfMemoryError: on any rank; then on all of them.
        """
        own = share_of(parts, self._world.rank, self._world.size)
        reports = self._world.gather(self._report(own, starts, max_tokens, scale))
        short = [rank for rank, report in enumerate(reports) if report.is_out_of_memory]
        if short:
            raise torch.OutOfMemoryError(f"rank {short[0]} is out of memory")
        self._sum_gradients(reports)
        return sum(report.loss for report in reports), _together(reports)

    def _report(
        self,
        own: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> _Report:
        loss, is_out_of_memory = 0.0, False
        measures: dict[str, float] = {}
        try:
            if own:
                loss, measures = self._engine.accumulate(own, starts, max_tokens=max_tokens, scale=scale)
        except torch.OutOfMemoryError:
            is_out_of_memory = True
        return _Report(
            loss=loss,
            measures=measures,
            num_tokens=sum(len(sample.token_ids) for part in own for sample in part.samples),
            has_gradient=tuple(parameter.grad is not None for parameter in self._parameters()),
            is_out_of_memory=is_out_of_memory,
        )

    def _sum_gradients(self, reports: Sequence[_Report]) -> None:
        """A parameter that no rank has a gradient of keeps none."""
        has_any = [any(has) for has in zip(*(report.has_gradient for report in reports), strict=True)]
        gradients = []
        for parameter, is_needed in zip(self._parameters(), has_any, strict=True):
            if is_needed:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                gradients.append(parameter.grad)
        self._world.sum(gradients)

    def _parameters(self) -> list[torch.nn.Parameter]:
        adapters = self._policy.adapters
        return [parameter for adapter in adapters for parameter in self._policy.trainable_parameters(adapter)]


def share_of(parts: Sequence[RolePart], rank: int, size: int) -> list[RolePart]:
    """The samples of a rank; those of a prompt stay together where that leaves enough to deal."""
    samples = [(index, sample) for index, part in enumerate(parts) for sample in part.samples]
    most = math.ceil(sum(_num_tokens(sample) for _, sample in samples) / (2 * size))
    pieces: list[list[tuple[int, TrainingSample]]] = []
    for index, sample in samples:
        last = pieces[-1] if pieces else []
        is_sibling = bool(last) and (last[0][0], last[0][1].prompt_ids) == (index, sample.prompt_ids)
        if is_sibling and _weight(last) + len(sample.token_ids) <= most:
            last.append((index, sample))
        else:
            pieces.append([(index, sample)])
    dealt = deal([_weight(piece) for piece in pieces], size)[rank]
    own = [item for place in dealt for item in pieces[place]]
    shares = [
        replace(part, samples=tuple(sample for index, sample in own if index == place))
        for place, part in enumerate(parts)
    ]
    return [part for part in shares if part.samples]


def _weight(siblings: Sequence[tuple[int, TrainingSample]]) -> int:
    """Tokens of a row: the prompt is computed once."""
    return len(siblings[0][1].prompt_ids) + sum(len(sample.token_ids) for _, sample in siblings)


def _num_tokens(sample: TrainingSample) -> int:
    return len(sample.prompt_ids) + len(sample.token_ids)


def _together(reports: Sequence[_Report]) -> dict[str, float]:
    """Maxima are the largest, other measures means over the tokens of all ranks."""
    busy = [report for report in reports if report.num_tokens]
    total = sum(report.num_tokens for report in busy)
    return {
        name: max(report.measures[name] for report in busy)
        if name.endswith("_max")
        else sum(report.measures[name] * report.num_tokens for report in busy) / total
        for name in (busy[0].measures if busy else ())
    }
