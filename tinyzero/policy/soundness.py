"""Whether a model can be used: finite weights, an embedding for every token, a plain head."""

from typing import TYPE_CHECKING, Any

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
