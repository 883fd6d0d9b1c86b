"""The other files of a merged model: configuration without quantisation, end tokens, tokenizer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyzero.errors import ExportError
from tinyzero.export.base import Base
from tinyzero.export.merge import TORCH_NAME, Dtype
from tinyzero.foreign import read_json

# Keys for quantised loading, local folders, or code that is not shipped.
_DROPPED = ("quantization_config", "_name_or_path", "auto_map", "torch_dtype")


def write_model_files(
    base: Base, folder: Path, *, dtype: Dtype, stop_ids: frozenset[int], pad_id: int, temperature: float
) -> None:
    """Write config.json, generation_config.json, tokenizer files and chat template."""
    config = _read(base.folder / "config.json")
    _write(folder / "config.json", model_config(config, dtype))
    _write(
        folder / "generation_config.json",
        generation_config(config, stop_ids, pad_id, temperature=temperature),
    )
    base.copy_tokenizer(folder)


def model_config(base: Mapping[str, Any], dtype: Dtype) -> dict[str, Any]:
    """The base's configuration, for unquantised weights of `dtype`."""
    kept = {name: value for name, value in base.items() if name not in _DROPPED}
    return {**kept, "dtype": TORCH_NAME[dtype]}


def generation_config(
    base: Mapping[str, Any], stop_ids: frozenset[int], pad_id: int, *, temperature: float
) -> dict[str, Any]:
    """Sampling settings of training. The base's top_k or repetition penalty would change the policy."""
    ends = sorted(stop_ids)
    begins = base.get("bos_token_id")
    return {
        **({"bos_token_id": begins} if isinstance(begins, int) else {}),
        "do_sample": True,
        "eos_token_id": ends[0] if len(ends) == 1 else ends,
        "pad_token_id": pad_id,
        "temperature": temperature,
        "top_k": 0,
        "top_p": 1.0,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise ExportError(f"cannot read the base model's {path}: {error}") from error
    if not isinstance(content, dict):
        raise ExportError(f"the base model's {path} holds no configuration")
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
