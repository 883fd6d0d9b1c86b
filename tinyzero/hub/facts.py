"""Everything that a card and tinyzero.json say about an export, collected once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tinyzero
from tinyzero.comparison import Comparison
from tinyzero.config import Config
from tinyzero.hub.adapters import Adapter
from tinyzero.hub.base import Base
from tinyzero.hub.merge import Merged
from tinyzero.hub.selftest import Agreement
from tinyzero.runs.figures import Chart
from tinyzero.runs.folder import RunFolder
from tinyzero.runs.lines import comparison_record
from tinyzero.runs.records import read
from tinyzero.runs.trained import Snapshot

What = Literal["adapter", "merged", "gguf", "tasks"]
RECORD = "tinyzero.json"
_PUBLIC = ("tinyzero", "git_commit", "preset", "seed", "device", "sandbox_tier", "python")
_MAX_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is exported, and where it comes from.

    Attributes:
        roles: that the adapter plays, in words.
        merged, agreement: of a merge; None for an adapter.
        charts: drawn in a picture beside the card; empty where there is none.
    """

    what: What
    run: RunFolder
    config: Config
    snapshot: Snapshot
    base: Base
    adapter: Adapter
    roles: str
    was_four_bit: bool
    evaluation: Comparison | None
    charts: Sequence[Chart]
    merged: Merged | None = None
    agreement: Agreement | None = None

    @property
    def title(self) -> str:
        """The run's name, as far as it is harmless in Markdown and YAML."""
        kept = "".join(char for char in self.run.name if char.isalnum() or char in "._-")
        return kept[:_MAX_CHARS] or "model"

    @property
    def measured_here(self) -> Comparison | None:
        """The evaluation, if it is of the very checkpoint that is exported."""
        table = self.evaluation
        return table if table is not None and table.step == self.snapshot.step else None


def record(facts: Facts, request: Mapping[str, Any]) -> dict[str, Any]:
    """The content of tinyzero.json; no path of the machine that trained is in it."""
    merged, agreement = facts.merged, facts.agreement
    return {
        "what": facts.what,
        "request": dict(request),
        "adapter": {"name": facts.adapter.name, "rank": facts.adapter.rank, "alpha": facts.adapter.alpha},
        "step": facts.snapshot.step,
        "checkpoint": facts.snapshot.why,
        "base": {
            "name": facts.base.name,
            "hub_id": facts.base.hub_id,
            "revision": facts.base.revision,
            "licence": facts.base.licence.in_words,
        },
        "seed": facts.config.run.seed,
        "config": public_config(facts.config, facts.base),
        "environment": public_environment(facts.run),
        "exported_with": tinyzero.__version__,
        "merge": merged and merge_record(merged),
        "self_test": agreement and asdict(agreement),
        "evaluation": facts.measured_here and comparison_record(facts.measured_here),
    }


def merge_record(merged: Merged) -> dict[str, Any]:
    return {
        "base": merged.merge_base,
        "dtype": merged.dtype,
        "delta_relative_size": merged.relative_size,
        "kept": {name: survival.kept for name, survival in merged.survival.items()},
        "cosine": merged.survival[merged.dtype].cosine,
        "changed_share": merged.survival[merged.dtype].changed_share,
    }


_OF_ONES_OWN_NETWORK = ("server_url", "server_adapters", "server_key_file")


def public_config(config: Config, base: Base) -> dict[str, Any]:
    """The configuration with names in place of folders, and without the address of a server."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    tree["model"]["base"] = base.name
    tree["run"]["output"] = "runs"
    tree["sampling"] |= dict.fromkeys(_OF_ONES_OWN_NETWORK)
    if config.evaluation.heldout is not None:
        tree["evaluation"]["heldout"] = Path(config.evaluation.heldout).name
    return tree


def public_environment(run: RunFolder) -> dict[str, Any]:
    """Versions and what else makes figures repeatable: short plain values, whoever wrote the file."""
    found = run.environment()
    packages = found.get("packages")
    plain = {name: found[name] for name in _PUBLIC if _is_plain(found.get(name))}
    versions = packages if isinstance(packages, dict) else {}
    return {**plain, "packages": {name: text for name, text in versions.items() if _is_plain(text)}}


def count_lines(path: Path) -> int:
    return sum(1 for _ in read(path))


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_CHARS and value.isprintable()
    return isinstance(value, int | float)
