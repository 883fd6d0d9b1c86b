"""The base model's tensors, read one at a time from its safetensors files, 4-bit ones dequantised.

Files come from outside: an index names plain files of its own folder, or it is refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.errors import ExportError
from tinyzero.foreign import parse_json_object, read_json_object

if TYPE_CHECKING:
    import torch
    from torch import Tensor

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
_NF4_STATE = ".quant_state.bitsandbytes__nf4"
_NF4_PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", _NF4_STATE)
_TORCH_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, shape and type of a tensor, known without reading it."""

    name: str
    shape: tuple[int, ...]
    dtype: "torch.dtype"

    @property
    def is_float(self) -> bool:
        return self.dtype.is_floating_point


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseWeights:
    """All tensors of a model folder, open for reading.

    Attributes:
        files: tensor -> the open file that holds it. tensors: those that a model loads, in the files' order.
        packed: names of the weights that are stored in 4 bit; `tensors` gives their dequantised shape.
    """

    files: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    packed: frozenset[str]

    def load(self, name: str) -> "Tensor":
        """The tensor on the CPU; a 4-bit one dequantised, in the type that it was quantised from."""
        if name in self.packed:
            return self._dequantised(name)
        tensor: Tensor = self.files[name].get_tensor(name)
        return tensor

    def _dequantised(self, name: str) -> "Tensor":
        import torch
        from bitsandbytes.functional import QuantState, dequantize_4bit

        parts = {part: self.files[part].get_tensor(part) for part in _parts_of(name, self.files)}
        weight: Tensor = self.files[name].get_tensor(name)
        try:
            state = QuantState.from_dict(parts, device=torch.device("cpu"))
            restored: Tensor = dequantize_4bit(weight, quant_state=state)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, AssertionError) as error:
            raise ExportError(f"the 4-bit weight {name} of the base model cannot be read: {error}") from error
        return restored


@contextmanager
def open_weights(folder: Path) -> Iterator[BaseWeights]:
    """Open the safetensors files of a model folder.

    Raises:
        ExportError: there are none, or one of them cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    opened: dict[str, Any] = {}
    try:
        for path in weight_files(folder):
            file: Any = safe_open(str(path), framework="pt")
            opened |= dict.fromkeys(file.keys(), file)
        packed = frozenset(name for name in opened if f"{name}{_NF4_STATE}" in opened)
        parts = {part for name in packed for part in _parts_of(name, opened)}
        infos = {name: _info(opened, name, name in packed) for name in opened if name not in parts}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ExportError(f"cannot read the base model's weights in {folder}: {error}") from error
    yield BaseWeights(files=opened, tensors=infos, packed=packed)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up the model, in order: those that transformers would read.

    Raises:
        ExportError: there are none, or the index names something else than files beside it.
    """
    index = folder / INDEX
    if (folder / WHOLE).is_file():  # an index beside it is a leftover
        return [folder / WHOLE]
    if not index.is_file():
        raise ExportError(
            f"{folder} holds no {WHOLE}; merging reads safetensors only, so convert the base model first"
        )
    names = shard_names(folder)
    for name in names:
        if not (folder / name).is_file():
            raise ExportError(f"{folder} lacks {name}, which its index names; fetch the base model again")
    return [folder / name for name in names]


def shard_names(folder: Path) -> list[str]:
    """The files that a folder's index names, in order; none without an index.

    Raises:
        ExportError: it names something else than files beside it.
    """
    index = folder / INDEX
    names = sorted(set(_weight_map(index).values())) if index.is_file() else []
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ExportError(f"{index} names {name!r}, which is no safetensors file beside it")
    return names


def _weight_map(index: Path) -> dict[str, str]:
    try:
        found = read_json_object(index)["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{index} cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ExportError(f"{index} holds no weight_map of names")
    return found


def _parts_of(name: str, files: Mapping[str, Any]) -> list[str]:
    return [f"{name}{part}" for part in _NF4_PARTS if f"{name}{part}" in files]


def _info(files: Mapping[str, Any], name: str, is_packed: bool) -> TensorInfo:  # noqa: FBT001
    import torch

    if is_packed:
        state = f"{name}{_NF4_STATE}"
        described = parse_json_object(bytes(files[state].get_tensor(state).tolist()))
        return TensorInfo(name, tuple(map(int, described["shape"])), getattr(torch, str(described["dtype"])))
    view = files[name].get_slice(name)
    stored = str(view.get_dtype())
    if stored not in _TORCH_NAMES:
        raise ExportError(f"the base model stores {name} as {stored}, which cannot be merged into")
    return TensorInfo(name, tuple(view.get_shape()), getattr(torch, _TORCH_NAMES[stored]))
