"""A decoder's dimensions, and the numbers of its weights by sort."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tinyzero.config import local_folder
from tinyzero.foreign import read_json, read_json_object

_DIMENSIONS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
_OPTIONAL_DIMENSIONS = ("num_key_value_heads", "head_dim")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_FILE = Path(__file__).with_name("model_shapes.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder's dimensions; config.json on the Hub has longer names for them.

    Attributes:
        kv_heads: heads of keys and values; fewer than `heads` under grouped-query attention.
        intermediate: width of the gated MLP.
        is_tied: whether the LM head is the embedding matrix.
        has_qkv_bias: as in Qwen2.
        has_qk_norm: queries and keys are normalised per head, as in Qwen3.
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
    has_qk_norm: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a transformers config.json of the Llama, Qwen2 or Qwen3 family.

        Raises:
            KeyError: the file lacks a dimension. ValueError: a dimension is not a positive integer, or the
                model is a mixture of experts, which the formulas do not cover.
        """
        if experts := next((name for name in _EXPERTS if config.get(name)), None):
            raise ValueError(f"it is a mixture of experts ({experts} is {config[experts]!r})")
        given = {name: config[name] for name in _DIMENSIONS}
        given |= {name: config[name] for name in _OPTIONAL_DIMENSIONS if config.get(name) is not None}
        for name, size in given.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} is {size!r}, no positive integer")
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
            has_qk_norm=config.get("model_type") == "qwen3",
        )

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together; the value heads have the same."""
        return self.kv_heads * self.head_dim

    @property
    def linear_weights(self) -> int:
        """Weights of the layers' linear maps, which NF4 compresses and LoRA adapts."""
        return self.layers * self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.intermediate)

    @property
    def embedding_weights(self) -> int:
        return self.head_weights * (1 if self.is_tied else 2)

    @property
    def head_weights(self) -> int:
        """Weights of the LM head, which every decoded token passes through."""
        return self.vocabulary * self.hidden

    @property
    def small_weights(self) -> int:
        """Weights of norms and biases."""
        biases = self.queries + 2 * self.keys if self.has_qkv_bias else 0
        head_norms = 2 * self.head_dim if self.has_qk_norm else 0
        return self.layers * (2 * self.hidden + biases + head_norms) + self.hidden

    @property
    def weights(self) -> int:
        return self.linear_weights + self.embedding_weights + self.small_weights

    @property
    def kv_numbers_per_token(self) -> int:
        """Numbers in the KV cache per token, over all layers."""
        return 2 * self.layers * self.keys

    def lora_weights(self, rank: int) -> int:
        """Weights of one adapter on all linear maps: rank x (inputs + outputs) each."""
        attention = 2 * (self.hidden + self.queries) + 2 * (self.hidden + self.keys)
        return self.layers * rank * (attention + 3 * (self.hidden + self.intermediate))


def shape_of(base: str) -> ModelShape | None:
    """The shape of a bundled model, a local folder, or a Hub id that is known or in the Hub's cache.

    None for any other model, and for a config.json that describes no decoder of a known form.
    """
    known = known_shapes()
    if base in known:
        return known[base]
    try:
        path = _config_file(base)
        return None if path is None else ModelShape.from_config(read_json_object(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # loading the model will report the error


def _config_file(base: str) -> Path | None:
    """The config.json of a local folder, or of a model in the Hub's cache; fetches nothing."""
    folder = local_folder(base)
    if folder is not None:
        return folder / "config.json"
    if base.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(base, "config.json")
    return Path(path) if isinstance(path, str) else None


def known_shapes() -> dict[str, ModelShape]:
    """Hub id -> shape, for every model that a preset trains, and for its siblings.

    The package's file has the lines of the models' config.json; a string refers to another model's entry.
    """
    entries = read_json(_FILE)
    return {
        name: ModelShape.from_config(entries[entry] if isinstance(entry, str) else entry)
        for name, entry in entries.items()
    }
