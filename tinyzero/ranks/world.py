"""What the processes of a run say to each other, over torch.distributed.

Every rank must call the same methods in the same order. Messages are pickles: the network between the
machines must be trusted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from tinyzero.errors import RankLost, RanksDiffer, TinyZeroError
from tinyzero.ranks.place import Place

T = TypeVar("T")

_MEETING = timedelta(minutes=10)
_WORK = timedelta(minutes=60)
"""How long a rank may keep the others waiting at work."""
_ORDERS = timedelta(days=30)
"""Between orders a person may pause the run. The connections of a rank that dies end at once."""
_LET_SPEAK_S = 1.0
"""Rank 0 knows most of what has happened, and complains first."""


class World:
    """All ranks of a run, seen from one of them.

    Attributes:
        waited_s: seconds that this rank has waited for others, and for the network.
        run: path of the run's folder on the first machine; empty until it is known.
    """

    def __init__(self, place: Place, store: Store) -> None:
        """Take part. Needs an initialised process group over gloo, with this store."""
        self.rank, self.size, self.place = place.rank, place.size, place
        self.waited_s = 0.0
        self.run = ""
        self._store = store
        self._orders = dist.new_group(backend="gloo", timeout=_ORDERS)
        self._sums: dist.ProcessGroup | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def sum_on(self, device: torch.device) -> None:
        """Tensors to sum will lie there."""
        if device.type == "cuda":
            self._sums = dist.new_group(backend="nccl", timeout=_WORK)

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of the ranks."""
        values: list[Any] = [None] * self.size
        began = time.perf_counter()
        with self._noticing_loss():
            dist.all_gather_object(values, value)
        self.waited_s += time.perf_counter() - began
        return values

    def share(self, value: Callable[[], T]) -> T:
        """Rank 0's value; the others' is not computed."""
        return self._broadcast(value() if self.is_leader else None)  # type: ignore[return-value]

    def tell(self, name: str, argument: object = None) -> None:
        """Rank 0 gives an order to all others."""
        self._broadcast((name, argument))

    def hear(self) -> tuple[str, Any]:
        """The next order of rank 0, however long it takes."""
        order: tuple[str, Any] = self._broadcast(("", None))
        return order

    def agree(self, what: str, value: object) -> None:
        """Raise RanksDiffer unless all ranks have the same value, by its text."""
        values = self.gather(repr(value))
        for rank, other in enumerate(values):
            if other != values[0]:
                raise RanksDiffer(
                    f"rank {rank} has another {what} than rank 0; all processes need equal cards, equal "
                    f"versions of torch and equal files of the base model{self._way_back()}"
                )

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Put in each tensor's place its sum over all ranks, added in the order of the ranks.

        Every rank adds one part of the numbers and hands it out, so all have the same bits. Needs three times
        the tensors' memory for a moment.
        """
        if not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        parts = torch.nn.functional.pad(flat, (0, -len(flat) % self.size))
        received = torch.empty_like(parts)
        began = time.perf_counter()
        with self._noticing_loss():
            dist.all_to_all_single(received, parts, group=self._sums)
            own, *others = received.view(self.size, -1)
            for other in others:
                own += other
            dist.all_gather(list(parts.view(self.size, -1)), own, group=self._sums)
        totals = torch.split(parts[: len(flat)], [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total.view_as(tensor))
        self.waited_s += time.perf_counter() - began

    def is_first_to_fail(self) -> bool:
        """Whether no other rank has failed before, so that this one says why all end."""
        if not self.is_leader:
            time.sleep(_LET_SPEAK_S)
        try:
            return bool(self._store.add("failed", 1) == 1)
        except RuntimeError:  # who kept the store has ended
            return True

    def _broadcast(self, value: T) -> T:
        values: list[Any] = [value]
        with self._noticing_loss():
            dist.broadcast_object_list(values, src=0, group=self._orders)
        return values[0]  # type: ignore[no-any-return]

    @contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RankLost(
                f"rank {self.rank} of {self.size} has lost another one: a process of this run has ended or a "
                f"machine is gone{self._way_back()}"
            ) from error

    def _way_back(self) -> str:
        if not self.run:
            return ""
        return (
            f"; go on from the newest checkpoint, with any number of processes: tinyzero train --resume "
            f"{self.run}"
        )


@contextmanager
def joined(place: Place) -> Iterator[World]:
    """Meet the other ranks at the address that torchrun's environment names; leave them at the end.

    Raises:
        RankLost: some did not come.
        SystemExit: the run ends by an error that another rank has told already.
    """
    world = _meet(place)
    try:
        yield world
    except TinyZeroError as error:
        if world.is_first_to_fail():
            raise
        raise SystemExit(2) from error
    except BaseException:
        world.is_first_to_fail()
        raise
    dist.destroy_process_group()


def _meet(place: Place) -> World:
    try:
        store, _, _ = next(iter(rendezvous("env://", timeout=_MEETING)))
        dist.init_process_group("gloo", store=store, rank=place.rank, world_size=place.size, timeout=_WORK)
        return World(place, PrefixStore("run", store))
    except RuntimeError as error:
        raise RankLost(
            f"rank {place.rank} did not meet the {place.size - 1} other(s) of this run: "
            f"{str(error).splitlines()[0]}; see what torchrun says of them, and whether the machines reach "
            "each other"
        ) from error
