from collections.abc import Callable, Sequence

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution import Executor, Tier
from tinyzero.execution.selftest import Probe, observe
from tinyzero.types import Execution, Outcome

HONEST = Execution(outcome=Outcome.OK, value=1)


def pretend(
    *layers_that_leak: str, clocks: tuple[int, int] = (0, 400)
) -> Callable[[Sequence[Probe]], list[Execution]]:
    """A sandbox in which the attacks on some layers succeed."""

    def run_probes(probes: Sequence[Probe]) -> list[Execution]:
        return [outcome(probe) for probe in probes]

    def outcome(probe: Probe) -> Execution:
        if probe.layer == "clock":
            return Execution(outcome=Outcome.OK, value=clocks[probe.is_shifted])
        if probe.layer in layers_that_leak:
            return HONEST
        outcomes = (Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.OUTPUT_TOO_LARGE, Outcome.CRASHED)
        stops = [Execution(outcome=outcome) for outcome in outcomes]
        return next((stop for stop in stops if probe.is_stopped(stop)), HONEST)

    return run_probes


@pytest.mark.parametrize(
    ("leaks", "tier"),
    [
        ((), Tier.DOUBLY_CONFINED),
        (("landlock",), Tier.CONFINED),
        (("confinement",), Tier.WEAK),
        (("confinement", "landlock"), Tier.WEAK),
        (("limits",), None),
    ],
)
def test_the_tier_is_what_was_stopped(leaks: tuple[str, ...], tier: Tier | None) -> None:
    assert observe(pretend(*leaks))[0] is tier


def test_clocks_that_agree_are_no_sandbox() -> None:
    """Otherwise a lost clock shift would let programs pass that depend on the date."""
    assert observe(pretend(clocks=(0, 0))) == (None, ["clocks that agree"])


def test_a_weak_sandbox_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyzero.execution.executor.observe", lambda _: (Tier.WEAK, ["read a file"]))
    with pytest.raises(ExecutorBroken, match="--allow-weak-sandbox"):
        Executor()
    with Executor(ExecutionConfig(allow_weak_sandbox=True)) as executor:
        assert executor.tier is Tier.WEAK


def test_a_sandbox_without_limits_is_refused_even_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinyzero.execution.executor.observe", lambda _: (None, ["memory"]))
    with pytest.raises(ExecutorBroken, match="memory"):
        Executor(ExecutionConfig(allow_weak_sandbox=True))


def test_an_interpreter_that_does_not_start_is_named() -> None:
    with pytest.raises(ExecutorBroken, match="/nowhere/python"):
        Executor(python="/nowhere/python")
    with pytest.raises(ExecutorBroken, match="did not start"):
        Executor(python="/bin/false")
