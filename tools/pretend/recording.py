"""CUDA graphs without CUDA: a recording is a list of operators, a replay does them again in place."""

from typing import Any

import torch

from pretend.card import Card, address_of, plainly, tensors_in


class Recording:
    """What `torch.cuda.CUDAGraph` is on the pretended card.

    A recording computes nothing: what it has written to tensors from before it is put back at its end.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._steps: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self._before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._made: set[int | None] = set()
        self._is_recorded = False

    def begin(self) -> None:
        if self._card.recording is not None:
            raise RuntimeError("CUDA error: a recording inside of a recording (pretended)")
        self._card.recording = self
        self._steps, self._before, self._made = [], {}, set()

    def end(self, *, has_failed: bool) -> None:
        self._card.recording = None
        with plainly():
            for written, before in self._before.values():
                written.copy_(before)
        self._before, self._is_recorded = {}, not has_failed
        if has_failed:
            self._steps = []
        else:
            self._card.graphs["recorded"] += 1

    def keep(self, tensor: torch.Tensor) -> None:
        """Remember a tensor that is about to be written."""
        key = address_of(tensor)
        if key is None or key in self._made or key in self._before:
            return
        with plainly():
            written = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())  # type: ignore[call-overload]
            self._before[key] = (written, written.clone())

    def add(self, operator: Any, args: tuple[Any, ...], options: dict[str, Any], made: Any) -> None:  # noqa: ANN401
        given = set(map(address_of, tensors_in((args, options))))
        self._made.update(set(map(address_of, tensors_in(made))) - given)
        self._steps.append((operator, args, options, made))

    def replay(self) -> None:
        if not self._is_recorded:
            raise RuntimeError("CUDA error: replay of a graph that was not recorded (pretended)")
        with plainly(), self._card.computing():
            for operator, args, options, made in self._steps:
                again = operator(*args, **options)
                for there, now in zip(tensors_in(made), tensors_in(again), strict=True):
                    if address_of(there) != address_of(now):
                        there.copy_(now)
        self._card.graphs["replayed"] += 1

    def reset(self) -> None:
        self._steps = []


class Capture:
    """What `torch.cuda.graph` is on the pretended card: a context that records."""

    def __init__(
        self,
        cuda_graph: Recording,
        pool: object = None,
        stream: object = None,
        capture_error_mode: str = "global",
    ) -> None:
        if capture_error_mode not in ("global", "thread_local", "relaxed"):
            raise ValueError(f"no capture_error_mode {capture_error_mode}")
        self._graph = cuda_graph

    def __enter__(self) -> None:
        self._graph.begin()

    def __exit__(self, kind: object, *_: object) -> None:
        self._graph.end(has_failed=kind is not None)
