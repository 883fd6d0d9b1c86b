"""The memory plan: the needs of a run, term by term, computed only from the model's shape.

It loads nothing and uses no device. The figures are estimates of the peak, accurate to about 15 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyzero.config import Device, SamplingConfig, Settled, SettledModel
from tinyzero.machine.shapes import ModelShape

_GIB = 2**30

# bitsandbytes NF4: half a byte per weight, an 8-bit scale per 64 weights, a 32-bit scale per 256 scales.
NF4_BYTES = 0.5 + 1 / 64 + 4 / 16384
# In vLLM the scales are 32-bit: its loader undoes the second quantisation (vllm-bnb-plugin 0.0.3).
_VLLM_NF4_BYTES = 0.5 + 4 / 64
_ADAPTER_BYTES = 4  # float32, also for its gradients
# Two moments: 8 bit, with a float32 scale per block of 256, or float32. Paged ones count in full: a page is
# moved to the machine's memory only when the card's runs out.
_8_BIT_MOMENTS, _FLOAT_MOMENTS = 2 * (1 + 4 / 256), 8.0
# The fused LM head works on tiles of 4096 tokens x 32768 vocabulary entries (trl.kernels.chunked_logprob):
# one tile of the compute type on CUDA, where its kernels work in place, about three float32 ones elsewhere.
_TILE_TOKENS, _TILE_VOCABULARY, _TORCH_TILE_BYTES = 4096, 32768, 12
_KEPT_BYTES = 2 * 2**20
KERNELS_PER_LAYER = 119
"""Kernels of a decoding step for a layer with 4-bit weights and LoRA; tools/pretend_gpu.py counts 110."""
# A node of a CUDA graph takes about 10 KB (NVIDIA/cccl#3768, not measured here). A step of a run comes to
# some 24 shapes of rows and slots.
_NODE_BYTES, _GRAPH_SHAPES = 10_000, 24
_PREFILL_TOKENS = 8192  # as in tinyzero.sampling.builtin
FRAGMENTATION = 1.08
_RUNTIME_GIB: dict[Device, float] = {
    "cuda": 0.9,
    "cpu": 0.6,
}  # CUDA context and kernels; a process with torch and transformers in it


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """The memory in use during sampling and during learning; every term in GiB."""

    always: Mapping[str, float]
    sampling: Mapping[str, float]
    learning: Mapping[str, float]
    runtime: float

    @property
    def starves_vllm(self) -> bool:
        """Whether vLLM on this card has no memory for keys and values besides its weights."""
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
    def least_gib(self) -> float:
        """The peak without CUDA graphs, which give way where memory is short."""
        graphs = FRAGMENTATION * self.sampling.get("graphs", 0.0)
        return max(self.sampling_gib - graphs, self.learning_gib)

    @property
    def floor_gib(self) -> float:
        """The part that no sampler or learner setting can lower: the model, its adapters, the runtime."""
        return FRAGMENTATION * sum(self.always.values()) + self.runtime

    @property
    def knob(self) -> str:
        """The setting that lowers the peak."""
        if self.sampling_gib <= self.learning_gib:
            return "learner.micro_batch_tokens"
        return "sampling.vllm_gib" if "vllm_cache" in self.sampling else "sampling.batch_rows"


def plan(config: Settled, shape: ModelShape) -> MemoryPlan:
    """The peak of a run, term by term. Even very small terms are included.

    Weights, adapters and cache follow from the shapes of the matrices. Only one adapter learns at a time, so
    only one has gradients. The KL term (`learner.kl_coef`) costs time but no memory: the reference's forward
    pass keeps nothing for a backward pass.
    """
    return MemoryPlan(
        always=_always(config, shape),
        sampling=_sampling(config, shape),
        learning=_learning(config, shape),
        runtime=_RUNTIME_GIB[config.hardware.device],
    )


def number_bytes(model: SettledModel) -> int:
    """Bytes per number in the compute type."""
    return 4 if model.dtype == "float32" else 2


def offloaded_gib(config: Settled, shape: ModelShape) -> float:
    """Activations that unsloth moves to main memory, if it has loaded the model; they are part of the plan.

    Its checkpointing moves the input of each layer, except the last layer's and inputs of at most 2 MiB
    (unsloth_zoo 2026.10.6, gradient_checkpointing.py; read, not measured).
    """
    if config.model.loader != "unsloth" or not config.model.gradient_checkpointing:
        return 0.0
    micro_batch = max(config.learner.micro_batch_tokens, config.longest_sequence)
    of_layer = micro_batch * shape.hidden * number_bytes(config.model)
    return 0.0 if of_layer <= _KEPT_BYTES else (shape.layers - 1) * of_layer / _GIB


def adapter_gib(config: Settled, shape: ModelShape) -> Mapping[str, float]:
    """All adapters, and their optimizers' moments."""
    num_adapters = 2 if config.policy.adapters == "per-role" else 1
    weights = num_adapters * shape.lora_weights(config.policy.rank)
    moments = _FLOAT_MOMENTS if config.learner.optimizer == "adamw" else _8_BIT_MOMENTS
    return _in_gib(adapters=weights * _ADAPTER_BYTES, optimizer=weights * moments)


def _longest_row(config: Settled) -> int:
    """Tokens of the longest row: a prompt followed by all attempts at it."""
    selfplay = config.selfplay
    completions = selfplay.attempts * selfplay.answer_tokens
    if selfplay.game == "r-zero":  # all questions of a step share one prompt
        completions = max(completions, selfplay.proposals_per_step * selfplay.proposal_tokens)
    return max(config.sampling.max_prompt_tokens + completions, config.longest_sequence)


