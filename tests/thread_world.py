"""Ranks that are threads of the test: what they say goes through a list instead of a network."""

import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

from tinyzero.ranks.place import Place
from tinyzero.ranks.world import World


class Table:
    """Where the ranks lay down what they say, once all are there."""

    def __init__(self, size):
        self.values = [None] * size
        self.barrier = threading.Barrier(size, timeout=600)

    def lay(self, rank, value):
        self.values[rank] = value
        self.barrier.wait()
        values = list(self.values)
        self.barrier.wait()  # nobody lays down the next value before all have seen this one
        return values


class ThreadWorld(World):
    def __init__(self, rank, table):
        size = len(table.values)
        self.place = Place(rank=rank, size=size, local_rank=rank, local_size=size)
        self.rank, self.size, self.waited_s, self.run = rank, size, 0.0, "runs/here"
        self.table = table

    def gather(self, value):
        return deepcopy(self.table.lay(self.rank, value))

    def sum(self, tensors):
        others = self.table.lay(self.rank, [tensor.clone() for tensor in tensors])
        for tensor, *own in zip(tensors, *others, strict=True):
            tensor.copy_(own[0])
            for other in own[1:]:
                tensor.add_(other)

    def sum_on(self, device):
        pass

    def _broadcast(self, value):
        return self.table.lay(self.rank, value)[0]


def together(play, *, size=2):
    """What `play(world)` returns on each rank."""
    table = Table(size)

    def rank(number):
        try:
            return play(ThreadWorld(number, table))
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return [future.result() for future in [pool.submit(rank, number) for number in range(size)]]
