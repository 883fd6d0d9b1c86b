"""Opens an exported model like any user: by its folder, offline, with plain transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.errors import SelfTestFailed
from tinyzero.policy.written_frame import tokens_of

if TYPE_CHECKING:
    import torch

    from tinyzero.policy.frame import Frame

_CHAT = ("What is 6 * 7?", "42", "And 7 * 8?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A loaded model folder."""

    model: Any
    tokenizer: Any


def reopen(folder: Path, device: "torch.device") -> Opened:
    """Load an exported folder. On a CPU it computes in float32, whatever the type of its files.

    Raises:
        SelfTestFailed: the folder does not load completely.
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
        raise SelfTestFailed(f"the exported model does not open again: {reason}") from error
    model, loading_info = loaded
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading_info.get(fault):
            raise SelfTestFailed(
                f"the exported model has {fault.replace('_', ' ')}: {min(loading_info[fault])}"
            )
    return Opened(model=model.to(device).eval(), tokenizer=tokenizer)


def check_opened(opened: Opened, stop_ids: frozenset[int]) -> None:
    """Check that the folder describes plain weights, and ends answers where the run does.

    Raises:
        SelfTestFailed: it does not.
    """
    if getattr(opened.model.config, "quantization_config", None) is not None:
        raise SelfTestFailed("the exported configuration still says that the model is quantised")
    ends = opened.model.generation_config.eos_token_id
    if set(ends if isinstance(ends, list) else [ends]) != stop_ids:
        raise SelfTestFailed(f"the exported model ends answers at {ends}, the run at {sorted(stop_ids)}")


def check_frame(tokenizer: Any, frame: "Frame", texts: Sequence[str], *, reasons: bool) -> None:  # noqa: ANN401
    """Check that an exported tokenizer by itself makes the tokens that the run read.

    Args:
        tokenizer: opened from the exported folder. frame: the run's.
        texts: prompts. One that quotes a control token is left out.
        reasons: whether the run told a model without a chat template to reason first.

    Raises:
        SelfTestFailed: the tokens differ.
    """
    for turns in (*([text] for text in without_control(tokenizer, texts)), *_chats(frame)):
        expected = frame.encode_turns(turns, reasons=reasons)
        if tokens_of(tokenizer, [frame.content(turn) for turn in turns]) != expected:
            raise SelfTestFailed(
                "the exported tokenizer makes other tokens of a prompt than the run's does, so nothing "
                "is exported"
            )


def without_control(tokenizer: Any, texts: Sequence[str]) -> list[str]:  # noqa: ANN401
    """The texts that quote no control token, which plain programs cannot tell from one."""
    control = [token for token in tokenizer.get_added_vocab() if token.strip()]
    return [text for text in texts if not any(token in text for token in control)]


def _chats(frame: "Frame") -> list[Sequence[str]]:
    """A conversation of several turns, where the chat template takes one."""
    try:
        frame.encode_turns(_CHAT)
    except Exception:  # noqa: BLE001  a template is a program, and may refuse a second turn
        return []
    return [_CHAT]
