"""The memory plan: what a run will need, term by term, from the model's shape alone; pure arithmetic.

Nothing is loaded and no device is asked. The figures are estimates of the peak, good to about 15 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyzero.config import Config
from tinyzero.planning.shapes import ModelShape

Device = Literal["cpu", "cuda"]

_GIB = 2**30

# bitsandbytes NF4: half a byte a weight, an 8-bit scale per 64 weights, and a 32-bit one per 256 of those.
NF4_BYTES = 0.5 + 1 / 64 + 4 / 16384
# In vLLM the scales are 32-bit: its loader undoes the second quantisation (vllm-bnb-plugin 0.0.3).
_VLLM_NF4_BYTES = 0.5 + 4 / 64
ADAPTER_BYTES = 4  # float32, and so are its gradients
# Two moments: 8 bit, with a float32 scale per block of 256, or float32. Paged ones count in full: a page is
# moved to the machine's memory only when the card's runs out.
_8_BIT_MOMENTS, _FLOAT_MOMENTS = 2 * (1 + 4 / 256), 8.0
# The fused LM head works on tiles of 4096 tokens x 32768 vocabulary entries (trl.kernels.chunked_logprob):
# one tile of the compute type on CUDA, where its kernels work in place, about three float32 ones elsewhere.
_TILE_TOKENS, _TILE_VOCABULARY, _TORCH_TILE_BYTES = 4096, 32768, 12
_KEPT_BYTES = 2 * 2**20
_PREFILL_TOKENS = 8192  # as in tinyzero.sampling.builtin
FRAGMENTATION = 1.08
_RUNTIME_GIB = {
    "cuda": 0.9,
    "cpu": 0.6,
}  # CUDA context and kernels; a process with torch and transformers in it


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What is held at once while sampling and while learning; every term in GiB."""

    always: Mapping[str, float]
    sampling: Mapping[str, float]
    learning: Mapping[str, float]
    runtime: float

    @property
    def starves_vllm(self) -> bool:
        """VLLM on this card has no memory left for keys and values, beside its weights."""
        return self.sampling.get("vllm_cache", 1.0) <= 0

    @property
    def sampling_gib(self) -> float:
        return FRAGMENTATION * (sum(self.always.values()) + sum(self.sampling.values())) + self.runtime

    @property
    def learning_gib(self) -> float:
        return FRAGMENTATION * (sum(self.always.values()) + sum(self.learning.values())) + self.runtime

    @property
    def peak_gib(self) -> float:
        return max(self.sampling_gib, self.learning_gib)

    @property
    def floor_gib(self) -> float:
        """What no setting of the sampler or the learner lowers: the model, its adapters, the runtime."""
        return FRAGMENTATION * sum(self.always.values()) + self.runtime

    @property
    def knob(self) -> str:
        """The setting that lowers the peak."""
        if self.sampling_gib <= self.learning_gib:
            return "learner.micro_batch_tokens"
        return "sampling.vllm_gib" if "vllm_cache" in self.sampling else "sampling.batch_rows"


def plan(config: Config, shape: ModelShape, *, device: Device) -> MemoryPlan:
    """The peak of a run, term by term. A term that is too small to see is left in: nothing is hidden.

    Weights, adapters and cache follow from the shapes of the matrices. One adapter learns at a time, so only
    one has gradients. A divergence from the reference (`learner.kl_coef`) costs time, but no memory: its pass
    keeps nothing for a backward one.
    """
    return MemoryPlan(
        always=_always(config, shape, device),
        sampling=_sampling(config, shape, device),
        learning=_learning(config, shape, device),
        runtime=_RUNTIME_GIB[device],
    )


def is_quantized(config: Config, device: Device) -> bool:
    wanted = config.model.quantization
    return wanted == "nf4" or (wanted == "auto" and device == "cuda")


def number_bytes(config: Config, device: Device) -> int:
    """Bytes of a number of the compute type."""
    if config.model.dtype == "auto":
        return 4 if device == "cpu" else 2
    return 4 if config.model.dtype == "float32" else 2


def offloaded_gib(config: Config, shape: ModelShape, device: Device) -> float:
    """Activations that are in main memory instead, where unsloth has loaded the model; part of the plan's.

    Its checkpointing moves each layer's input there, but for the last layer's and what has at most 2 MiB
    (unsloth_zoo 2026.10.6, gradient_checkpointing.py; read, not measured).
    """
    is_possible = config.model.loader == "unsloth" or (
        config.model.loader == "auto" and config.policy.adapters == "shared"
    )
    if device == "cpu" or not config.model.gradient_checkpointing or not is_possible:
        return 0.0
    micro_batch = max(config.learner.micro_batch_tokens, longest_sequence(config))
    of_layer = micro_batch * shape.hidden * number_bytes(config, device)
    return 0.0 if of_layer <= _KEPT_BYTES else (shape.layers - 1) * of_layer / _GIB


def adapter_gib(config: Config, shape: ModelShape, device: Device) -> Mapping[str, float]:
    """All adapters, and the moments that their optimizers keep of them."""
    num_adapters = 2 if config.policy.adapters == "per-role" else 1
    weights = num_adapters * shape.lora_weights(config.policy.rank)
    is_8_bit = {"auto": device == "cuda", "adamw": False}.get(config.learner.optimizer, True)
    moments = _8_BIT_MOMENTS if is_8_bit else _FLOAT_MOMENTS
    return _in_gib(adapters=weights * ADAPTER_BYTES, optimizer=weights * moments)


