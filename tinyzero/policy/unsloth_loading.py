"""Base model and adapters through unsloth. Runs on CUDA only; `imports` has brought unsloth in by then."""

from typing import TYPE_CHECKING, Any

import torch

from tinyzero.errors import ModelLoadError

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PretrainedConfig, PreTrainedModel

FIRST = "default"  # what unsloth calls the adapter that it makes


def load_base(
    source: str,
    *,
    config: "PretrainedConfig",
    revision: str,
    dtype: torch.dtype,
    device: torch.device,
    is_4_bit: bool,
    gradient_checkpointing: bool,
    longest_sequence: int | None = None,
) -> "PreTrainedModel":
    """The causal model, in NF4 with double quantisation where `is_4_bit`.

    FastModel, and not FastLanguageModel: the forward pass of the latter ignores masks while it trains, and
    takes no cache but its own. Completions that share a prompt, and our sampler, need both.

    Args:
        longest_sequence: tokens of the longest row; None for the model's context. Unsloth estimates from it
            whether memory is tight, and would move the embeddings of a model with a long context to main
            memory: a wait for each token, and no CUDA graphs.
    """
    from unsloth import FastModel

    context_tokens = config.get_text_config().max_position_embeddings
    model, _ = FastModel.from_pretrained(
        model_name=source,
        config=config,
        revision=revision,
        max_seq_length=min(longest_sequence or context_tokens, context_tokens),
        offload_embedding=False,
        dtype=dtype,
        load_in_4bit=is_4_bit,
        load_in_16bit=not is_4_bit,
        device_map={"": str(device)},
        trust_remote_code=False,
        use_exact_model_name=True,  # else it takes another repository: its own upload of the model in 4 bit
        use_gradient_checkpointing=_checkpointing(gradient_checkpointing),
    )
    loaded: PreTrainedModel = model
    return loaded


def wrap(
    base: Any,  # noqa: ANN401
    lora: "LoraConfig",
    *,
    gradient_checkpointing: bool,
) -> "PeftModel":
    """Wrap the model as unsloth wants it, with one adapter that has its fixed name, `FIRST`, still on."""
    from unsloth import FastModel

    wrapped: PeftModel = FastModel.get_peft_model(
        base,
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules="all-linear",
        use_gradient_checkpointing=_checkpointing(gradient_checkpointing),
    )
    return wrapped


def check_masks_are_heeded(model: Any, device: torch.device) -> None:  # noqa: ANN401  (a causal model)
    """A token that no other may see must change nothing.

    Looked at once, after loading: a forward pass that ignores masks would mix the answers to one prompt, and
    never complain.

    Raises:
        ModelLoadError: it changes something.
    """
    seen = torch.ones(4, 4, dtype=torch.bool, device=device).tril()
    seen[2:, 1] = False
    dtype = model.get_input_embeddings().weight.dtype
    mask = torch.zeros(1, 1, 4, 4, dtype=dtype, device=device).masked_fill_(~seen, torch.finfo(dtype).min)
    with torch.no_grad():  # inference tensors that a layer keeps would be of no use to training
        for is_training in (True, False):
            model.train(is_training)
            one, other = (
                model.base_model(
                    input_ids=torch.tensor([[5, hidden, 6, 7]], device=device), attention_mask=mask
                ).last_hidden_state[0, 3]
                for hidden in (8, 9)
            )
            if not torch.allclose(one, other, rtol=0, atol=1e-3):
                raise ModelLoadError(
                    "unsloth's forward pass ignores attention masks for this model, so answers to one prompt "
                    "would be mixed; set model.loader to transformers"
                )


def _checkpointing(is_on: bool) -> str | bool:  # noqa: FBT001
    """Unsloth's own kind also moves activations to main memory."""
    return "unsloth" if is_on else False