def _always(config: Settled, shape: ModelShape) -> dict[str, float]:
    size = number_bytes(config.model)
    linear = NF4_BYTES if config.model.is_4_bit else size
    other_weights = shape.embedding_weights + shape.small_weights
    weights = _in_gib(weights=shape.linear_weights * linear + other_weights * size)
    process = {"vllm_process": _RUNTIME_GIB[config.hardware.device]} if _has_own_vllm(config.sampling) else {}
    return weights | dict(adapter_gib(config, shape)) | process


def _has_own_vllm(sampling: SamplingConfig) -> bool:
    """Whether vLLM samples on the card that trains."""
    return sampling.engine == "vllm" and sampling.server_url is None


def _sampling(config: Settled, shape: ModelShape) -> dict[str, float]:
    if _has_own_vllm(config.sampling):
        return _vllm(config, shape)
    return {} if config.sampling.engine == "vllm" else _builtin(config, shape)


def _vllm(config: Settled, shape: ModelShape) -> dict[str, float]:
    """Memory of vLLM while awake: its own copy of the base, and the rest of its budget.

    Asleep, its process stays on the card and its weights are in main memory.
    """
    size = number_bytes(config.model)
    linear = _VLLM_NF4_BYTES if config.model.is_4_bit else size
    other_weights = shape.embedding_weights + shape.small_weights
    weights = _in_gib(
        vllm_weights=shape.linear_weights * linear
        + (other_weights + shape.lora_weights(config.policy.rank)) * size
    )
    return weights | {"vllm_cache": config.sampling.vllm_gib - weights["vllm_weights"]}


def _builtin(config: Settled, shape: ModelShape) -> dict[str, float]:
    size, rows = number_bytes(config.model), config.sampling.batch_rows
    longest_prompt = config.sampling.max_prompt_tokens
    prefilled = max(min(_PREFILL_TOKENS, config.selfplay.proposals_per_step * longest_prompt), longest_prompt)
    # Keys and values of the prompts, and the live values of one layer: the MLP's inner values in both types.
    per_token = shape.kv_numbers_per_token * size + (shape.intermediate + shape.hidden) * (2 * size + 8)
    has_flash = config.model.dtype == "bfloat16"
    if config.hardware.device == "cuda" and not has_flash:
        per_token += _repeated_bytes(config, shape)
    # Logits, and three float32 copies: over the temperature, shifted, exponentiated.
    sampler, unpacked = rows * shape.vocabulary * (size + 3 * 4), _dequantised_bytes(config, shape)
    terms = {
        "kv_cache": rows * config.longest_sequence * shape.kv_numbers_per_token * size,
        "prefill": prefilled * per_token,
        "sampler": sampler,
        "dequantised_layer": unpacked,
    }
    if config.hardware.device == "cuda" and config.sampling.cuda_graphs:
        nodes = shape.layers * KERNELS_PER_LAYER * _GRAPH_SHAPES
        terms["graphs"] = nodes * _NODE_BYTES + sampler + unpacked  # they compute in memory of their own
    return _in_gib(**terms)


def _learning(config: Settled, shape: ModelShape) -> dict[str, float]:
    size = number_bytes(config.model)
    micro_batch = max(config.learner.micro_batch_tokens, config.longest_sequence)
    tile = min(micro_batch, _TILE_TOKENS) * min(shape.vocabulary, _TILE_VOCABULARY)
    is_cuda = config.hardware.device == "cuda"
    copies = 2 if is_cuda else 1
    repeats = {"repeated_keys": micro_batch * 2 * _repeated_bytes(config, shape)} if is_cuda else {}
    return _in_gib(
        gradients=shape.lora_weights(config.policy.rank) * _ADAPTER_BYTES,
        activations=micro_batch
        * activation_bytes_per_token(shape, size, is_recomputed=config.model.gradient_checkpointing),
        # The attempts at a task share rows; a mask, as bools and as numbers, separates them. A card's kernels
        # copy it to where its rows begin at multiples of 16 bytes.
        attention_mask=micro_batch * min(micro_batch, _longest_row(config)) * (1 + copies * size),
        dequantised_layer=_dequantised_bytes(config, shape),
        logits=tile * (size if is_cuda else _TORCH_TILE_BYTES),
        **repeats,
    )


def activation_bytes_per_token(shape: ModelShape, size: int, *, is_recomputed: bool) -> int:
    """Bytes per token between forward and backward: all layers, or each layer's input and one layer.

    Counted from what autograd saves for a Llama layer with LoRA (tests/planning/test_measured.py), with flash
    or memory-efficient attention, which keeps no scores. Adapters compute in float32, so 16-bit inputs
    of all seven linear maps are saved again in float32.

    Args:
        size: bytes per number in the compute type.
    """
    hidden, queries, inner = shape.hidden, shape.queries, shape.intermediate
    if size == _ADAPTER_BYTES:
        saved = size * (4 * hidden + 4 * queries + 4 * inner)
    else:
        saved = size * (4 * queries + 3 * inner) + _ADAPTER_BYTES * (7 * hidden + queries + inner)
    passing = 2 * _ADAPTER_BYTES * inner  # live in the backward pass of one MLP
    return passing + (shape.layers * hidden * size + saved if is_recomputed else shape.layers * saved)


def _repeated_bytes(config: Settled, shape: ModelShape) -> int:
    """Bytes a token of one layer's keys and values, repeated for each query that shares them."""
    return 2 * shape.queries * number_bytes(config.model) if shape.kv_heads < shape.heads else 0


def _dequantised_bytes(config: Settled, shape: ModelShape) -> int:
    """Bytes of the largest linear map in the compute type; large batches unpack the 4-bit weights."""
    size = number_bytes(config.model)
    return shape.hidden * shape.intermediate * size if config.model.is_4_bit else 0


def _in_gib(**terms: float) -> dict[str, float]:
    return {name: size / _GIB for name, size in terms.items()}
