"""The pretended card: which storages are on it, and what was started, awaited and copied."""

import threading
import traceback
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_flatten

if TYPE_CHECKING:
    from pretend.recording import Recording

DEVICE = torch.device("cuda", 0)
_GIB = 2**30
_BLOCK = 512  # bytes; torch's allocator rounds up to it
_PACKAGE = "tinyzero"


class MixedDevices(RuntimeError):
    """An operator over tensors of the card and of the host, which CUDA refuses."""


class Card:
    """A context in which a card is there.

    Attributes:
        allocated, peak: bytes of labelled storages that are alive, and the most since the last reset.
        recording: the CUDA graph that is being recorded.
        is_computing: an operator's own code is at work, which sees CPU tensors.
        is_creating: a function that makes tensors on the card is at work.
        kernels: phase -> operator -> how often it started a kernel.
        waits, copies: phase -> place in the code -> how often the host waited, or sent something.
        graphs: `recorded` and `replayed`.
    """

    def __init__(
        self,
        *,
        name: str = "NVIDIA GeForce RTX 4090",
        memory_gib: float = 23.5,
        capability: tuple[int, int] = (8, 9),
        multiprocessors: int = 128,
    ) -> None:
        self.name, self.capability, self.multiprocessors = name, capability, multiprocessors
        self.total = self.limit = int(memory_gib * _GIB)
        self.allocated = self.peak = 0
        self.recording: Recording | None = None
        self.is_computing = self.is_creating = False
        self.kernels: dict[str, Counter[str]] = defaultdict(Counter)
        self.waits: dict[str, Counter[str]] = defaultdict(Counter)
        self.copies: dict[str, Counter[str]] = defaultdict(Counter)
        self.graphs: Counter[str] = Counter()
        self._phase = ""
        self._sizes: dict[int, int] = {}  # address of a storage's implementation -> bytes
        self._lock = threading.RLock()
        self._held = ExitStack()

    def __enter__(self) -> "Card":
        import bitsandbytes  # noqa: F401  it looks for CUDA when it is imported, and must find none
        import transformers  # noqa: F401

        from pretend.functions import Functions
        from pretend.operators import Operators
        from pretend.stand_ins import install

        install(self, self._held)
        self._held.enter_context(Functions(self))
        self._held.enter_context(Operators(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is counted meanwhile is counted under this name."""
        before, self._phase = self._phase, name
        try:
            yield
        finally:
            self._phase = before

    @contextmanager
    def computing(self) -> Iterator[None]:
        before, self.is_computing = self.is_computing, True
        try:
            yield
        finally:
            self.is_computing = before

    def holds(self, tensor: torch.Tensor) -> bool:
        key = address_of(tensor)
        return key is not None and key in self._sizes

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same tensor, from now on on the card.

        Raises:
            torch.OutOfMemoryError: the card has less memory left.
        """
        key = address_of(tensor)
        if key is None or key in self._sizes:
            return tensor
        storage = tensor.untyped_storage()
        with self._lock:
            size = -(-storage.nbytes() // _BLOCK) * _BLOCK
            if self.allocated + size > self.limit:
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB (pretended)."
                )
            self._sizes[key] = size
            self.allocated += size
            self.peak = max(self.peak, self.allocated)
            weakref.finalize(storage, self._forget, key).atexit = False
        return tensor

    def take_off(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same tensor, from now on on the host."""
        key = address_of(tensor)
        if key is not None:
            self._forget(key)
        return tensor

    def start(self, operator: str) -> None:
        self.kernels[self._phase][operator] += 1

    def wait(self, what: str) -> None:
        """The host waits for the card, which a recording cannot hold."""
        self._refuse_in_recording(what)
        self.waits[self._phase][f"{what} at {place()}"] += 1

    def copy(self, what: str) -> None:
        """Something goes from the host to the card, which a recording cannot hold."""
        self._refuse_in_recording(what)
        self.copies[self._phase][f"{what} at {place()}"] += 1

    def _refuse_in_recording(self, what: str) -> None:
        if self.recording is not None:
            raise RuntimeError(
                f"CUDA error: operation not permitted when stream is capturing (pretended: {what}, {place()})"
            )

    def _forget(self, key: int) -> None:
        with self._lock:
            self.allocated -= self._sizes.pop(key, 0)


def address_of(tensor: torch.Tensor) -> int | None:
    """Names a storage; None where a tensor has none."""
    with suppress(NotImplementedError, RuntimeError):
        return int(tensor.untyped_storage()._cdata)
    return None


def place() -> str:
    """The innermost line of the package that is at work."""
    frames = traceback.extract_stack(limit=60)
    for frame in reversed(frames):
        if _PACKAGE in Path(frame.filename).parts:
            parts = Path(frame.filename).parts
            short = "/".join(parts[len(parts) - 1 - parts[::-1].index(_PACKAGE) :])
            return f"{short}:{frame.lineno} {frame.name}"
    return "another library"


def tensors_in(tree: Any) -> list[torch.Tensor]:  # noqa: ANN401
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


@contextmanager
def plainly() -> Iterator[None]:
    """Neither mode sees what happens."""
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        yield
