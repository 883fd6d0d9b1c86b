"""From a model's name to a `Policy`: finding it, loading it, and putting the adapters on."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tinyzero.config import Loader, ModelConfig, PolicyConfig, SettledModel, resolve_base
from tinyzero.errors import ModelLoadError
from tinyzero.policy import base_files, unsloth_loading
from tinyzero.policy.adapters import add_adapters
from tinyzero.policy.attention import use_grouped_attention
from tinyzero.policy.downloads import announce_download
from tinyzero.policy.frame import TODAY, Frame, end_of_turn
from tinyzero.policy.fused_head import check_fused_head, prepare_fused_head
from tinyzero.policy.imports import import_stack, quiet
from tinyzero.policy.policy import Policy
from tinyzero.policy.soundness import check_sound, drop_noise, silence, widen
from tinyzero.types import Role

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_logger = logging.getLogger(__name__)
_LOADING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, ImportError)
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_policy(
    model: SettledModel,
    policy: PolicyConfig,
    *,
    device: str | torch.device,
    temperature: float,
    seed: int = 0,
    frozen_roles: Collection[Role] = (),
    longest_sequence: int | None = None,
    today: date = TODAY,
    progress: Callable[[str], None] = lambda _: None,
) -> Policy:
    """The base model, frozen, with fresh adapters: at first it answers exactly like the base.

    Makes the first heavy import of the program, through `import_stack`.

    Args:
        temperature: divides the logits in every score of the fused LM head; that of the training samples.
        seed: names the adapters' initial weights. The global generators are left as they were.
        frozen_roles: play at the base model, with the adapter off.
        longest_sequence: tokens of a prompt and its answer, for loaders that plan with it; None for the
            model's context.
        today: the day that the chat template is told.
        progress: is told what is being waited for.

    Raises:
        ModelLoadError: the model could not be found, reached or read.
        HardwareError: the installed trl cannot score on this device.
    """
    device = torch.device(device)
    adapters = {role: "shared" if policy.adapters == "shared" else role.value for role in Role}
    names = list(dict.fromkeys(adapters.values()))
    loader = model.loader
    dtype = _DTYPES[model.dtype]
    doubts = [import_stack(loader, has_cuda=device.type == "cuda", num_adapters=len(names))]
    from trl.trainer.utils import add_fused_lm_head

    check_fused_head(device, version("trl"))
    doubts.append(prepare_fused_head(device, dtype))
    for doubt in filter(None, doubts):
        _logger.warning(doubt)
        progress(doubt)
    if loader == "transformers":
        use_grouped_attention(device)
    in_4_bit = ", and quantising them to 4 bit" if model.is_4_bit else ""
    progress(f"reading the weights of {model.base}{in_4_bit}")
    with no_progress_bars(), quiet():
        base, tokenizer, context_tokens = _load_base(model, device, dtype, loader, progress, longest_sequence)
    stop_ids = _stop_ids(base, tokenizer)
    frame = Frame(unframed(tokenizer, model), today)
    # Before the peft wrap, which would hide the causal model's own forward.
    add_fused_lm_head(base, temperature=temperature, outputs=("log_probs", "entropy"))
    progress("putting the adapters on")
    with quiet():
        wrapped = add_adapters(base, model, policy, names, seed=seed, loader=loader)
    if loader == "unsloth":
        unsloth_loading.check_masks_are_heeded(base, device)
    elif model.gradient_checkpointing:
        # After the wrap: before it, peft would also make the embeddings' output require gradients.
        _checkpoint_activations(base)
    return Policy(
        model=wrapped,
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        adapter_of_role={role: name for role, name in adapters.items() if role not in frozen_roles},
        stop_ids=stop_ids,
        temperature=temperature,
        loader=loader,
        frame=frame,
        context_tokens=context_tokens,
    )


def unframed(tokenizer: "PreTrainedTokenizerBase", model: ModelConfig) -> "PreTrainedTokenizerBase":
    """The tokenizer, without its chat template where a written conversation is asked for."""
    if model.frame == "conversation":
        tokenizer.chat_template = None
    return tokenizer


def local_frame(model: ModelConfig) -> Frame | None:
    """The frame of a model whose tokenizer is on this machine; None where it would have to be fetched.

    Raises:
        ModelLoadError: `model.base` is a folder, and not there.
    """
    from huggingface_hub import try_to_load_from_cache
    from transformers import AutoTokenizer

    source = resolve_base(model.base)
    if not Path(source).is_dir():  # asked for by its name, even with local_files_only, the Hub is contacted
        cached = try_to_load_from_cache(source, "tokenizer_config.json", revision=model.revision)
        if not isinstance(cached, str):
            return None
        source = str(Path(cached).parent)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=True)
    except _LOADING_ERRORS:
        return None
    return Frame(unframed(tokenizer, model)) if tokenizer("1").input_ids else None


def _load_base(
    model: SettledModel,
    device: torch.device,
    dtype: torch.dtype,
    loader: Loader,
    progress: Callable[[str], None],
    longest_sequence: int | None,
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase", int]:
    """The frozen causal model, its tokenizer, and its context in tokens."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer

    source = resolve_base(model.base)
    base_files.check_files(Path(source))
    announce_download(source, model.revision, progress)
    # False rather than nothing, which would ask a person at the keyboard.
    options: dict[str, Any] = {"revision": model.revision or "main", "trust_remote_code": False}
    read = partial(_read_through_unsloth, longest_sequence) if loader == "unsloth" else _read
    try:
        config = AutoConfig.from_pretrained(source, **options)
        context_tokens = widen(config, model.base)
        drop_noise(config)
        is_stored = base_files.prepare_stored(config, dtype, model.base)
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        base, missing_weights = read(source, config, options, model, device, dtype)
    except (*_LOADING_ERRORS, SafetensorError, StrictDataclassError) as error:
        raise ModelLoadError(base_files.load_complaint(model, source, error)) from error
    if getattr(base, "_hf_peft_config_loaded", False):
        raise ModelLoadError(base_files.adapter_complaint(model.base))
    if is_stored:
        base_files.cast_stored(base, dtype)
    _check_complete(model.base, tokenizer, missing_weights)
    check_sound(base, tokenizer, model.base)
    silence(base)
    base.requires_grad_(requires_grad=False)
    base.train(mode=False)
    return base, tokenizer, context_tokens


