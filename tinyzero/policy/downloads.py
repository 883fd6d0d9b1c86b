"""What loading a base model fetches from the Hub, known before it is fetched."""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tinyzero.errors import ModelLoadError
from tinyzero.policy.base_files import WEIGHTS

_GIB = 2**30
_PATIENCE_S = 10.0
_MAX_REASON_CHARS = 200
_SETS = (
    r"model\.safetensors",
    r"model-\d+-of-\d+\.safetensors",
    r"pytorch_model\.bin",
    r"pytorch_model-\d+-of-\d+\.bin",
)
"""The weights that transformers reads: the first of these that a repository has. It may hold the same weights
again, as consolidated.safetensors or model.fp16.safetensors, which stay where they are."""


def announce_download(source: str, revision: str | None, progress: Callable[[str], None]) -> None:
    """Say how much will be fetched, if anything; the Hub's own errors are left to the loading.

    Raises:
        ModelLoadError: the disk has no room for it.
    """
    is_here = _is_here(source, revision)
    if Path(source).is_dir() or is_here(WEIGHTS):
        return
    size = num_bytes_to_fetch(_sizes(source, revision), is_here)
    if size:
        progress(f"fetching {size / _GIB:.1f} GiB of {source} from the Hugging Face Hub")
        check_room(size, source, _cache())


def fetch_config(base: str) -> None:
    """Fetch the config.json of a model into the Hub's cache.

    Raises:
        ModelLoadError: the Hub does not have it, or cannot be reached.
    """
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(base, "config.json", etag_timeout=_PATIENCE_S)
    except Exception as error:  # its HTTP library has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(
            f"the shape of {base} is not known: it is in no preset, and the Hub does not give its "
            f"config.json ({reason[:_MAX_REASON_CHARS]}); name another model, or a folder: "
            "--set model.base=FOLDER"
        ) from error


def num_bytes_to_fetch(sizes: Mapping[str, int], is_here: Callable[[str], bool]) -> int:
    """Bytes of the weights that will be read and are not in the cache.

    Args:
        sizes: of all files of a repository, by name, bytes.
    """
    for form in _SETS:
        names = [name for name in sizes if re.fullmatch(form, name)]
        if names:
            return sum(sizes[name] for name in names if not is_here(name))
    return 0


def check_room(num_bytes: int, base: str, cache: Path) -> None:
    """Refuse a download that would fill the disk.

    Raises:
        ModelLoadError: `cache` has less room than that.
    """
    there = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if num_bytes > free:
        raise ModelLoadError(
            f"the weights of {base} are {num_bytes / _GIB:.1f} GiB, and {there} has room for "
            f"{free / _GIB:.1f} GiB; make room, or set HF_HOME to a folder on another disk"
        )


def _sizes(source: str, revision: str | None) -> dict[str, int]:
    """Empty where the Hub does not say."""
    from huggingface_hub import HfApi

    try:
        info: Any = HfApi().model_info(source, revision=revision, files_metadata=True, timeout=10)
    except Exception:  # noqa: BLE001  (its HTTP library has errors of its own, and loading will tell)
        return {}
    files: Iterable[Any] = info.siblings or ()
    return {file.rfilename: file.size or 0 for file in files}


def _is_here(source: str, revision: str | None) -> Callable[[str], bool]:
    from huggingface_hub import try_to_load_from_cache

    return lambda name: isinstance(try_to_load_from_cache(source, name, revision=revision or "main"), str)


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)
