"""Base plus adapter as one ordinary model: W + s B A in float32, tensor by tensor, never quantised again.

The delta of reinforcement learning is small beside the weights, and rounding to 16 bits can lose it. What
survives is measured for every type that the model could be stored in.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tinyzero.errors import ExportError
from tinyzero.export.adapters import Adapter
from tinyzero.export.shards import SHARD_BYTES, num_bytes, write_model
from tinyzero.export.weights import BaseWeights, TensorInfo, open_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Dtype = Literal["bf16", "fp16", "fp32"]
MergeBase = Literal["bf16", "dequant"]
TORCH_NAME: Mapping[Dtype, str] = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_KEPT_ENOUGH = 0.9
"""Share of the delta below which a merge is warned about."""
_FINER: tuple[Dtype, ...] = ("fp16", "fp32")
_NF4_BLOCK = 64  # bitsandbytes' default for loading
_HEAD = "lm_head.weight"
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")


@dataclass(slots=True)
class Survival:
    """What rounding to one type leaves of the delta D, summed over all merged weights.

    R is what the stored weights differ by: round(W + D) - round(W).
    """

    along: float = 0.0  # <R, D>
    written: float = 0.0  # |R|^2
    wanted: float = 0.0  # |D|^2
    changed: int = 0
    elements: int = 0

    @property
    def kept(self) -> float:
        """<R, D> / |D|^2: 1 where all of the delta arrives, 0 where none does or where it overflows."""
        share = self.along / self.wanted if self.wanted else 0.0
        return share if math.isfinite(share) else 0.0

    @property
    def cosine(self) -> float:
        scale = (self.written * self.wanted) ** 0.5
        cosine = self.along / scale if scale else 0.0
        return cosine if math.isfinite(cosine) else 0.0

    @property
    def changed_share(self) -> float:
        """Share of the merged weights that differ from the base's at all."""
        return self.changed / self.elements if self.elements else 0.0

    def add(self, rounded: "Tensor", delta: "Tensor") -> None:
        """Count one weight: R and D, float32."""
        wanted, written = delta.double().flatten(), rounded.double().flatten()
        self.along += float(written @ wanted)
        self.written += float(written @ written)
        self.wanted += float(wanted @ wanted)
        self.changed += int(rounded.count_nonzero())
        self.elements += rounded.numel()


@dataclass(slots=True, kw_only=True)
class Merged:
    """What a merge did.

    Attributes:
        dtype: of the merged weights; if none was chosen, other tensors keep the types of their files.
        survival: by type; `survival[dtype]` is the one that was written.
        weight_norm: squared, of the merged weights before; the delta's is in `survival`.
        has_own_head: whether the LM head's weights differ from the embedding's.
    """

    merge_base: MergeBase
    dtype: Dtype
    survival: dict[Dtype, Survival]
    weight_norm: float = 0.0
    has_own_head: bool = False
    files: list[Path] = field(default_factory=list)

    @property
    def kept(self) -> float:
        return self.survival[self.dtype].kept

    @property
    def relative_size(self) -> float:
        """|D| / |W|."""
        return (
            float((self.survival[self.dtype].wanted / self.weight_norm) ** 0.5) if self.weight_norm else 0.0
        )

    @property
    def warning(self) -> str | None:
        """What to do where rounding loses too much of the delta."""
        if self.survival[self.dtype].wanted == 0:
            return "the adapter changes nothing: the merged model is the base model"
        if self.kept >= _KEPT_ENOUGH:
            return None
        enough = (name for name in _FINER if self.survival[name].kept >= _KEPT_ENOUGH)
        return (
            f"rounding to {self.dtype} keeps {self.kept:.2f} of what was learned; "
            f"--dtype {next(enough, 'fp32')} would keep it, and so does --what adapter"
        )


