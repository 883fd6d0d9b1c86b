"""How long a sequence may be before a model computes something else than it does for a shorter one.

Up to some length, sliding windows are full attention, and rotary factors that change stay what they are. That
length is the context here: beyond it, stored keys and neighbours in a batch would be wrong.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tinyzero.errors import ModelLoadError

NO_LIMIT = 1 << 30
_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")


def widen(config: Any, base: str) -> int:  # noqa: ANN401  (of a transformers model)
    """Take windows out of a configuration; returns the tokens up to which that makes no difference.

    Raises:
        ModelLoadError: the model has layers that no sampler knows.
    """
    text = config.get_text_config()
    _check_layers(text, base)
    limits = [*_positions(text), *_unscaled_positions(text)]
    window = getattr(text, "sliding_window", None)
    if isinstance(window, int) and not getattr(text, "layer_types", None):  # else the types have said so
        limits.append(window)
        _take_out_window(text, base)
    return min(limits, default=NO_LIMIT)


def _take_out_window(text: Any, base: str) -> None:  # noqa: ANN401
    from huggingface_hub.errors import StrictDataclassError

    try:
        text.sliding_window = None
    except StrictDataclassError as error:  # some families must have one
        raise ModelLoadError(
            f"{base!r} has a sliding window of {text.sliding_window} tokens that cannot be switched off, and "
            "the samplers know full attention only; take a model of the Llama, Qwen2.5 or Qwen3 kind"
        ) from error


def _check_layers(text: Any, base: str) -> None:  # noqa: ANN401
    kinds = {*(getattr(text, "layer_types", None) or ()), *(getattr(text, "attention_layers", None) or ())}
    others = kinds - {"full_attention", "global"}
    if others:
        raise ModelLoadError(
            f"{base!r} has layers of {', '.join(sorted(others))}, and the samplers know full attention only; "
            "take a model of the Llama, Qwen2.5 or Qwen3 kind"
        )


def _positions(text: Any) -> Iterator[int]:  # noqa: ANN401
    for name in _POSITIONS:
        value = getattr(text, name, None)
        if isinstance(value, int) and value > 0:
            yield value


def _unscaled_positions(text: Any) -> Iterator[int]:  # noqa: ANN401
    """Where longrope changes its factors. Other kinds have one set, or change at the end of the context."""
    scaling: Any = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    nested = [value for value in scaling.values() if isinstance(value, Mapping)]
    for rope in (scaling, *nested):
        if "longrope" in (rope.get("rope_type"), rope.get("type")):
            original = rope.get("original_max_position_embeddings")
            original = original or getattr(text, "original_max_position_embeddings", None)
            if isinstance(original, int):
                yield original
