"""Opens an exported model like any user: by its folder, offline, with plain transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.errors import ExportError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A loaded model folder."""

    model: Any
    tokenizer: Any


def reopen(folder: Path, device: "torch.device") -> Opened:
    """Load an exported folder. On a CPU it computes in float32, whatever the type of its files.

    Raises:
        ExportError: the folder does not load completely.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tinyzero.policy.loading import no_progress_bars

    dtype: Any = torch.float32 if device.type == "cpu" else "auto"
    try:
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                dtype=dtype,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(f"the exported model does not open again: {reason}") from error
    model, loading_info = loaded
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading_info.get(fault):
            raise ExportError(f"the exported model has {fault.replace('_', ' ')}: {min(loading_info[fault])}")
    return Opened(model=model.to(device).eval(), tokenizer=tokenizer)


def check_opened(opened: Opened, tokenizer: Any, texts: Sequence[str], stop_ids: frozenset[int]) -> None:  # noqa: ANN401
    """Check that the folder tokenizes text and ends answers like the run.

    Args:
        tokenizer: the run's tokenizer. texts: prompts that both tokenizers must read alike.

    Raises:
        ExportError: the exported files differ.
    """
    if getattr(opened.model.config, "quantization_config", None) is not None:
        raise ExportError("the exported configuration still says that the model is quantised")
    for text in texts:
        if _turn(opened.tokenizer, text) != _turn(tokenizer, text):
            raise ExportError("the exported tokenizer makes other tokens of a prompt than the run's does")
    ends = opened.model.generation_config.eos_token_id
    if set(ends if isinstance(ends, list) else [ends]) != stop_ids:
        raise ExportError(f"the exported model ends answers at {ends}, the run at {sorted(stop_ids)}")


def _turn(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    """A user's turn as tokens, in the model's chat format if it has one."""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text).input_ids)
