"""Run a corpus of attacks and honest programs, and say which of them went as they should."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyzero.config import ExecutionConfig
from tinyzero.execution.corpus import Item
from tinyzero.execution.executor import Executor
from tinyzero.execution.values import BadLiteral, parse_literal, same
from tinyzero.types import Execution, Job

ATTACK_LIMITS = ExecutionConfig(cpu_s=1.0)
"""A memory bomb takes some tenths of a second to reach the memory limit; by default it is a timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReport:
    """How one item went. `passed` needs an acceptable outcome, the right value, and no canary."""

    name: str
    kind: str
    outcome: str
    value_ok: bool
    canary_ok: bool
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackReport:
    """All items in the order run, the number of processes that took, and the seconds."""

    tier: int
    items: tuple[ItemReport, ...]
    num_runs: int
    seconds: float

    def count(self, kind: str, *, passed_only: bool = False) -> int:
        return sum(item.kind == kind and (item.passed or not passed_only) for item in self.items)

    def as_json(self) -> dict[str, Any]:
        return {
            "tier": self.tier,
            "items": [{name: getattr(item, name) for name in ItemReport.__slots__} for item in self.items],
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


def _report(item: Item, execution: Execution) -> ItemReport:
    outcome = execution.outcome.value
    value_ok = not execution.is_ok or item.value is None or _is_expected(execution.value, item.value)
    canary_ok = not item.canary or not Path(item.canary).exists()
    is_acceptable = outcome == item.expect or outcome in item.also
    return ItemReport(
        name=item.name,
        kind=item.kind,
        outcome=outcome,
        value_ok=value_ok,
        canary_ok=canary_ok,
        passed=is_acceptable and value_ok and canary_ok,
    )


def _is_expected(value: Any, source: str) -> bool:  # noqa: ANN401
    """Whether a result is the expected one, which a corpus may write as an expression: it is trusted."""
    try:
        expected = parse_literal(source)
    except BadLiteral:
        expected = eval(source, {})  # noqa: S307
    return same(value, expected)
