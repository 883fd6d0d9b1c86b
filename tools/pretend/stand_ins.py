"""What takes the place of `torch.cuda`, and of functions of other libraries that name a device in C++."""

import functools
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from pretend.card import DEVICE, Card, plainly
from pretend.functions import as_device
from pretend.recording import Capture, Recording

_BF16_SINCE = 8  # Ampere


def install(card: Card, held: ExitStack) -> None:
    """Replace all of it until `held` is closed."""
    held.callback(functools.partial(_restore_variable, "HF_DEACTIVATE_ASYNC_LOAD", os.environ.get(_THREADS)))
    os.environ[_THREADS] = "1"  # modes belong to a thread: weights are read in this one
    for name, value in _of_cuda(card).items():
        _replace(held, torch.cuda, name, value)
    for name, here in (("device", DEVICE), ("is_cuda", True), ("is_cpu", False)):
        # Hooks are called from C++, where no mode is on.
        _replace(held, torch.Tensor, name, _answering(card, name, here))
    _replace_readers(card, held)
    _replace_paging(card, held)


_THREADS = "HF_DEACTIVATE_ASYNC_LOAD"
_ABSENT = object()


def _replace(held: ExitStack, owner: Any, name: str, value: Any) -> None:  # noqa: ANN401
    before = vars(owner).get(name, _ABSENT)
    setattr(owner, name, value)
    held.callback(functools.partial(_put_back, owner, name, before))


def _put_back(owner: Any, name: str, before: Any) -> None:  # noqa: ANN401
    delattr(owner, name) if before is _ABSENT else setattr(owner, name, before)


def _restore_variable(name: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before


def _answering(card: Card, name: str, here: object) -> property:
    plain = getattr(torch._C.TensorBase, name)

    def answer(tensor: torch.Tensor) -> object:
        return here if not card.is_computing and card.holds(tensor) else plain.__get__(tensor)

    return property(answer)


class _Stream:
    """Streams and events: everything on the pretended card is in order anyway."""

    cuda_stream, device = 0, DEVICE

    def __init__(self, *_: object, **__: object) -> None: ...
    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None: ...
    def _nothing(self, *_: object) -> None: ...

    wait_stream = wait_event = record = wait = synchronize = _nothing

    def record_event(self, event: object = None) -> object:
        return event or _Stream()

    def query(self) -> bool:
        return True

    def elapsed_time(self, _: object) -> float:
        return 0.0


@contextmanager
def _on_device(*_: object) -> Iterator[None]:
    yield


def _of_cuda(card: Card) -> dict[str, Any]:
    """Name in `torch.cuda` -> what is there instead."""

    def limit(share: float, _device: object = None) -> None:
        card.limit = int(share * card.total)

    def reset_peak(_device: object = None) -> None:
        card.peak = card.allocated

    def empty_cache() -> None:
        if card.recording is not None:
            raise RuntimeError("CUDA error: empty_cache while a stream is capturing (pretended)")
        gc.collect()

    def new_graph(*_: object, **__: object) -> Recording:
        return Recording(card)

    return {
        **_facts(card),
        "set_per_process_memory_fraction": limit,
        "reset_peak_memory_stats": reset_peak,
        "empty_cache": empty_cache,
        "synchronize": lambda _device=None: card.wait("synchronize"),
        "memory_allocated": lambda _device=None: card.allocated,
        "memory_reserved": lambda _device=None: card.allocated,
        "max_memory_allocated": lambda _device=None: card.peak,
        "max_memory_reserved": lambda _device=None: card.peak,
        "mem_get_info": lambda _device=None: (card.total - card.allocated, card.total),
        "CUDAGraph": new_graph,
        "graph": Capture,
        "graph_pool_handle": lambda: (0, 0),
        "is_current_stream_capturing": lambda: card.recording is not None,
    }


def _facts(card: Card) -> dict[str, Any]:
    """What is constant."""
    properties = SimpleNamespace(
        name=card.name,
        total_memory=card.total,
        major=card.capability[0],
        minor=card.capability[1],
        multi_processor_count=card.multiprocessors,
        gcnArchName="",
        is_integrated=False,
        warp_size=32,
        L2_cache_size=72 * 2**20,
    )
    has_bf16 = card.capability[0] >= _BF16_SINCE
    answers = {
        "is_available": True,
        "is_initialized": True,
        "_is_compiled": True,
        "init": None,
        "_lazy_init": None,
        "device_count": 1,
        "_device_count_nvml": 1,
        "current_device": 0,
        "set_device": None,
        "get_device_name": card.name,
        "get_device_capability": card.capability,
        "get_device_properties": properties,
        "set_rng_state": None,
        "get_rng_state_all": [],
        "set_rng_state_all": None,
        "manual_seed": None,
        "manual_seed_all": None,
        "current_stream": _Stream(),
        "default_stream": _Stream(),
    }
    always = {name: functools.partial(_answer, value) for name, value in answers.items()}
    return {
        **always,
        "is_bf16_supported": lambda including_emulation=True: including_emulation or has_bf16,
        "get_rng_state": lambda _device=None: torch.zeros(16, dtype=torch.uint8),
        "device": _on_device,
        "device_of": _on_device,
        "Stream": _Stream,
        "Event": _Stream,
        "stream": lambda stream: stream,
    }


def _answer(value: Any, *_: object, **__: object) -> Any:  # noqa: ANN401
    return value


def _replace_readers(card: Card, held: ExitStack) -> None:
    """Files are read to the host, and then put on the card."""
    import safetensors.torch

    load_file, load = safetensors.torch.load_file, torch.load

    def is_here(device: Any) -> bool:  # noqa: ANN401
        return device is not None and not callable(device) and str(device).startswith("cuda")

    @functools.wraps(load_file)
    def read_file(filename: Any, device: Any = "cpu", **options: Any) -> Any:  # noqa: ANN401
        device = as_device(device)
        if not is_here(device):
            return load_file(filename, device=device, **options)
        return {name: card.put(value.clone()) for name, value in load_file(filename, **options).items()}

    @functools.wraps(load)
    def read(file: Any, map_location: Any = None, **options: Any) -> Any:  # noqa: ANN401
        if not is_here(map_location):
            return load(file, map_location=map_location, **options)
        with plainly():
            found = load(file, map_location="cpu", **options)
        return tree_map_only(torch.Tensor, lambda tensor: card.put(tensor.clone()), found)

    _replace(held, safetensors.torch, "load_file", read_file)
    _replace(held, torch, "load", read)
    for name, module in list(sys.modules.items()):  # those that have imported it by its name
        if name.startswith("peft") and getattr(module, "safe_load_file", None) is load_file:
            _replace(held, module, "safe_load_file", read_file)


def _replace_paging(card: Card, held: ExitStack) -> None:
    """The memory of paged optimizers, which bitsandbytes allocates itself."""
    from bitsandbytes import functional

    def paged(*shape: int, dtype: torch.dtype = torch.float32, device: object = None) -> torch.Tensor:
        made = card.put(torch.zeros(*shape, dtype=dtype))
        made.is_paged, made.page_deviceid = True, 0  # type: ignore[attr-defined]
        return made

    _replace(held, functional, "get_paged", paged)
    _replace(held, functional, "prefetch_tensor", lambda *_, **__: None)