def longest_sequence(config: Config) -> int:
    """Tokens of the longest prompt with the longest completion."""
    return config.sampling.max_prompt_tokens + max(
        config.selfplay.proposal_tokens, config.selfplay.answer_tokens
    )


def _longest_row(config: Config) -> int:
    """Tokens of a prompt with all attempts at it behind each other."""
    selfplay = config.selfplay
    completions = selfplay.attempts * selfplay.answer_tokens
    if selfplay.game == "r-zero":  # all of a step's questions answer the same prompt
        completions = max(completions, selfplay.proposals_per_step * selfplay.proposal_tokens)
    return max(config.sampling.max_prompt_tokens + completions, longest_sequence(config))


def _always(config: Config, shape: ModelShape, device: Device) -> dict[str, float]:
    size = number_bytes(config, device)
    linear = NF4_BYTES if is_quantized(config, device) else size
    other_weights = shape.embedding_weights + shape.small_weights
    weights = _in_gib(weights=shape.linear_weights * linear + other_weights * size)
    process = {"vllm_process": _RUNTIME_GIB[device]} if has_own_vllm(config) else {}
    return weights | dict(adapter_gib(config, shape, device)) | process


def has_own_vllm(config: Config) -> bool:
    """Whether vLLM samples, and on the card that trains."""
    return config.sampling.engine == "vllm" and config.sampling.server_url is None


def _sampling(config: Config, shape: ModelShape, device: Device) -> dict[str, float]:
    if has_own_vllm(config):
        return _vllm(config, shape, device)
    return {} if config.sampling.engine == "vllm" else _builtin(config, shape, device)


def _vllm(config: Config, shape: ModelShape, device: Device) -> dict[str, float]:
    """What vLLM has while it is awake: a base of its own, and the rest of what it is given.

    Asleep it keeps its process on the card, and its weights are in main memory.
    """
    size = number_bytes(config, device)
    linear = _VLLM_NF4_BYTES if is_quantized(config, device) else size
    other_weights = shape.embedding_weights + shape.small_weights
    weights = _in_gib(
        vllm_weights=shape.linear_weights * linear
        + (other_weights + shape.lora_weights(config.policy.rank)) * size
    )
    return weights | {"vllm_cache": config.sampling.vllm_gib - weights["vllm_weights"]}


def _builtin(config: Config, shape: ModelShape, device: Device) -> dict[str, float]:
    size, rows = number_bytes(config, device), config.sampling.batch_rows
    longest_prompt = config.sampling.max_prompt_tokens
    prefilled = max(min(_PREFILL_TOKENS, config.selfplay.proposals_per_step * longest_prompt), longest_prompt)
    # The prompts' keys and values, and what one layer has alive: the MLP's inner values in both types.
    per_token = shape.kv_numbers_per_token * size + (shape.intermediate + shape.hidden) * (2 * size + 8)
    return _in_gib(
        kv_cache=rows * longest_sequence(config) * shape.kv_numbers_per_token * size,
        prefill=prefilled * per_token,
        # Logits, and three float32 copies: over the temperature, shifted, exponentiated.
        sampler=rows * shape.vocabulary * (size + 3 * 4),
        dequantised_layer=_dequantised_bytes(config, shape, device),
    )


def _learning(config: Config, shape: ModelShape, device: Device) -> dict[str, float]:
    size = number_bytes(config, device)
    micro_batch = max(config.learner.micro_batch_tokens, longest_sequence(config))
    tile = min(micro_batch, _TILE_TOKENS) * min(shape.vocabulary, _TILE_VOCABULARY)
    return _in_gib(
        gradients=shape.lora_weights(config.policy.rank) * ADAPTER_BYTES,
        activations=micro_batch
        * activation_bytes_per_token(shape, size, is_recomputed=config.model.gradient_checkpointing),
        # The attempts at a task share rows, and a mask of bools and of numbers keeps them apart.
        attention_mask=micro_batch * min(micro_batch, _longest_row(config)) * (1 + size),
        dequantised_layer=_dequantised_bytes(config, shape, device),
        logits=tile * (size if device == "cuda" else _TORCH_TILE_BYTES),
    )


def activation_bytes_per_token(shape: ModelShape, size: int, *, is_recomputed: bool) -> int:
    """Bytes that one token costs between forward and backward: of all layers, or each layer's input and one.

    Counted on what autograd saves of a Llama layer under LoRA (tests/planning/test_measured.py), with flash
    or memory-efficient attention, which keeps no scores. Adapters compute in float32, so that 16-bit inputs
    of all seven linear maps are saved a second time, in float32.

    Args:
        size: bytes of a number of the compute type.
    """
    hidden, queries, inner = shape.hidden, shape.queries, shape.intermediate
    if size == ADAPTER_BYTES:
        saved = size * (4 * hidden + 4 * queries + 4 * inner)
    else:
        saved = size * (4 * queries + 3 * inner) + ADAPTER_BYTES * (7 * hidden + queries + inner)
    passing = 2 * ADAPTER_BYTES * inner  # alive in the backward pass of one MLP
    return passing + (shape.layers * hidden * size + saved if is_recomputed else shape.layers * saved)


def _dequantised_bytes(config: Config, shape: ModelShape, device: Device) -> int:
    """The largest linear map in the compute type: what 4-bit weights are multiplied as in large batches."""
    size = number_bytes(config, device)
    return shape.hidden * shape.intermediate * size if is_quantized(config, device) else 0


def _in_gib(**terms: float) -> dict[str, float]:
    return {name: size / _GIB for name, size in terms.items()}
