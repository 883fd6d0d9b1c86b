"""A decoding step as CUDA graphs: recorded once per shape, and from then on replayed for each token.

A step starts thousands of small kernels. Starting them takes Python and the driver longer than computing them
takes the card; a graph starts them all at once. What it does is fixed: the same kernels on the same memory.
"""

import logging
from collections.abc import Callable

import torch

Step = Callable[[int, int], None]
"""Does one token, given the rows and the window; reads and writes tensors that stay where they are."""
Record = Callable[[Callable[[], None]], Callable[[], object]]
"""Turns a step at one shape into a function that repeats it; recording does not do the step."""

_logger = logging.getLogger(__name__)


class Graphs:
    """Records a step when it comes to a shape for the second time.

    The first time it runs as it is: what kernels choose, compile and allocate for a shape is then behind it,
    and no recording could hold that. Where recording fails, it goes on as it is.
    """

    def __init__(self, record: Record, on_failure: Callable[[], None]) -> None:
        self._record, self._on_failure = record, on_failure
        self._can_record = True
        self._met: set[tuple[int, int]] = set()
        self._replays: dict[tuple[int, int], Callable[[], object]] = {}

    def run(self, step: Step, rows: int, window: int) -> None:
        """Do the step, which must be the same one every time."""
        shape = rows, window
        if self._can_record and shape in self._met and shape not in self._replays:
            self._record_at(shape, step)
        self._met.add(shape)
        if replay := self._replays.get(shape):
            replay()
        else:
            step(rows, window)

    def _record_at(self, shape: tuple[int, int], step: Step) -> None:
        try:
            self._replays[shape] = self._record(lambda: step(*shape))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # a kernel that waits for the card, or starts on a stream of its own
            self._can_record = False
            reason = str(error).strip().splitlines()[0]
            _logger.warning("decoding without CUDA graphs, which is slower: recording failed (%s)", reason)
            self._on_failure()


def on_cuda(device: torch.device) -> Record:
    """Recording on a card; all graphs of a request share their working memory, since one runs at a time."""
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
