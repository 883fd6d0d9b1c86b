"""The other files of a merged model: configuration without quantisation, end tokens, tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyzero.export.base import Base
from tinyzero.export.merge import TORCH_NAME, Dtype
from tinyzero.export.tokenizer_files import read_object, without_places, write_object, write_tokenizer

_DROPPED = ("quantization_config", "torch_dtype")


def write_model_files(
    base: Base,
    folder: Path,
    *,
    dtype: Dtype,
    has_own_head: bool,
    stop_ids: frozenset[int],
    pad_id: int,
    temperature: float,
    template: str,
) -> None:
    """Write config.json, generation_config.json, tokenizer files and chat template.

    Args:
        has_own_head: whether the LM head's weights differ from the embedding's.
        template: the chat template that the run was trained in.
    """
    config = read_object(base.folder / "config.json")
    write_object(folder / "config.json", model_config(config, dtype, has_own_head=has_own_head))
    write_object(
        folder / "generation_config.json",
        generation_config(config, stop_ids, pad_id, temperature=temperature),
    )
    write_tokenizer(base.folder, folder, template)


def model_config(base: Mapping[str, Any], dtype: Dtype, *, has_own_head: bool = False) -> dict[str, Any]:
    """The base's configuration, for unquantised weights of `dtype`, without paths and names of code.

    Programs disagree on a head that a configuration calls tied and that is not: some leave it out.
    """
    kept = {name: value for name, value in without_places(base).items() if name not in _DROPPED}
    untied = {"tie_word_embeddings": False} if has_own_head else {}
    return {**kept, **untied, "dtype": TORCH_NAME[dtype]}


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
