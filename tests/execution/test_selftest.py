import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution import Executor, Tier
from tinyzero.execution.selftest import SelfTest, observe
from tinyzero.types import Execution, Outcome

HONEST = Execution(outcome=Outcome.OK, value=1)


def pretend(
    *layers_that_leak: str, clocks: tuple[int, int] = (0, 400)
) -> Callable[[Sequence[SelfTest]], list[Execution]]:
    """A sandbox in which the attacks on some layers succeed."""

    def run_probes(probes: Sequence[SelfTest]) -> list[Execution]:
        return [outcome(probe) for probe in probes]

    def outcome(probe: SelfTest) -> Execution:
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


REFUSING = """#!{python}
import ctypes, os, struct, sys
program = struct.pack("HBBI", 0x20, 0, 0, 0)  # load the number of the call
for number, argument, error in {rules}:
    if argument is not None:
        program += struct.pack("HBBIHBBI", 0x15, 0, 4, number, 0x20, 0, 0, 16)  # and its first argument
        program += struct.pack("HBBIHBBIHBBI", 0x15, 0, 1, argument, 6, 0, 0, 0x50000 | error, 0x20, 0, 0, 0)
    else:
        program += struct.pack("HBBIHBBI", 0x15, 0, 1, number, 6, 0, 0, 0x50000 | error)
program += struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)
buffer = ctypes.create_string_buffer(program)
pointer = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
structure = ctypes.create_string_buffer(pointer)
prctl = ctypes.CDLL(None).prctl
prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
assert prctl(38, 1, 0, 0, 0) == prctl(22, 2, ctypes.addressof(structure), 0, 0) == 0
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""
UNSHARE, LANDLOCK, FILTER = (272, None, 1), (444, None, 38), (157, 22, 22)  # call, argument, errno


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="numbers of its system calls"
)
@pytest.mark.parametrize(
    ("refused", "tier"),
    [
        ([UNSHARE], Tier.DOUBLY_CONFINED),
        ([LANDLOCK], Tier.CONFINED),
        ([UNSHARE, LANDLOCK], Tier.CONFINED),
        ([FILTER], Tier.WEAK),
    ],
)
def test_a_kernel_without_a_mechanism_has_the_tier_of_the_others(
    tmp_path: Path, refused: list[tuple[int, int | None, int]], tier: Tier
) -> None:
    python = tmp_path / "python"
    python.write_text(REFUSING.format(python=sys.executable, rules=refused))
    python.chmod(0o755)
    with Executor(ExecutionConfig(allow_weak_sandbox=True), python=str(python)) as executor:
        [execution] = executor.run("def f(): return 1", [""], check_determinism=True)
        assert (executor.tier, execution.value) == (tier, 1)


def test_an_interpreter_that_does_not_start_is_named() -> None:
    with pytest.raises(ExecutorBroken, match="/nowhere/python"):
        Executor(python="/nowhere/python")
    with pytest.raises(ExecutorBroken, match="did not start"):
        Executor(python="/bin/false")
