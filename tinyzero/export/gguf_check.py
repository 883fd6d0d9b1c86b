"""Checks that a GGUF file holds the merged model: every tensor, bit for bit, and every token."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.errors import ExportError
from tinyzero.export.weights import open_weights

if TYPE_CHECKING:
    import numpy as np


def compare(path: Path, merged: Path) -> None:
    """Read the file with the package `gguf`, and compare it with the folder of the merged model.

    Raises:
        ExportError: they differ, or the file cannot be read.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ExportError(f"the converter wrote a GGUF file that does not open: {error}") from error
    _compare_tensors(reader, merged)
    _compare_tokens(reader, merged)


def _compare_tensors(reader: Any, merged: Path) -> None:  # noqa: ANN401  a GGUFReader, which is untyped
    import numpy as np
    from gguf.quants import dequantize

    written = {tensor.name: tensor for tensor in reader.tensors}
    names = _name_map(reader)
    with open_weights(merged) as weights:
        for name in weights.tensors:
            tensor = written.get(names.get_name(name, try_suffixes=(".weight", ".bias")) or "")
            if tensor is None:
                raise ExportError(f"the GGUF file lacks the tensor {name}")
            expected = _as_llama_cpp(reader, name, weights.load(name).float().numpy())
            values = dequantize(tensor.data, tensor.tensor_type).reshape(expected.shape)
            if not np.array_equal(values, expected):
                raise ExportError(f"the GGUF file holds other values for {name} than the merged model")


def _compare_tokens(reader: Any, merged: Path) -> None:  # noqa: ANN401
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(merged, local_files_only=True, trust_remote_code=False)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    known = tokenizer.get_vocab()
    wrong = next((token for token, place in known.items() if tokens[place] != token), None)
    if wrong is not None:
        raise ExportError(f"the GGUF file holds another token than {wrong!r} at {known[wrong]}")


def _name_map(reader: Any) -> Any:  # noqa: ANN401
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    name = _architecture(reader)
    architecture = next((arch for arch, known in MODEL_ARCH_NAMES.items() if known == name), None)
    if architecture is None:
        raise ExportError(f"the package gguf does not know the architecture {name}; update it")
    return get_tensor_name_map(architecture, int(_field(reader, "block_count")))


def _as_llama_cpp(reader: Any, name: str, values: "np.ndarray") -> "np.ndarray":  # noqa: ANN401
    """The tensor in llama.cpp's layout: Llama's query and key rows are interleaved in pairs."""
    if _architecture(reader) != "llama" or not name.endswith(("q_proj.weight", "k_proj.weight")):
        return values
    heads = int(_field(reader, "attention.head_count_kv" if "k_proj" in name else "attention.head_count"))
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _architecture(reader: Any) -> str:  # noqa: ANN401
    return str(reader.fields["general.architecture"].contents())


def _field(reader: Any, name: str) -> Any:  # noqa: ANN401
    return reader.fields[f"{_architecture(reader)}.{name}"].contents()
