"""Compares the files of a repository with a push plan."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.export.hub.plan import PushPlan
from tinyzero.export.manifest import RECORD

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Files of earlier pushes that tools would load together with, or instead of, the new files.
_OURS = re.compile(
    r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|adapter_(model\.safetensors|config\.json)|"
    r"model\.gguf|Modelfile|config\.json|generation_config\.json|\.eval_results/tinyzero\.yaml|curves\.png"
)


def remote_files(api: "HfApi", repo: str, plan: PushPlan) -> Sequence[Any]:
    """All files at the head of the plan's branch, with sizes and hashes."""
    tree = api.list_repo_tree(repo, recursive=True, revision=plan.branch, repo_type=plan.repo_type)
    return [entry for entry in tree if hasattr(entry, "blob_id")]


def stale(plan: PushPlan, there: Sequence[Any]) -> list[str]:
    """Files of an earlier push of TinyZero that this push does not replace."""
    if not any(entry.path == RECORD for entry in there):
        return []
    return [entry.path for entry in there if entry.path not in plan.files and _OURS.fullmatch(entry.path)]


def have_arrived(plan: PushPlan, there: Sequence[Any], gone: Sequence[str]) -> bool:
    """Whether the branch holds every file of the plan, bit for bit, and no file in `gone`."""
    entries = {entry.path: entry for entry in there}
    if entries.keys() & set(gone) or not plan.files.keys() <= entries.keys():
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
