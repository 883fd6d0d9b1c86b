"""Writes a merged model's folder: weights, other files, and the comparison with the trained policy."""

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinyzero.config import SettledModel
from tinyzero.export import gguf
from tinyzero.export.aside import check_room
from tinyzero.export.base import Base, Facts
from tinyzero.export.checking import check_frame, check_opened, reopen, without_control
from tinyzero.export.gguf_trial import can_try, try_out
from tinyzero.export.merge import TORCH_NAME, Dtype, MergeBase, Merged, merge
from tinyzero.export.selftest import (
    NUM_PROMPTS,
    Agreement,
    Reference,
    ask,
    check_agreement,
    compare,
    prompts_of,
)
from tinyzero.export.tokenizer_files import (
    read_object,
    reasons_first,
    without_places,
    write_object,
    write_tokenizer,
)
from tinyzero.policy.written_frame import chat_template
from tinyzero.run.trained import load_trained
from tinyzero.types import Role

if TYPE_CHECKING:
    import torch

    from tinyzero.policy.frame import Frame

_DROPPED = ("quantization_config", "torch_dtype")


def _write_model_files(
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


_UNTRIED = (
    "warning: the GGUF file was compared, and not run: pip install xllamacpp, and export again, to have "
    "llama.cpp try it"
)
_NO_TEMPLATE = (
    "warning: the Modelfile has no TEMPLATE, since Ollama's language cannot say the chat template; ask "
    "through llama.cpp, which reads the template in the file"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """Outputs of the live policy, kept after the policy is removed from memory.

    Attributes:
        reasons: whether the frame of a model without a chat template told it to reason first.
    """

    reference: Reference
    frame: "Frame"
    reasons: bool
    device: "torch.device"
    stop_ids: frozenset[int]
    pad_id: int


def write_merged(
    facts: Facts,
    folder: Path,
    *,
    merge_base: MergeBase | Literal["auto"],
    dtype: Dtype | None,
    tell: Callable[[str], None],
    shard_bytes: int,
) -> Facts:
    """Write the merged model, or its GGUF file, into `folder`. Returns the facts with the measurements."""
    tell("asking the live adapter")
    live = _ask_live(facts)
    tries = []
    for number, into in enumerate(_merge_bases(facts, merge_base)):
        attempt = folder / f".try-{number}"
        attempt.mkdir()
        tell(f"merging into the {into} base")
        merged = _merge(facts, attempt, into, dtype, live, shard_bytes)
        tell("comparing the merged model with the live adapter")
        tries.append((_compare(attempt, live), merged, attempt))
    agreement, merged, chosen = min(tries, key=lambda attempted: attempted[0].mean_kl)
    is_same_base = merged.merge_base == "dequant" or not facts.config.model.is_4_bit
    check_agreement(agreement, is_same_base=is_same_base)
    for _, _, attempt in tries:
        if attempt != chosen:
            shutil.rmtree(attempt)
    if facts.what == "gguf":
        tell("converting to GGUF")
        notes = _write_gguf(facts, folder, chosen, live, merged.dtype, tell)
        shutil.rmtree(chosen)
    else:
        notes = ()
        _move_up(chosen)
    return replace(facts, merged=merged, agreement=agreement, notes=notes)


def _write_gguf(
    facts: Facts, folder: Path, merged: Path, live: _Live, dtype: Dtype, tell: Callable[[str], None]
) -> tuple[str, ...]:
    """Write the GGUF file and its Modelfile, and try the file. Returns remarks for the owner."""
    gguf.convert(merged, folder, name=facts.title, dtype=dtype)
    opened = reopen(merged, live.device)
    if can_try():
        tell("asking llama.cpp")
        texts = [prompt.text for prompt in live.reference.prompts]
        try_out(
            folder / gguf.NAME, opened, without_control(opened.tokenizer, texts), dtype=dtype, home=merged
        )
    has_template = gguf.describe(
        facts.config, folder, opened.tokenizer, live.stop_ids, is_conversation=bool(facts.conversation)
    )
    return (*(() if can_try() else (_UNTRIED,)), *(() if has_template else (_NO_TEMPLATE,)))


def _merge_bases(facts: Facts, merge_base: MergeBase | Literal["auto"]) -> Sequence[MergeBase]:
    """The bases to try: for `auto`, both if training used a 4-bit base, else only bf16."""
    if merge_base != "auto":
        return (merge_base,)
    return ("bf16", "dequant") if facts.config.model.is_4_bit else ("bf16",)


def _ask_live(facts: Facts) -> _Live:
    policy = load_trained(facts.run, facts.snapshot)
    role = Role.PROPOSER if facts.adapter.name == Role.PROPOSER else Role.SOLVER
    live = _Live(
        reference=ask(policy, role, prompts_of(facts.run, role, NUM_PROMPTS), facts.config.sampling),
        frame=policy.frame,
        reasons=reasons_first(facts.config),
        device=policy.device,
        stop_ids=policy.stop_ids,
        pad_id=policy.pad_id,
    )
    del policy  # two models may not fit into memory
    gc.collect()
    return live


def _merge(
    facts: Facts, folder: Path, into: MergeBase, dtype: Dtype | None, live: _Live, shard_bytes: int
) -> Merged:
    merged = merge(
        facts.base.folder,
        facts.adapter,
        folder,
        merge_base=into,
        dtype=dtype,
        trained_dtype=_trained_dtype(facts.config.model),
        shard_bytes=shard_bytes,
        check_room=lambda num_bytes: check_room(folder, num_bytes),
    )
    _write_model_files(
        facts.base,
        folder,
        dtype=merged.dtype,
        has_own_head=merged.has_own_head,
        stop_ids=live.stop_ids,
        pad_id=live.pad_id,
        temperature=facts.config.sampling.temperature,
        template=chat_template(live.frame, reasons=live.reasons),
    )
    return merged


def _trained_dtype(model: SettledModel) -> "torch.dtype":
    """The type of the weights before quantisation."""
    import torch

    dtype: torch.dtype = getattr(torch, model.dtype)
    return dtype


def _compare(folder: Path, live: _Live) -> Agreement:
    opened = reopen(folder, live.device)
    check_opened(opened, live.stop_ids)
    texts = [prompt.text for prompt in live.reference.prompts]
    check_frame(opened.tokenizer, live.frame, texts, reasons=live.reasons)
    agreement = compare(live.reference, opened.model, live.device)
    del opened
    gc.collect()
    return agreement


def _move_up(folder: Path) -> None:
    for path in folder.iterdir():
        path.rename(folder.parent / path.name)
    folder.rmdir()
