"""The optimizer of an adapter, and its state as files: safetensors and JSON, never a pickle."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tinyzero.config import Optimizer
from tinyzero.errors import CheckpointError
from tinyzero.foreign import read_json_object

_TENSORS = "learner.safetensors"
_VALUES = "learner.json"
_PICKLE = "learner.pt"  # of earlier versions
_MOMENTS = {"exp_avg", "exp_avg_sq", "state1", "state2"}


def make_optimizer(
    name: Optimizer, parameters: Sequence[nn.Parameter], *, lr: float
) -> torch.optim.Optimizer:
    """The configured variant of AdamW; `LearnerConfig` explains each.

    In 8 bit, bitsandbytes keeps 32-bit moments for parameters with fewer than 4096 numbers.
    """
    options: dict[str, Any] = {"lr": lr, "weight_decay": 0.0}
    if name == "adamw":
        return torch.optim.AdamW(parameters, **options)
    from bitsandbytes.optim.adamw import AdamW8bit

    is_paged = name == "paged_adamw8bit"
    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, is_paged=is_paged, **options)  # type: ignore[no-untyped-call]
    return optimizer


def write_state(
    folder: Path,
    optimizers: Mapping[str, torch.optim.Optimizer],
    names: Mapping[str, Sequence[str]],
    values: Mapping[str, Any],
) -> None:
    """Write optimizers, moments in 8 bit with their maps and scales included, and other values.

    Args:
        optimizers: adapter -> its optimizer.
        names: adapter -> names of the optimizer's parameters, in their order; the keys in the files.
        values: JSON values.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    described: dict[str, Any] = {}
    for adapter, optimizer in optimizers.items():
        entries = _entries(optimizer, names[adapter])
        # Copied, since parameters share their maps, which tensors in a file cannot.
        own = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
        tensors |= {key: value.detach().to("cpu", copy=True).contiguous() for key, value in own.items()}
        described[adapter] = {
            "entries": {key: value for key, value in entries.items() if key not in own},
            "groups": [_without(group, "params") for group in optimizer.param_groups],
        }
    (folder / _TENSORS).write_bytes(save(tensors))
    (folder / _VALUES).write_text(json.dumps({**values, "optimizers": described}), encoding="utf-8")


def read_state(
    folder: Path,
    optimizers: Mapping[str, torch.optim.Optimizer],
    names: Mapping[str, Sequence[str]],
    device: torch.device,
) -> dict[str, Any]:
    """The values that `write_state` wrote, and as `optimizers` what each optimizer's `load_state_dict` takes.

    Raises:
        CheckpointError: the files cannot be read, or hold parameters of other names or shapes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if (folder / _PICKLE).exists() and not (folder / _VALUES).exists():
        return _read_pickle(folder / _PICKLE, device)
    try:
        state = read_json_object(folder / _VALUES)
        tensors = load((folder / _TENSORS).read_bytes())
        _check_names(tensors, {name for own in names.values() for name in own})
        state["optimizers"] = {
            adapter: _state_dict(optimizer, names[adapter], tensors, state["optimizers"][adapter])
            for adapter, optimizer in optimizers.items()
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the optimizers in {folder}: {error}") from error
    return state


def _read_pickle(path: Path, device: torch.device) -> dict[str, Any]:
    """The state that an earlier version wrote; nothing but tensors and plain values is read from it."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch passes on whatever the bytes of a file lead to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot read the optimizers in {path}: {reason}") from error
    return state


def _entries(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Any]:
    """`parameter/entry` -> a tensor or a number, such as `...lora_A.solver.weight/state1`."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {
        f"{name}/{entry}": value
        for name, parameter in zip(names, parameters, strict=True)
        for entry, value in optimizer.state.get(parameter, {}).items()
    }


def _state_dict(
    optimizer: torch.optim.Optimizer,
    names: Sequence[str],
    tensors: Mapping[str, Tensor],
    described: Mapping[str, Any],
) -> dict[str, Any]:
    """What the optimizer's `load_state_dict` takes. Raises ValueError or KeyError where it does not fit."""
    places = {name: place for place, name in enumerate(names)}
    own = {key: value for key, value in tensors.items() if key.rpartition("/")[0] in places}
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**own, **described["entries"]}.items():
        name, _, entry = key.rpartition("/")
        state.setdefault(places[name], {})[entry] = value
    groups, numbers = [], iter(range(len(names)))
    for options, group in zip(described["groups"], optimizer.param_groups, strict=True):
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
        groups.append({**values, "params": [next(numbers) for _ in group["params"]]})
        _check_shapes(group["params"], [state.get(place, {}) for place in groups[-1]["params"]])
    return {"state": state, "param_groups": groups}


def _check_names(tensors: Iterable[str], names: Collection[str]) -> None:
    for key in tensors:
        if key.rpartition("/")[0] not in names:
            raise ValueError(f"{key} belongs to no adapter of this run")


def _check_shapes(parameters: Sequence[nn.Parameter], entries: Sequence[Mapping[str, Any]]) -> None:
    for parameter, own in zip(parameters, entries, strict=True):
        for name in _MOMENTS & own.keys():
            if own[name].shape != parameter.shape:
                raise ValueError(f"moments of {list(own[name].shape)} for weights of {list(parameter.shape)}")


def _without(group: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != key}