def _read(
    source: str,
    config: "PretrainedConfig",
    options: dict[str, Any],
    model: SettledModel,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple["PreTrainedModel", Collection[str]]:
    """The causal model on its device, and the weights that its files lack."""
    from transformers import AutoModelForCausalLM

    is_stored = getattr(config, "quantization_config", None) is not None
    quantization = {"device_map": {"": device}} if is_stored else _quantization(model, device, dtype)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        source, config=config, dtype=dtype, output_loading_info=True, **options, **quantization
    )
    base, found = loaded
    if not quantization:  # 4-bit weights are made where they stay
        base.to(device)
    elif device.type == "cpu":
        _keep_differentiable(base)
    return base, found["missing_keys"]


def _keep_differentiable(base: "PreTrainedModel") -> None:
    """Keep 4-bit weights in the layout that has a backward pass.

    On CPUs with AVX512-BF16, bitsandbytes 0.50 repacks them for good at the first pass in evaluation mode:
    our sampling. Multiplying by the new layout passes no gradient on, and adapters would learn nonsense.
    """
    module: Any
    for module in base.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _read_through_unsloth(
    longest_sequence: int | None,
    source: str,
    config: "PretrainedConfig",
    options: dict[str, Any],
    model: SettledModel,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple["PreTrainedModel", Collection[str]]:
    base = unsloth_loading.load_base(
        source,
        config=config,
        revision=options["revision"],
        dtype=dtype,
        device=device,
        is_4_bit=model.is_4_bit,
        gradient_checkpointing=model.gradient_checkpointing,
        longest_sequence=longest_sequence,
    )
    return base, ()


def _check_complete(
    base: str, tokenizer: "PreTrainedTokenizerBase", missing_weights: Collection[str]
) -> None:
    """What a folder lacks would be made up for: an empty tokenizer, random weights."""
    if not tokenizer("1").input_ids:
        raise ModelLoadError(f"{base!r} has no tokenizer; copy its tokenizer.json and tokenizer_config.json")
    if missing_weights:
        first = min(missing_weights)
        raise ModelLoadError(f"{base!r} lacks {len(missing_weights)} weights ({first} ...); fetch it again")


def _quantization(model: SettledModel, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    if not model.is_4_bit:
        return {}
    from transformers import BitsAndBytesConfig

    nf4 = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": nf4, "device_map": {"": device}}


def _checkpoint_activations(base: "PreTrainedModel") -> None:
    # transformers renamed the method within the range that we support.
    usual, renamed = "gradient_checkpointing_enable", "activation_checkpointing_enable"
    getattr(base, renamed if hasattr(base, renamed) else usual)({"use_reentrant": False})


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """The screen belongs to the run's own view."""
    from transformers.utils import logging

    had_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if had_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _stop_ids(base: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Every token that ends an answer: those that the model's files name, and what its template writes."""
    generation = base.generation_config
    configured = getattr(base.config.get_text_config(), "eos_token_id", None)
    named = [configured, generation and generation.eos_token_id, tokenizer.eos_token_id]
    ends = [*named, end_of_turn(tokenizer)]
    stop_ids: set[int] = set()
    for end in ends:
        stop_ids.update([end] if isinstance(end, int) else end or [])
    return frozenset(stop_ids)
