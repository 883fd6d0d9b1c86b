"""The memory of sampling: rows of keys and values, their progress, and the graphs that know its addresses."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tinyzero.policy.policy import Policy
from tinyzero.sampling.graphs import Graphs, Record
from tinyzero.sampling.rows import RowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far each of R rows has come. T tokens of budget.

    Attributes:
        inputs: [R], the token that the row reads next.
        counts, budgets: [R], tokens sampled so far, and at most.
        uniforms: [R, T] float64, random numbers of the row's sample.
        tokens, logprobs: [R, T], what was sampled.
    """

    inputs: Tensor
    counts: Tensor
    budgets: Tensor
    uniforms: Tensor
    tokens: Tensor
    logprobs: Tensor

    @classmethod
    def allocate(cls, num_rows: int, budget: int, device: torch.device) -> "Progress":
        def zeros(*shape: int, dtype: torch.dtype = torch.long) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            inputs=zeros(num_rows),
            counts=zeros(num_rows),
            budgets=zeros(num_rows),
            uniforms=zeros(num_rows, budget, dtype=torch.float64),
            tokens=zeros(num_rows, budget),
            logprobs=zeros(num_rows, budget, dtype=torch.float32),
        )

    def move(self, sources: list[int], targets: list[int]) -> None:
        for field in fields(self):
            tensor: Tensor = getattr(self, field.name)
            tensor[targets] = tensor[sources]

    def ids(self, row: int) -> list[int]:
        """Tokens of a row so far."""
        ids: list[int] = self.tokens[row, : int(self.counts[row])].tolist()
        return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Rows side by side, slots of each, and tokens that a row may sample."""

    rows: int
    slots: int
    budget: int

    def holds(self, other: "Size") -> bool:
        return self.rows >= other.rows and self.slots >= other.slots and self.budget >= other.budget

    def joined(self, other: "Size") -> "Size":
        return Size(
            rows=max(self.rows, other.rows),
            slots=max(self.slots, other.slots),
            budget=max(self.budget, other.budget),
        )


class Workspace:
    """Tensors that are allocated once and never replaced: a CUDA graph knows their addresses.

    Requests may follow each other in a workspace. What was recorded for the same adapter and temperature is
    then replayed.
    """

    def __init__(
        self,
        policy: Policy,
        size: Size,
        *,
        record: Record | None = None,
    ) -> None:
        """Nothing is recorded yet.

        Args:
            record: None where steps are never recorded.
        """
        self.size = size
        self.store = RowStore(num_rows=size.rows, capacity=size.slots, device=policy.device)
        self.progress = Progress.allocate(size.rows, size.budget, policy.device)
        self.is_finished = torch.zeros(size.rows, dtype=torch.bool, device=policy.device)
        vocabulary = policy.model.get_base_model().config.get_text_config().vocab_size
        self.is_stop = torch.zeros(vocabulary, dtype=torch.bool)  # [V], True at the tokens that end an answer
        self.is_stop[sorted(id_ for id_ in policy.stop_ids if id_ < vocabulary)] = True
        self.is_stop = self.is_stop.to(policy.device)
        self._stop_ids = policy.stop_ids
        self._record = record
        self._graphs: dict[tuple[str, float], Graphs] = {}

    def serves(self, policy: Policy, size: Size) -> bool:
        """Whether a request of this size can follow here."""
        return self._stop_ids == policy.stop_ids and self.size.holds(size)

    @property
    def has_failed(self) -> bool:
        """Whether the card could not record a step."""
        return any(graphs.has_failed for graphs in self._graphs.values())

    def graphs(self, adapter: str, temperature: float) -> Graphs | None:
        """Of the steps under an adapter at a temperature, which are parts of what is recorded."""
        if self._record is None:
            return None
        return self._graphs.setdefault((adapter, temperature), Graphs(self._record))
