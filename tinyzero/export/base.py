"""The base model's folder: where its files lie, what it is called in public, and what may be copied of it."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyzero.config import ModelConfig, Settled, resolve_base
from tinyzero.errors import ExportError, ModelLoadError
from tinyzero.evaluation.comparison import Comparison
from tinyzero.export.adapters import Adapter
from tinyzero.export.licence import Licence, licence_files, licence_of, origin_of
from tinyzero.export.merge import Merged
from tinyzero.export.selftest import Agreement
from tinyzero.export.weights import WHOLE, shard_names
from tinyzero.run.folder import RunFolder
from tinyzero.run.trained import Snapshot
from tinyzero.watch.figures import Chart

_DESCRIPTIONS = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
_OF_OWNERS = (
    "LICEN[CS]E", "[Ll]icen[cs]e", "NOTICE", "[Nn]otice", "COPYING", "COPYRIGHT", "TERMS", "POLICY",
    "[Pp]olicy", "THIRD*PARTY", "LEGAL", "PATENTS",
)  # fmt: skip
_WORDS = ("README.md", *(f"*{word}*" for word in _OF_OWNERS))
_SUBFOLDERS = "*/*"  # other formats of the same weights
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base model on disk.

    Attributes:
        name: what it is called in public: a Hub id, or the last part of a local folder's path.
        hub_id: None where it did not come from the Hub. revision: the commit that lies in `folder`.
        origin: for a local folder, the model on the Hub that its card names as its base.
    """

    name: str
    folder: Path
    licence: Licence
    hub_id: str | None = None
    revision: str | None = None
    origin: str | None = None

    def copy_licence(self, target: Path) -> None:
        for path in licence_files(self.folder):
            shutil.copyfile(path, target / path.name)


def find_base(model: ModelConfig, *, with_weights: bool) -> Base:
    """The base model's folder; what the Hub's cache lacks of it is downloaded.

    Args:
        with_weights: a merge needs them, an adapter's folder does not.

    Raises:
        ModelLoadError: it is neither here nor to be had.
        ExportError: the folder links to files outside of it.
    """
    source = resolve_base(model.base)
    if Path(source).is_dir():
        folder = Path(source)
        if model.base == "nano":
            return Base(name="nano", folder=folder, licence=licence_of(folder))
        refuse_outside_links(folder, root_of(folder))
        return Base(
            name=folder.resolve().name, folder=folder, licence=licence_of(folder), origin=origin_of(folder)
        )
    folder = _snapshot(source, model.revision or "main", with_weights=with_weights)
    refuse_outside_links(folder, root_of(folder))
    revision = folder.name if _COMMIT.fullmatch(folder.name) else None
    return Base(name=source, folder=folder, licence=licence_of(folder), hub_id=source, revision=revision)


def refuse_outside_links(folder: Path, root: Path) -> None:
    """Files that are copied and published must not be links to somebody's keys. Weights are read, not copied.

    Raises:
        ExportError: a file of `folder` leads out of `root`.
    """
    allowed = root.resolve()
    for path in folder.rglob("*"):
        is_copied = path.suffix != ".safetensors"
        if is_copied and path.is_symlink() and not path.resolve().is_relative_to(allowed):
            raise ExportError(f"{path} is a link to a place outside of its folder; it will not be exported")


def root_of(folder: Path) -> Path:
    """Where a model folder's files may lie: a snapshot of the Hub's cache is made of links to its blobs."""
    return folder.parents[1] if folder.parent.name == "snapshots" else folder


def _snapshot(hub_id: str, revision: str, *, with_weights: bool) -> Path:
    """The cached commit where there is one, which is what the run was trained on, else the newest.

    Of the weights, only the files that transformers reads: many repositories hold them twice or more.
    """
    from huggingface_hub import snapshot_download

    commit = _cached_commit(hub_id, revision)

    def fetch(*patterns: str) -> Path:
        chosen = list(patterns)
        return Path(
            snapshot_download(hub_id, revision=commit, allow_patterns=chosen, ignore_patterns=_SUBFOLDERS)
        )

    try:
        folder = fetch(*_DESCRIPTIONS, *_WORDS)
        if with_weights and not (fetch(WHOLE) / WHOLE).is_file():
            fetch(*shard_names(folder))
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(f"cannot get the base model {hub_id}: {reason}") from error
    return folder


def _cached_commit(hub_id: str, revision: str) -> str:
    """The commit that lies in the cache under this revision; the revision itself where none does."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, "config.json", revision=revision)
    return Path(config).parent.name if isinstance(config, str) else revision


What = Literal["adapter", "merged", "gguf", "tasks"]
_MAX_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The exported adapter, its origin and its results.

    Attributes:
        roles: the adapter's roles, in words.
        conversation: the written conversation around a question, where the run had no chat template.
        merged, agreement: results of the merge; None for an adapter.
        notes: remarks of a conversion for the owner.
        charts: curves for the picture next to the card; empty for no picture.
    """

    what: What
    run: RunFolder
    config: Settled
    snapshot: Snapshot
    base: Base
    adapter: Adapter
    roles: str
    evaluation: Comparison | None
    charts: Sequence[Chart]
    conversation: str = ""
    merged: Merged | None = None
    agreement: Agreement | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The run's name, without characters that are special in Markdown or YAML."""
        kept = "".join(char for char in self.run.name if char.isalnum() or char in "._-")
        return kept[:_MAX_CHARS] or "model"

    @property
    def measured_here(self) -> Comparison | None:
        """The evaluation, if it measured the exported checkpoint."""
        table = self.evaluation
        return table if table is not None and table.step == self.snapshot.step else None
