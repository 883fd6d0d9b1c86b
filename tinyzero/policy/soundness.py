"""Whether a model can be used: finite weights, an embedding for every token, a plain head."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from tinyzero.errors import ModelLoadError
from tinyzero.policy.base_files import is_packed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_sound(model: Any, tokenizer: "PreTrainedTokenizerBase", base: str) -> None:  # noqa: ANN401
    """Refuse what would end in wrong numbers, or in an error that names no cause.

    Raises:
        ModelLoadError: the message says what is wrong with the model's files.
    """
    _check_vocabulary(model, tokenizer, base)
    _check_head(model, base)
    _check_numbers(model, base)


def _check_vocabulary(model: Any, tokenizer: "PreTrainedTokenizerBase", base: str) -> None:  # noqa: ANN401
    num_rows = model.get_input_embeddings().weight.shape[0]
    token, number = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if number >= num_rows:
        raise ModelLoadError(
            f"the tokenizer of {base!r} has {number + 1} tokens (the last one is {token!r}), its embedding "
            f"{num_rows} rows; take the model's own tokenizer, or resize the embedding and save the model"
        )


def _check_head(model: Any, base: str) -> None:  # noqa: ANN401
    """The fused LM head multiplies by the raw weight."""
    head = model.get_output_embeddings()
    if head is None or not head.weight.is_floating_point() or head.weight.ndim != 2:
        raise ModelLoadError(
            f"the LM head of {base!r} is missing or quantised, and the learner reads its weight; take a "
            "causal language model whose head is in 16 or 32 bit"
        )


def _check_numbers(model: Any, base: str) -> None:  # noqa: ANN401
    name = weight_not_finite(model)
    if name is not None:
        raise ModelLoadError(
            f"the weight {name} of {base!r} holds numbers that are not finite; fetch or save the model "
            "again (a float16 file may have overflowed), or set model.dtype to bfloat16 or float32"
        )


def weight_not_finite(model: Any, *, only: str = "") -> str | None:  # noqa: ANN401
    """The name of the first weight that holds NaN or infinity; None if all are finite.

    Args:
        only: looks at weights with this text in their name.
    """
    weights = ((name, weight) for name, weight in model.named_parameters() if only in name)
    return next(
        (
            name
            for name, weight in weights
            if not is_packed(weight) and weight.is_floating_point() and not bool(weight.isfinite().all())
        ),
        None,
    )


def why_not_finite(model: Any) -> str:  # noqa: ANN401
    """What makes a policy's numbers NaN or infinite, and what helps: a part of a message."""
    name = weight_not_finite(model)
    if name is None:
        return "all weights are finite, so numbers overflow in between; lower learner.lr, or set model.dtype"
    owner = "an adapter" if ".lora_" in name else "the base model"
    return f"the weight {name} of {owner} is not finite; the next start loads it again"


_NAMES = (
    "drop",
    "jitter",
)  # resid_pdrop, hidden_dropout_prob, layerdrop, drop_path_rate; router_jitter_noise


def drop_noise(config: Any) -> None:  # noqa: ANN401  (a configuration, or a dictionary in one)
    """Set every probability of dropout in a configuration to 0, those of its parts as well."""
    values = config if isinstance(config, dict) else vars(config)
    for name, value in list(values.items()):
        if isinstance(value, dict) or hasattr(value, "to_dict"):
            drop_noise(value)
        elif _is_noise(name, value):
            values[name] = 0.0


def silence(model: nn.Module) -> None:
    """The same for modules that were made with probabilities of their own."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if _is_noise(name, value):
                setattr(module, name, 0.0)


def _is_noise(name: str, value: Any) -> bool:  # noqa: ANN401
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= 1 and any(part in name for part in _NAMES)


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