def merge(
    base_folder: Path,
    adapter: Adapter,
    target: Path,
    *,
    merge_base: MergeBase,
    dtype: Dtype | None,
    trained_dtype: "torch.dtype",
    shard_bytes: int = SHARD_BYTES,
    check_room: Callable[[int], None] = lambda _: None,
) -> Merged:
    """Write the merged weights into `target`.

    Args:
        merge_base: `bf16` adds to the base's own weights, `dequant` to what 4-bit training saw of them.
        dtype: of the files; None for the base's own, tensor by tensor.
        trained_dtype: that the base was quantised from in training; matters to `dequant` alone.
        check_room: is told the bytes that will be written, before any is.

    Raises:
        ExportError: the adapter does not belong to this base.
    """
    with open_weights(base_folder) as weights:
        adapter = as_stored(adapter, weights)
        check_fit(weights, adapter, base_folder)
        _check_merge_base(weights, merge_base, base_folder)
        chosen = dtype or _stored_dtype(weights, adapter)
        stored = {info.name: _as_stored(info, dtype) for info in weights.tensors.values()}
        check_room(sum(map(num_bytes, stored.values())))
        merged = Merged(
            merge_base=merge_base,
            dtype=chosen,
            survival={name: Survival() for name in TORCH_NAME},
            has_own_head=_has_own_head(weights),
        )

        def make(name: str) -> "Tensor":
            weight, module = weights.load(name), name.removesuffix(".weight")
            if module not in adapter.halves:
                return _cast(weight, stored[name].dtype) if weight.is_floating_point() else weight
            if merge_base == "dequant" and name not in weights.packed:
                weight = nf4_round_trip(weight.to(trained_dtype))
            return _add(weight.float(), adapter.delta(module), merged, stored[name].dtype)

        merged.files = write_model(target, list(stored.values()), make, shard_bytes=shard_bytes)
    return merged


def nf4_round_trip(weight: "Tensor") -> "Tensor":
    """What a forward pass of 4-bit training sees of a weight: quantised (doubly), and back."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(
        weight.contiguous(), blocksize=_NF4_BLOCK, compress_statistics=True, quant_type="nf4"
    )
    restored: Tensor = dequantize_4bit(packed, state)
    return restored.reshape(weight.shape)


def _add(weight: "Tensor", delta: "Tensor", merged: Merged, stored: "torch.dtype") -> "Tensor":
    """round(W + D); counts what each type would keep of D."""
    merged.weight_norm += float(weight.double().flatten() @ weight.double().flatten())
    total = weight + delta
    for name, survival in merged.survival.items():
        dtype = _torch(name)
        survival.add(total.to(dtype).float() - weight.to(dtype).float(), delta)
    return _cast(total, stored)


def _cast(weight: "Tensor", dtype: "torch.dtype") -> "Tensor":
    result = weight.to(dtype)
    if not bool(result.isfinite().all()):
        name = next((short for short in TORCH_NAME if _torch(short) is dtype), str(dtype))
        raise ExportError(f"a weight is too large for {name} or no number at all; take --dtype bf16 or fp32")
    return result


def as_stored(adapter: Adapter, weights: BaseWeights) -> Adapter:
    """The adapter with its modules named as in the base's files, which may lack the first part of a name.

    A model that was saved without its head has `layers.0` where the loaded one has `model.layers.0`.
    """
    short = {module.partition(".")[2]: halves for module, halves in adapter.halves.items()}
    names = weights.tensors.keys()
    if len(short) == len(adapter.halves) and all(f"{module}.weight" in names for module in short):
        return replace(adapter, halves=short)
    return adapter


def check_fit(weights: BaseWeights, adapter: Adapter, folder: Path) -> None:
    for module, (first, second) in adapter.halves.items():
        info = weights.tensors.get(f"{module}.weight")
        if info is None:
            raise ExportError(f"the adapter changes {module}, which the base model in {folder} does not have")
        if info.shape != (second.shape[0], first.shape[1]):
            raise ExportError(
                f"the adapter's {module} is {(second.shape[0], first.shape[1])}, the base model's is "
                f"{info.shape}: this is another base model"
            )


def _check_merge_base(weights: BaseWeights, merge_base: MergeBase, folder: Path) -> None:
    if weights.packed and merge_base == "bf16":
        raise ExportError(f"{folder} holds 4-bit weights only; take --merge-base dequant")


def _stored_dtype(weights: BaseWeights, adapter: Adapter) -> Dtype:
    """The type of the base's own files, read off one of the weights that change."""
    stored = weights.tensors[f"{next(iter(adapter.halves))}.weight"].dtype
    return next((name for name in TORCH_NAME if _torch(name) is stored), "fp32")


def _as_stored(info: TensorInfo, dtype: Dtype | None) -> TensorInfo:
    return TensorInfo(info.name, info.shape, _torch(dtype) if dtype and info.is_float else info.dtype)


def _has_own_head(weights: BaseWeights) -> bool:
    head = weights.tensors.get(_HEAD)
    beside = [info for name, info in weights.tensors.items() if head and name.endswith(_EMBEDDINGS)]
    same = [info.name for info in beside if head and info.shape == head.shape]
    return any(not weights.load(name).equal(weights.load(_HEAD)) for name in same)


def _torch(dtype: Dtype) -> "torch.dtype":
    import torch

    found: torch.dtype = getattr(torch, TORCH_NAME[dtype])
    return found
