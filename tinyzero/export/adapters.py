"""Adapters on disk: reads, checks and writes plain peft files.

Adapters are untrusted. Features that the merge does not support (DoRA, biases, saved modules, pickled
weights) are refused, not ignored.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyzero.errors import ExportError
from tinyzero.foreign import BadContent, read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Weights = NDArray[np.floating[Any]]

_PREFIX = "base_model.model."
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class _LoraConfig(BaseModel):
    """The fields of adapter_config.json that change what an adapter does."""

    model_config = ConfigDict(strict=True, extra="ignore")

    peft_type: Literal["LORA"]
    r: int = Field(ge=1, le=4096)
    lora_alpha: float = Field(gt=0, le=1e6)
    use_rslora: bool = False
    bias: Literal["none"] = "none"
    use_dora: Literal[False] = False
    fan_in_fan_out: Literal[False] = False
    modules_to_save: None = None
    rank_pattern: dict[str, int] = Field(default={}, max_length=0)
    alpha_pattern: dict[str, float] = Field(default={}, max_length=0)
    target_modules: list[str] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One LoRA adapter.

    Attributes:
        halves: module -> (A [r, in], B [out, r]), as stored: numpy arrays, which need no torch. scale: factor
            of the update B A.
        target_modules: in peft's format.
    """

    name: str
    rank: int
    alpha: float
    scale: float
    target_modules: tuple[str, ...] | str
    halves: dict[str, tuple["Weights", "Weights"]]

    @property
    def is_zero(self) -> bool:
        """Whether the adapter changes nothing, as before the first update."""
        return all(not bool(second.any()) for _, second in self.halves.values())

    def delta(self, module: str) -> "Tensor":
        """The module's update, [out, in], float32."""
        import torch

        first, second = (torch.tensor(half, dtype=torch.float32) for half in self.halves[module])
        update: Tensor = self.scale * (second @ first)
        return update


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder that peft wrote.

    Raises:
        ExportError: files are missing or damaged, or it is not a plain LoRA adapter.
    """
    config = _read_config(folder / _CONFIG)
    targets = config.target_modules
    return Adapter(
        name=folder.name,
        rank=config.r,
        alpha=config.lora_alpha,
        scale=config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r),
        target_modules=targets if isinstance(targets, str) else tuple(sorted(targets)),
        halves=_read_halves(folder / _WEIGHTS, config.r),
    )


def write_adapter(adapter: Adapter, source: Path, target: Path, *, base: str, revision: str | None) -> None:
    """Write the adapter so that `PeftModel.from_pretrained(base, target)` opens it.

    Args:
        source: the folder that it was read from; its weights are copied byte for byte.
        base: name of the base model in the configuration; never a path of this machine.
    """
    targets = adapter.target_modules
    config = {
        "base_model_name_or_path": base,
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": int(adapter.alpha) if adapter.alpha.is_integer() else adapter.alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": adapter.rank,
        "revision": revision,
        "target_modules": targets if isinstance(targets, str) else list(targets),
        "task_type": "CAUSAL_LM",
        "use_rslora": not math.isclose(adapter.scale, adapter.alpha / adapter.rank),
    }
    (target / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (target / _WEIGHTS).write_bytes((source / _WEIGHTS).read_bytes())


def _read_config(path: Path) -> _LoraConfig:
    try:
        return _LoraConfig.model_validate(read_json(path))
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except BadContent as error:
        raise ExportError(f"cannot read {path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ExportError(f"{path} is not of a plain LoRA adapter: {where}: {first['msg']}") from error


def _read_halves(path: Path, rank: int) -> dict[str, tuple["Weights", "Weights"]]:
    tensors = _load(path)
    modules = sorted({name.rpartition(".lora_")[0].removeprefix(_PREFIX) for name in tensors})
    halves = {}
    for module in modules:
        names = [f"{_PREFIX}{module}.lora_{half}.weight" for half in "AB"]
        if not all(name in tensors for name in names):
            raise ExportError(f"{path} holds more or less than the two LoRA halves of {module or 'a module'}")
        first, second = (tensors.pop(name) for name in names)
        _check_halves(path, module, first, second, rank)
        halves[module] = (first, second)
    if tensors or not halves:
        raise ExportError(
            f"{path} holds {min(tensors, default='nothing')}, which is no part of a LoRA adapter"
        )
    return halves


def _load(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, TypeError) as error:  # TypeError: a type that numpy does not have
        raise ExportError(f"cannot read the adapter {path}: {error}") from error


def _check_halves(path: Path, module: str, first: "Weights", second: "Weights", rank: int) -> None:
    import numpy as np

    fits = first.ndim == second.ndim == 2 and first.shape[0] == second.shape[1] == rank
    if not fits:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ExportError(f"{path}: the halves of {module} are {shapes}, not of rank {rank}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ExportError(f"{path}: {module} holds numbers that are not finite; the run has diverged")
