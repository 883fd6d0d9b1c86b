"""A base model's files: what must not lie among them, how weights are stored, and whether they changed."""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.config import ModelConfig, resolve_base
from tinyzero.errors import CheckpointError, ModelLoadError
from tinyzero.foreign import read_json_object

if TYPE_CHECKING:
    import torch

_ADAPTER_FILE = "adapter_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_DECISIVE = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    INDEX,
)
"""Files beside the weights that decide what a model answers."""


def check_files(folder: Path) -> None:
    """Refuse a folder that is more than a base model, or less.

    Raises:
        ModelLoadError: an adapter lies in it, or its tokenizer needs what is not installed.
    """
    complaint = _tokenizer_complaint(folder)
    if complaint:
        raise ModelLoadError(f"cannot load the model in {folder}: {complaint}")
    if (folder / _ADAPTER_FILE).is_file() and (folder / "config.json").is_file():
        raise ModelLoadError(adapter_complaint(str(folder)))


def adapter_complaint(base: str) -> str:
    return (
        f"{base} holds an adapter ({_ADAPTER_FILE}) beside the base "
        "model's weights, which would be left off; "
        "merge it first (peft: merge_and_unload, save_pretrained), or move the adapter's files away"
    )


def _tokenizer_complaint(folder: Path) -> str:
    """What to install where the only tokenizer is one of SentencePiece; "" if something else is missing."""
    is_alone = (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").is_file()
    if not is_alone or (find_spec("sentencepiece") and find_spec("google.protobuf")):
        return ""
    return (
        "its only tokenizer is tokenizer.model, which SentencePiece reads; pip install sentencepiece protobuf"
    )


def load_complaint(model: ModelConfig, source: str, error: Exception) -> str:
    """Why a model did not load, in one line, whatever transformers said.

    Args:
        source: a folder, or a Hub id.
    """
    from huggingface_hub.errors import StrictDataclassError

    lines = (str(error).strip() or type(error).__name__).splitlines()
    is_about_config = isinstance(error, StrictDataclassError)  # which says what is wrong in its last line
    reason = " ".join(map(str.strip, lines if is_about_config else lines[:1])).rstrip(".")
    if Path(source).is_dir():
        return f"cannot load the model in {source}: {reason}"
    here, _ = folder_of(source, model.revision)
    if complaint := here and _tokenizer_complaint(here):
        return f"cannot load {model.base!r}: {complaint}"
    return (
        f"cannot load {model.base!r}: no folder of that name, and the Hugging Face Hub did not give it "
        f"({reason}); set model.base to a local folder (without the Hub, tools/convert_smollm2.py makes one "
        "of SmolLM2)"
    )


def prepare_stored(config: Any, dtype: "torch.dtype", base: str) -> bool:  # noqa: ANN401
    """Whether the weights are stored in NF4 already; they then compute in `dtype`, whatever the files say.

    Raises:
        ModelLoadError: they are quantised in another way, which training or export would not get right.
    """
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return False
    described = dict(stored if isinstance(stored, Mapping) else stored.to_dict())
    kind = _stored_kind(described)
    if kind != "nf4":
        raise ModelLoadError(
            f"the weights of {base!r} are quantised ({kind}), and only NF4 of bitsandbytes is known; take "
            "the model's 16-bit weights, and model.quantization makes 4 bit of them"
        )
    described["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
    config.quantization_config = described
    return True


def _stored_kind(described: Mapping[str, Any]) -> str:
    method = str(described.get("quant_method", "bitsandbytes"))
    if method != "bitsandbytes":
        return method
    if described.get("load_in_8bit") or described.get("_load_in_8bit"):
        return "INT8 of bitsandbytes"
    return str(described.get("bnb_4bit_quant_type", "fp4")).lower()


def is_packed(parameter: "torch.Tensor") -> bool:
    """Whether these are the bytes of 4-bit weights, which may be kept in a type of floating point."""
    return getattr(parameter, "quant_state", None) is not None


def cast_stored(model: Any, dtype: "torch.dtype") -> None:  # noqa: ANN401  (a causal model)
    """Give what is not quantised the type that was chosen: transformers leaves it as the files have it."""
    for parameter in model.parameters():
        if parameter.is_floating_point() and not is_packed(parameter):
            parameter.data = parameter.data.to(dtype)


def folder_of(source: str, revision: str | None) -> tuple[Path | None, str | None]:
    """Where a base model's files lie on this machine, None where they do not; and their commit on the Hub."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).is_dir():
        return Path(source), None
    config = try_to_load_from_cache(source, "config.json", revision=revision or "main")
    return (Path(config).parent, Path(config).parent.name) if isinstance(config, str) else (None, None)


def know_again(model: ModelConfig, recorded: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """What a run records of its base model; where it has recorded it, the same must be here now.

    Args:
        recorded: empty for a new run. what: is to be done with the run, in a word.

    Raises:
        CheckpointError: it is another base by now.
    """
    folder, commit = folder_of(resolve_base(model.base), model.revision)
    if folder is None:
        return recorded
    if recorded:
        check_identity(recorded, folder, what)
        return recorded
    return identity(folder, commit)


def identity(folder: Path, commit: str | None = None) -> dict[str, Any]:
    """What environment.json says about a base model's files, by which it is known again.

    Args:
        commit: on the Hub, where it came from there.
    """
    return {"commit": commit, "files": {path.name: _digest(path) for path in _decisive_files(folder)}}


def check_identity(recorded: Mapping[str, Any], folder: Path, what: str) -> None:
    """Refuse a base that is not the one that a run was trained on; a run that recorded none passes.

    Args:
        recorded: what `identity` said when the run began. what: is to be done with the run.

    Raises:
        CheckpointError: a file has changed.
    """
    files = recorded.get("files")
    if not isinstance(files, Mapping) or not files:
        return
    here = identity(folder)["files"]
    changed = sorted(name for name in files.keys() | here.keys() if files.get(name) != here.get(name))
    if changed:
        commit = recorded.get("commit")
        remedy = f"set model.revision to {commit}" if commit else "put the files of that time back"
        raise CheckpointError(
            f"the base model in {folder} is not the one that the run was trained on: {', '.join(changed)} "
            f"changed since; {remedy}, and {what} again, or train a new run on what is there now"
        )


def _decisive_files(folder: Path) -> list[Path]:
    weights = folder / WEIGHTS
    names = [name for name in _DECISIVE if name != INDEX or not weights.is_file()]
    beside = [folder / name for name in names if (folder / name).is_file()]
    return beside + ([weights] if weights.is_file() else sorted(_shards(folder)))


def _shards(folder: Path) -> set[Path]:
    try:
        names = read_json_object(folder / INDEX)["weight_map"].values()
        found = {folder / Path(name).name for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        found = set(folder.glob("*.bin"))
    return {path for path in found if path.is_file()}


def _digest(path: Path) -> str:
    """SHA-256 of a file; in the Hub's cache, a file's name among the blobs is as good, and there already."""
    target = path.resolve()
    if target.parent.name == "blobs":
        return target.name
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
