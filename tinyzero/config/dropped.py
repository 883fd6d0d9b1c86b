"""Knobs of earlier versions. A file may still set them; a warning says what is ignored."""

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

_logger = logging.getLogger(__name__)

DROPPED: Mapping[str, Any] = {
    "curriculum.composite_functions": 2,
    "curriculum.composite_ramp_steps": 100,
    "execution.wall_factor": 4.0,
    "hardware.memory_gib": None,
    "learner.weight_decay": 0.0,
    "pool.eviction": "oldest",
    "pool.target_solve_rate": 0.5,
    "r_zero.compare_s": 2.0,
    "r_zero.consistency_weight": 0.0,
    "r_zero.repetition_distance": 0.5,
    "rewards.disallowed_proposal": -0.5,
    "rewards.invalid_proposal": -0.5,
    "rewards.nondeterministic_proposal": -0.5,
    "rewards.trivial_proposal": -0.5,
    "selfplay.max_tasks_per_step": None,
    "sampling.server_timeout_s": 600.0,
    "watch.duplicates": 0.5,
    "watch.easier_programs": 0.7,
    "watch.false_confidence": 0.05,
    "watch.few_shapes": 0.5,
    "watch.huge_numbers": 1000.0,
    "watch.long_answers": 2.0,
    "watch.low_entropy": 0.3,
    "watch.no_entropy": 0.02,
    "watch.nothing_to_learn": 0.01,
    "watch.one_kind": 0.5,
    "watch.sampler_gap": 0.1,
    "watch.short_answers": 0.5,
    "watch.skipped_updates": 0.0,
    "watch.trivial": 0.5,
    "watch.truncated": 0.5,
    "watch.unanimous": 0.9,
    "watch.unreadable": 0.2,
}
"""Key -> the value that is built in now. A file with the same value gives no warning."""

MERGED: Mapping[str, str] = {
    "rewards.disallowed_proposal": "failing_proposal",
    "rewards.nondeterministic_proposal": "failing_proposal",
    "rewards.trivial_proposal": "failing_proposal",
}
"""Key -> the knob of the same section that replaces it; its value counts as the built-in one."""


def without_dropped(tree: Mapping[str, Any], *, file: str) -> dict[str, Any]:
    """The tables of a file without dropped keys. One warning names the keys that had another value."""
    lost = [f"{key} = {value}" for key, value in _dropped_in(tree) if value != _built_in(key, tree)]
    if lost:
        _warn_once(f"{file} sets {', '.join(lost)}, which this version no longer has; it is ignored")
    return {
        section: _translated(section, values) if isinstance(values, Mapping) else values
        for section, values in tree.items()
    }


def _dropped_in(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in DROPPED:
        section, _, leaf = key.partition(".")
        values = tree.get(section)
        if isinstance(values, Mapping) and leaf in values and leaf not in _silent(section, values):
            yield key, None if values[leaf] == "none" else values[leaf]


def _built_in(key: str, tree: Mapping[str, Any]) -> Any:  # noqa: ANN401  a value of TOML
    """The value that replaces a dropped key."""
    section = key.partition(".")[0]
    values = tree[section]
    return values.get(MERGED.get(key, ""), DROPPED[key])


def _translated(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {leaf: value for leaf, value in values.items() if f"{section}.{leaf}" not in DROPPED}
    if section == "advantages" and kept.get("estimator") == "mean-only":
        return kept | {"estimator": "group", "scale": "none"}  # the same by another name
    if silent := _silent(section, values):
        return kept | {"silent": silent}
    return kept


def _silent(section: str, values: Mapping[str, Any]) -> list[str]:
    """Alarms whose threshold is none, which `watch.silent` says today."""
    if section != "watch":
        return []
    return [leaf for leaf in values if f"watch.{leaf}" in DROPPED and values[leaf] in (None, "none")]


@cache
def _warn_once(line: str) -> None:
    _logger.warning(line)
