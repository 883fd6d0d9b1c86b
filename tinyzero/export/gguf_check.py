"""Checks that a GGUF file holds the merged model: every tensor, bit for bit, and every token."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.errors import SelfTestFailed
from tinyzero.export.tokenizer_files import open_tokenizer
from tinyzero.export.weights import BaseWeights, open_weights

if TYPE_CHECKING:
    import numpy as np


_INTERLEAVED = ("llama", "smollm3", "granite")
"""Architectures whose query and key rows llama.cpp wants interleaved in pairs."""
_COUNTED_FROM_ONE = ("gemma", "gemma2", "gemma3")
"""Architectures whose norms transformers adds 1 to; the file holds the sum."""
_QUERY_AND_KEY = ("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias")
_AS_THEY_ARE = ("qwen2", "qwen3", "olmo2", "phi3")
_KNOWN = (*_INTERLEAVED, *_COUNTED_FROM_ONE, *_AS_THEY_ARE)
_NO_WEIGHTS = (".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias")
"""Tensors of older files that a model computes by itself."""


def compare(path: Path, merged: Path, *, is_tried: bool = False) -> None:
    """Read the file with the package `gguf`, and compare it with the folder of the merged model.

    Args:
        is_tried: whether llama.cpp will be asked as well; it then vouches for what a converter does to the
            tensors of an architecture that is not known here.

    Raises:
        SelfTestFailed: they differ, or the file cannot be read.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SelfTestFailed(f"the converter wrote a GGUF file that does not open: {error}") from error
    _compare_tensors(reader, merged, is_tried=is_tried)
    _compare_tokens(reader, merged)


def begins_by_itself(path: Path) -> bool:
    """Whether llama.cpp puts the begin token before a text, as the file says or its tokenizer's kind does."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    said = fields.get("tokenizer.ggml.add_bos_token")
    if said is not None:
        return bool(said.contents())
    kind = fields.get("tokenizer.ggml.model")
    return kind is not None and kind.contents() == "llama"


def _compare_tensors(reader: Any, merged: Path, *, is_tried: bool) -> None:  # noqa: ANN401  a GGUFReader, untyped
    import numpy as np
    from gguf.quants import dequantize

    written = {tensor.name: tensor for tensor in reader.tensors}
    names = _name_map(reader)
    is_known = _architecture(reader) in _KNOWN
    with open_weights(merged) as weights:
        for name in weights.tensors:
            tensor = written.get(names.get_name(name, try_suffixes=(".weight", ".bias")) or "")
            if tensor is None:
                if name.endswith(_NO_WEIGHTS) or _is_tied_head(name, weights):
                    continue
                raise SelfTestFailed(f"the GGUF file lacks the tensor {name}")
            if is_tried and not is_known:
                continue
            expected = _as_llama_cpp(reader, name, weights.load(name).float().numpy())
            values = dequantize(tensor.data, tensor.tensor_type).reshape(expected.shape)
            if not np.array_equal(values, expected):
                raise SelfTestFailed(_other_values(name, is_known=is_known))


def _other_values(name: str, *, is_known: bool) -> str:
    said = f"the GGUF file holds other values for {name} than the merged model"
    return (
        said if is_known else f"{said}; to have llama.cpp decide whether that is right: pip install xllamacpp"
    )


def _is_tied_head(name: str, weights: BaseWeights) -> bool:
    embeddings = [each for each in weights.tensors if each.endswith("embed_tokens.weight")]
    return name == "lm_head.weight" and any(
        weights.load(each).equal(weights.load(name)) for each in embeddings
    )


def _compare_tokens(reader: Any, merged: Path) -> None:  # noqa: ANN401
    tokenizer: Any = open_tokenizer(merged)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    for token, place in tokenizer.get_vocab().items():
        # A token that was added may be written as text, with spaces for SentencePiece's signs.
        if place >= len(tokens) or tokens[place] not in (token, token.replace("▁", " ")):
            raise SelfTestFailed(f"the GGUF file holds another token than {token!r} at {place}")


def _name_map(reader: Any) -> Any:  # noqa: ANN401
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    name = _architecture(reader)
    architecture = next((arch for arch, known in MODEL_ARCH_NAMES.items() if known == name), None)
    if architecture is None:
        raise SelfTestFailed(f"the package gguf does not know the architecture {name}; update it")
    return get_tensor_name_map(architecture, int(_field(reader, "block_count")))


def _as_llama_cpp(reader: Any, name: str, values: "np.ndarray") -> "np.ndarray":  # noqa: ANN401
    """The tensor as llama.cpp's converter rightly writes it."""
    architecture = _architecture(reader)
    if architecture in _COUNTED_FROM_ONE and name.endswith("norm.weight"):
        return values + 1
    if architecture not in _INTERLEAVED or not name.endswith(_QUERY_AND_KEY):
        return values
    heads = int(_field(reader, "attention.head_count_kv" if "k_proj" in name else "attention.head_count"))
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _architecture(reader: Any) -> str:  # noqa: ANN401
    return str(reader.fields["general.architecture"].contents())


def _field(reader: Any, name: str) -> Any:  # noqa: ANN401
    return reader.fields[f"{_architecture(reader)}.{name}"].contents()
