"""Writes safetensors files tensor by tensor, so that memory holds only one tensor at a time.

Format: https://huggingface.co/docs/safetensors (8 bytes of header length, a JSON header, the bytes in order).
"""

import json
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.export.weights import INDEX, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

SHARD_BYTES = 5 * 10**9
"""Maximum size of a shard, as the Hub recommends."""
_NAMES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}


def num_bytes(info: TensorInfo) -> int:
    return prod(info.shape) * info.dtype.itemsize


def write_model(
    folder: Path,
    tensors: Sequence[TensorInfo],
    make: Callable[[str], "Tensor"],
    *,
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write model.safetensors, or shards and their index.

    Args:
        tensors: the tensors in order; `make` returns each one when it is written, in this shape and type.
        shard_bytes: a shard holds at most this many bytes of weights, or one tensor that is larger.
    """
    shards = _plan_shards(tensors, shard_bytes)
    if len(shards) == 1:
        paths = [folder / "model.safetensors"]
    else:
        numbers = range(1, len(shards) + 1)
        paths = [folder / f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in numbers]
        _write_index(folder / INDEX, shards, paths)
    for path, shard in zip(paths, shards, strict=True):
        _write_file(path, shard, make)
    return paths


def _plan_shards(tensors: Sequence[TensorInfo], shard_bytes: int) -> list[list[TensorInfo]]:
    """Fill shards in order. No shard is empty."""
    shards: list[list[TensorInfo]] = [[]]
    filled = 0
    for tensor in tensors:
        if shards[-1] and filled + num_bytes(tensor) > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += num_bytes(tensor)
    return shards


def _write_file(path: Path, tensors: Sequence[TensorInfo], make: Callable[[str], "Tensor"]) -> None:
    """Write one safetensors file."""
    with path.open("wb") as file:
        file.write(_header(tensors))
        for tensor in tensors:
            values = make(tensor.name)
            assert tuple(values.shape) == tensor.shape, f"{tensor.name} is {values.shape}, not as planned"  # noqa: S101
            assert values.dtype is tensor.dtype, f"{tensor.name} is {values.dtype}, not as planned"  # noqa: S101
            file.write(_raw(values))
            del values  # before the next one is made


def _raw(tensor: "Tensor") -> memoryview:
    """The tensor's bytes. numpy has no bfloat16, so the tensor is viewed as plain bytes."""
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _header(tensors: Sequence[TensorInfo]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in tensors:
        end = start + num_bytes(tensor)
        entries[tensor.name] = {
            "dtype": _NAMES[str(tensor.dtype)],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the weights start at a multiple of eight
    return len(text).to_bytes(8, "little") + text


def _write_index(path: Path, shards: Sequence[Sequence[TensorInfo]], files: Sequence[Path]) -> None:
    content = {
        "metadata": {"total_size": sum(num_bytes(tensor) for shard in shards for tensor in shard)},
        "weight_map": {
            tensor.name: file.name for shard, file in zip(shards, files, strict=True) for tensor in shard
        },
    }
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
