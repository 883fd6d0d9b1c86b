"""Compares the files of a repository with a push plan."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tinyzero.export.hub.plan import PushPlan
from tinyzero.export.manifest import RECORD, read_record

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What TinyZero writes, for a record that lists no files.
_OURS = re.compile(
    r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|adapter_(model\.safetensors|config\.json)|"
    r"model\.gguf|Modelfile|config\.json|generation_config\.json|\.eval_results/.*\.yaml|curves\.png"
)
# What stays beside a model, since no program loads it: words, pictures, and what trainers leave.
_HARMLESS = re.compile(
    r"\..*|(README|LICEN[CS]E|NOTICE|COPYING|COPYRIGHT|USE_POLICY|CITATION|CHANGELOG)([-._].*)?|"
    r".*\.(md|rst|pdf|png|jpe?g|gif|svg|webp|html?|csv|tsv|parquet|ya?ml|toml|ipynb|log|mp4|cff)|"
    r"(?!merges|vocab).*\.txt|training_args\.bin|trainer_state\.json|(all|train|eval)_results\.json|"
    r"(optimizer|scheduler|rng_state|scaler).*",
    re.IGNORECASE,
)
_OF_GGUF = re.compile(r".*\.gguf|Modelfile|template|system|params", re.IGNORECASE)
"""What llama.cpp and Ollama take from a repository; other programs take no notice of it."""
_TEMPLATES = "additional_chat_templates/"
_MAX_RECORD_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Files of a repository that a push does not replace, and that would be loaded beside it or instead.

    Attributes:
        ours: of TinyZero's last push. foreign: of anybody else.
    """

    ours: tuple[str, ...]
    foreign: tuple[str, ...]


def remote_files(api: "HfApi", repo: str, plan: PushPlan) -> Sequence[Any]:
    """All files at the head of the plan's branch, with sizes and hashes."""
    tree = api.list_repo_tree(repo, recursive=True, revision=plan.branch, repo_type=plan.repo_type)
    return [entry for entry in tree if hasattr(entry, "blob_id")]


def leftovers(api: "HfApi", repo: str, plan: PushPlan, there: Sequence[Any]) -> Leftovers:
    """What lies at the head of the plan's branch and must not stay there.

    Args:
        there: the files at that head.
    """
    names = {entry.path for entry in there}
    pushed = _last_push(api, repo, plan, there) if RECORD in names else set()
    ours = sorted(names & pushed - plan.files.keys())
    foreign = sorted(name for name in names - pushed - plan.files.keys() if _is_loaded(name, plan))
    return Leftovers(ours=tuple(ours), foreign=tuple(foreign))


def _last_push(api: "HfApi", repo: str, plan: PushPlan, there: Sequence[Any]) -> set[str]:
    """The files that the record of the last push lists."""
    if any(entry.path == RECORD and entry.size > _MAX_RECORD_BYTES for entry in there):
        return set()
    with TemporaryDirectory() as folder:
        api.hf_hub_download(repo, RECORD, repo_type=plan.repo_type, revision=plan.branch, local_dir=folder)
        files = read_record(Path(folder)).get("files")
    listed = files if isinstance(files, dict) else (e.path for e in there if _OURS.fullmatch(e.path))
    return {RECORD, *listed}


def _is_loaded(name: str, plan: PushPlan) -> bool:
    """Whether a program that opens the repository would read a foreign file of this name."""
    if plan.repo_type == "dataset":  # its card names its files
        return False
    if any(file.endswith(".gguf") for file in plan.files):
        return bool(_OF_GGUF.fullmatch(name))
    if "/" in name:
        return name.startswith(_TEMPLATES)
    return not _HARMLESS.fullmatch(name) and not _OF_GGUF.fullmatch(name)


def have_arrived(plan: PushPlan, there: Sequence[Any]) -> bool:
    """Whether the branch holds every file of the plan, bit for bit."""
    entries = {entry.path: entry for entry in there}
    if not plan.files.keys() <= entries.keys():
        return False
    if any(entries[name].size != size for name, size in plan.files.items()):
        return False
    return all(_is_same(plan.folder / name, entries[name]) for name in plan.files)


def _is_same(path: Path, entry: Any) -> bool:  # noqa: ANN401  a RepoFile
    if entry.lfs is not None:
        with path.open("rb") as file:
            return bool(entry.lfs.sha256 == hashlib.file_digest(file, "sha256").hexdigest())
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return bool(entry.blob_id == blob.hexdigest())
