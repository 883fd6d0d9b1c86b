"""A decoding step as CUDA graphs: recorded once per shape, and from then on replayed for each token.

A step starts thousands of small kernels. Starting them takes Python and the driver longer than computing them
takes the card; a graph starts them all at once. What it does is fixed: the same kernels on the same memory.
"""

import logging
from collections.abc import Callable

import torch

from tinyzero.policy.device import release_memory

Step = Callable[[int, int], None]
"""Does one token, given the rows and the window; reads and writes tensors that stay where they are."""
Record = Callable[[Callable[[], None]], Callable[[], object]]
"""Turns a step at one shape into a function that repeats it; recording does not do the step."""

_logger = logging.getLogger(__name__)


class Graphs:
    """Records a step when it comes to a shape for the second time.

    The first time it runs as it is: what kernels choose, compile and allocate for a shape is then behind it,
    and no recording could hold that.

    Attributes:
        has_failed: a recording failed, by lack of memory or otherwise, and all steps run as they are.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self.has_failed = False
        self._met: set[tuple[int, int]] = set()
        self._replays: dict[tuple[int, int], Callable[[], object]] = {}

    def run(self, step: Step, rows: int, window: int) -> None:
        """Do the step, which must be the same one every time."""
        shape = rows, window
        if not self.has_failed and shape in self._met and shape not in self._replays:
            self._record_at(shape, step)
        self._met.add(shape)
        if replay := self._replays.get(shape):
            replay()
        else:
            step(rows, window)

    def _record_at(self, shape: tuple[int, int], step: Step) -> None:
        try:
            self._replays[shape] = self._record(lambda: step(*shape))
        except RuntimeError as error:  # no memory, a kernel that waits, or that starts on a stream of its own
            self.has_failed = True
            reason = str(error).strip().splitlines()[0]
            _logger.warning("decoding without CUDA graphs, which is slower: recording failed (%s)", reason)
        if self.has_failed:  # outside of the handler, which keeps what the step has allocated
            self._replays.clear()
            release_memory()


def on_cuda(device: torch.device) -> Record:
    """Recording on a card; all graphs of a workspace share their working memory, since one runs at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(step: Callable[[], None]) -> Callable[[], object]:
        graph = torch.cuda.CUDAGraph()
        # The outer context brings the stream back where a failure inside leaves it behind.
        with (
            torch.cuda.stream(torch.cuda.current_stream(device)),
            torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"),
        ):
            step()
        return graph.replay

    return record
