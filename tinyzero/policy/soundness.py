"""Whether a model that was loaded can be used: finite weights, an embedding for every token, a plain head."""

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
    for name, parameter in model.named_parameters():
        if is_packed(parameter) or not parameter.is_floating_point():
            continue
        if not bool(parameter.isfinite().all()):
            raise ModelLoadError(
                f"the weight {name} of {base!r} holds numbers that are not finite; fetch or save the model "
                "again (a float16 file may have overflowed), or set model.dtype to bfloat16 or float32"
            )
