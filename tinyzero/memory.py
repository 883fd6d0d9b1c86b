"""The memory plan: what a run will need, term by term, from the model's shape alone; pure arithmetic.

Nothing is loaded and no device is asked. The figures are estimates of the peak, good to about 15 %.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from tinyzero.config import Config

_GIB = 2**30
_PACKAGE = Path(__file__).parent

# bitsandbytes NF4: half a byte a weight, an 8-bit scale per 64 weights, and a 32-bit one per 256 of those.
_NF4_BYTES = 0.5 + 1 / 64 + 4 / 16384
_ADAPTER_BYTES = 4 + 4  # float32 weight and gradient
_OPTIMIZER_BYTES = {"cuda": 2.03, "cpu": 8.0}  # two moments: 8 bit with block scales, or float32
# The fused LM head works on tiles of 4096 tokens x 32768 vocabulary entries (trl.kernels.chunked_logprob);
# about three float32 copies of a tile are alive at once.
_TILE_TOKENS, _TILE_VOCABULARY, _TILE_BYTES = 4096, 32768, 12
_FRAGMENTATION = 1.08
_RUNTIME_GIB = {
    "cuda": 0.9,
    "cpu": 0.6,
}  # CUDA context and kernels; a process with torch and transformers in it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder's dimensions, as the Hub's config.json names them in longer words.

    Attributes:
        kv_heads: heads of keys and values; fewer than `heads` under grouped-query attention.
        intermediate: width of the gated MLP.
        is_tied: the LM head is the embedding matrix.
        has_qkv_bias: as in Qwen2.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    is_tied: bool
    has_qkv_bias: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a transformers config.json of the Llama, Qwen2 or Qwen3 family.

        Raises:
            KeyError: the file lacks a dimension.
        """
        heads = config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            intermediate=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            is_tied=config.get("tie_word_embeddings", False),
            has_qkv_bias=config.get("model_type") == "qwen2",
        )

    @property
    def linear_weights(self) -> int:
        """Weights of the layers' linear maps: what NF4 shrinks and LoRA adapts."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return self.layers * self.hidden * (2 * queries + 2 * keys + 3 * self.intermediate)

    @property
    def embedding_weights(self) -> int:
        return self.vocabulary * self.hidden * (1 if self.is_tied else 2)

    @property
    def small_weights(self) -> int:
        """Norms and biases."""
        biases = (self.heads + 2 * self.kv_heads) * self.head_dim if self.has_qkv_bias else 0
        return self.layers * (2 * self.hidden + biases) + self.hidden

    @property
    def weights(self) -> int:
        return self.linear_weights + self.embedding_weights + self.small_weights

    def lora_weights(self, rank: int) -> int:
        """Weights of one adapter on all linear maps: rank x (inputs + outputs) each."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * (self.hidden + queries) + 2 * (self.hidden + keys)
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What is held at once while sampling and while learning; every term in GiB."""

    always: Mapping[str, float]
    sampling: Mapping[str, float]
    learning: Mapping[str, float]
    runtime: float

    @property
    def sampling_gib(self) -> float:
        return _FRAGMENTATION * (sum(self.always.values()) + sum(self.sampling.values())) + self.runtime

    @property
    def learning_gib(self) -> float:
        return _FRAGMENTATION * (sum(self.always.values()) + sum(self.learning.values())) + self.runtime

    @property
    def peak_gib(self) -> float:
        return max(self.sampling_gib, self.learning_gib)

    @property
    def floor_gib(self) -> float:
        """What no setting of the sampler or the learner lowers: the model, its adapters, the runtime."""
        return _FRAGMENTATION * sum(self.always.values()) + self.runtime

    @property
    def knob(self) -> str:
        """The setting that lowers the peak."""
        return (
            "sampling.batch_rows" if self.sampling_gib > self.learning_gib else "learner.micro_batch_tokens"
        )


def plan(config: Config, shape: ModelShape, *, device: Literal["cpu", "cuda"]) -> MemoryPlan:
    """The peak of a run, term by term.

    Formulas: weights and adapters from the shapes of the matrices; activations after Korthikanti et al.
    (arXiv:2205.05198) without the attention scores, which flash attention does not keep.
    """
    number_bytes = _number_bytes(config, device)
    is_quantized = config.model.quantization == "nf4" or (
        config.model.quantization == "auto" and device == "cuda"
    )
    bytes_per_linear_weight = _NF4_BYTES if is_quantized else number_bytes
    other_weights = shape.embedding_weights + shape.small_weights
    num_adapters = 2 if config.policy.adapters == "per-role" else 1
    adapter_bytes = _ADAPTER_BYTES + _OPTIMIZER_BYTES[device]
    answer_tokens = max(config.selfplay.proposal_tokens, config.selfplay.answer_tokens)
    longest = config.sampling.max_prompt_tokens + answer_tokens
    rows, micro_batch = config.sampling.batch_rows, max(config.learner.micro_batch_tokens, longest)
    return MemoryPlan(
        always=_in_gib(
            weights=shape.linear_weights * bytes_per_linear_weight + other_weights * number_bytes,
            adapters=num_adapters * shape.lora_weights(config.policy.rank) * adapter_bytes,
        ),
        sampling=_in_gib(
            kv_cache=rows * longest * 2 * shape.layers * shape.kv_heads * shape.head_dim * number_bytes,
            sampler=rows * shape.vocabulary * (number_bytes + 4),
        ),
        learning=_in_gib(
            activations=micro_batch
            * number_bytes
            * _activations_per_token(shape, is_recomputed=config.model.gradient_checkpointing),
            dequantised_layer=shape.hidden * shape.intermediate * number_bytes if is_quantized else 0,
            logits=min(micro_batch, _TILE_TOKENS) * min(shape.vocabulary, _TILE_VOCABULARY) * _TILE_BYTES,
        ),
        runtime=_RUNTIME_GIB[device],
    )


def shape_of(base: str) -> ModelShape | None:
    """The shape of a model that ships, is a local folder, or is known by its Hub id; None of any other."""
    known = json.loads((_PACKAGE / "model_shapes.json").read_text(encoding="utf-8"))
    if base in known:
        return ModelShape.from_config(known[base])
    folder = _PACKAGE / "nano" if base == "nano" else Path(base).expanduser()
    try:
        return ModelShape.from_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # loading the model will say what is wrong with it


def _activations_per_token(shape: ModelShape, *, is_recomputed: bool) -> int:
    """Numbers kept per token: all layers' work, or each layer's input and the work of one layer."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    one_layer = 6 * shape.hidden + 2 * (queries + 2 * keys) + 2 * queries + 4 * shape.intermediate
    return shape.layers * shape.hidden + one_layer if is_recomputed else shape.layers * one_layer


def _number_bytes(config: Config, device: Literal["cpu", "cuda"]) -> int:
    if config.model.dtype == "auto":
        return 4 if device == "cpu" else 2
    return 4 if config.model.dtype == "float32" else 2


def _in_gib(**terms: float) -> dict[str, float]:
    return {name: size / _GIB for name, size in terms.items()}
