"""Runs attacks and honest programs from corpus.toml or a user's file, and reports which ended as expected."""

import ast
import runpy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ConfigError
from tinyzero.execution.executor import Executor
from tinyzero.execution.values import BadLiteral, parse_literal, same
from tinyzero.foreign import parse_toml, read_text
from tinyzero.types import Execution, Job

ATTACK_LIMITS = ExecutionConfig(cpu_s=1.0)
"""A memory bomb needs some tenths of a second to reach the memory limit; with the default it times out."""

_PACKAGED = Path(__file__).with_name("corpus.toml")
_FIELDS = ("name", "kind", "code", "input", "expect", "also", "value", "canary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A program, its input, and the expected end of its run; corpus.toml explains the fields."""

    name: str
    kind: str
    code: str
    input: str
    expect: str
    also: tuple[str, ...] = ()
    value: str | None = None
    canary: str | None = None
    why: str = ""


def packaged_items() -> list[Item]:
    """The corpus in the package, attacks first."""
    tables = parse_toml(read_text(_PACKAGED))
    return [_item({"kind": kind, **fields}) for kind in ("attack", "benign") for fields in tables[kind]]


def load_items(path: Path) -> list[Item]:
    """The `ITEMS` of a user's Python file: parsed if it is a literal, else by running the file.

    Raises:
        ConfigError: no such file, no such list, or an item without the fields.
    """
    try:
        items = _literal_items(read_text(path))
        items = runpy.run_path(str(path)).get("ITEMS") if items is None else items
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise ConfigError(f"{path} has no list of dicts named ITEMS, or an empty one")
    for item in items:
        if missing := [name for name in _FIELDS if name not in item]:
            raise ConfigError(f"{path}: item {item.get('name', '?')!r} lacks {', '.join(missing)}")
    return [_item({name: item[name] for name in _FIELDS}) for item in items]


def _item(fields: Mapping[str, Any]) -> Item:
    return Item(**{**fields, "also": tuple(fields.get("also", ()))})


def _literal_items(source: str) -> Any:  # noqa: ANN401
    """The value of `ITEMS` in a file that only assigns a literal; None if the file must be run."""
    statements = [s for s in ast.parse(source).body if not _is_docstring(s)]
    match statements:
        case [ast.Assign(targets=[ast.Name(id="ITEMS")], value=value)]:
            pass
        case _:
            return None
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ItemReport:
    """The result of one item. `passed` needs an acceptable outcome, the right value, and no canary."""

    name: str
    kind: str
    outcome: str
    value_ok: bool
    canary_ok: bool
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackReport:
    """All items in the order run, the number of processes, and the seconds."""

    tier: int
    items: tuple[_ItemReport, ...]
    num_runs: int
    seconds: float

    def count(self, kind: str, *, passed_only: bool = False) -> int:
        return sum(item.kind == kind and (item.passed or not passed_only) for item in self.items)

    def as_json(self) -> dict[str, Any]:
        return {
            "tier": self.tier,
            "items": [{name: getattr(item, name) for name in _ItemReport.__slots__} for item in self.items],
            "attacks_passed": self.count("attack", passed_only=True),
            "attacks": self.count("attack"),
            "benign_passed": self.count("benign", passed_only=True),
            "benign": self.count("benign"),
            "executions_per_s": round(self.num_runs / self.seconds, 1),
        }


def attack(executor: Executor, items: Sequence[Item]) -> AttackReport:
    """Run the items in order, with the determinism check on."""
    for item in items:
        if item.canary:
            Path(item.canary).unlink(missing_ok=True)
    jobs = [Job(program=item.code, inputs=(item.input,), check_determinism=True) for item in items]
    num_runs_before = executor.num_runs
    started = time.perf_counter()
    executions = [result for [result] in executor.run_jobs(jobs)]
    seconds = time.perf_counter() - started
    reports = tuple(_report(item, result) for item, result in zip(items, executions, strict=True))
    return AttackReport(
        tier=executor.tier, items=reports, num_runs=executor.num_runs - num_runs_before, seconds=seconds
    )


def _report(item: Item, execution: Execution) -> _ItemReport:
    outcome = execution.outcome.value
    value_ok = not execution.is_ok or item.value is None or _is_expected(execution.value, item.value)
    canary_ok = not item.canary or not Path(item.canary).exists()
    is_acceptable = outcome == item.expect or outcome in item.also
    return _ItemReport(
        name=item.name,
        kind=item.kind,
        outcome=outcome,
        value_ok=value_ok,
        canary_ok=canary_ok,
        passed=is_acceptable and value_ok and canary_ok,
    )


def _is_expected(value: Any, source: str) -> bool:  # noqa: ANN401
    """Whether a result is the expected one. The corpus is trusted and may write it as an expression."""
    try:
        expected = parse_literal(source)
    except BadLiteral:
        expected = eval(source, {})  # noqa: S307
    return same(value, expected)
