"""tinyzero.json: the request of an export, and the sizes and SHA-256 of its files, for reuse by a retry."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tinyzero
from tinyzero.config import Config
from tinyzero.export.base import Base, Facts
from tinyzero.export.merge import Merged
from tinyzero.foreign import BadContent, read_json_object
from tinyzero.run.durable import fingerprints
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import comparison_record

RECORD = "tinyzero.json"
_FREE = (RECORD, "README.md")  # the card may be edited before it is pushed
_PUBLIC = ("tinyzero", "git_commit", "preset", "seed", "device", "sandbox_tier", "python")
_MAX_CHARS = 100


def write_record(folder: Path, content: Mapping[str, Any]) -> None:
    described = {**content, "files": fingerprints(folder, without=_FREE)}
    (folder / RECORD).write_text(json.dumps(described, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def is_same_export(folder: Path, request: Mapping[str, Any]) -> bool:
    """Whether `folder` is an export of this request whose files, except the card, are unchanged."""
    content = read_record(folder)
    return bool(
        content.get("request") == request and content.get("files") == fingerprints(folder, without=_FREE)
    )


def read_record(folder: Path) -> dict[str, Any]:
    """The content of tinyzero.json; empty if it cannot be read."""
    try:
        return read_json_object(folder / RECORD)
    except (OSError, BadContent):
        return {}


def record(facts: Facts, request: Mapping[str, Any]) -> dict[str, Any]:
    """The content of tinyzero.json. It holds no path of the training machine."""
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
        "merge": merged and _merge(merged),
        "self_test": agreement and asdict(agreement),
        "evaluation": facts.measured_here and comparison_record(facts.measured_here),
    }


def _merge(merged: Merged) -> dict[str, Any]:
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
    """The configuration with names instead of folders, and without a server's address."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    tree["model"]["base"] = base.name
    tree["run"]["output"] = "runs"
    tree["run"]["plugins"] = [Path(plugin).name for plugin in config.run.plugins]
    tree["sampling"] |= dict.fromkeys(_OF_ONES_OWN_NETWORK)
    if config.evaluation.heldout is not None:
        tree["evaluation"]["heldout"] = Path(config.evaluation.heldout).name
    return tree


def public_environment(run: RunFolder) -> dict[str, Any]:
    """Versions and other data for repeatable figures: only short plain values, as the file is untrusted."""
    environment = run.environment()
    packages = environment.get("packages")
    plain = {name: environment[name] for name in _PUBLIC if _is_plain(environment.get(name))}
    versions = packages if isinstance(packages, dict) else {}
    return {**plain, "packages": {name: text for name, text in versions.items() if _is_plain(text)}}


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_CHARS and value.isprintable()
    return isinstance(value, int | float)
