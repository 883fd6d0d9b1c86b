import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.execution import nursery
from tinyzero.execution.answers import Ended, combined, execution_of, trouble
from tinyzero.execution.child import SETUP_FAILED_SIGNAL
from tinyzero.types import Execution, Outcome


def ended(
    answer: bytes = b"", *, reason: int = nursery.FINISHED, status: int = 0, cpu_s: float = 0.01
) -> Ended:
    return Ended(reason, status, cpu_s, 0.02, answer)


def outcome_of(answer: bytes, num_calls: int = 1) -> Outcome:
    return execution_of(ended(answer), cpu_s=0.25, num_calls=num_calls).outcome


words = st.sampled_from(
    [
        b"ok ",
        b"exception ",
        b"timeout",
        b"banned",
        b"\n",
        b"[",
        b"]",
        b"1, ",
        b"0x",
        b"'",
        b'"""',
        b"\\",
        b"\xff",
    ]
)


@given(
    st.binary() | st.lists(words).map(b"".join),
    st.sampled_from([1, 2]),
    st.integers(0, 4),
    st.integers(0, 255),
)
def test_no_answer_of_a_child_raises_in_the_parent(
    answer: bytes, num_calls: int, reason: int, status: int
) -> None:
    report = Ended(reason, status << 8 if status > 64 else status % 65, 0.01, 0.02, answer)
    assert isinstance(trouble(report, 0.25), str)
    execution = execution_of(report, cpu_s=0.25, num_calls=num_calls)
    assert execution.is_ok or execution.value is None


@given(st.binary())
def test_what_does_not_open_an_answer_is_a_crash(answer: bytes) -> None:
    if not answer.startswith(b"\n"):
        assert outcome_of(answer) is Outcome.CRASHED


@pytest.mark.parametrize(
    ("answer", "num_calls", "outcome"),
    [
        (b"\nok 0x2a", 1, Outcome.OK),
        (b"\nexception ValueError", 1, Outcome.EXCEPTION),
        (b"\noom", 1, Outcome.OUT_OF_MEMORY),
        (b"\nbad_type A", 2, Outcome.BAD_TYPE),
        (b"\nok 0x2a\nok 0x2a", 2, Outcome.OK),
        (b"\nok {1, 2}\nok {2, 1}", 2, Outcome.OK),
        (b"\nok 0x2a\nok 0x2b", 2, Outcome.NONDETERMINISTIC),
        (b"\nok 0x1\nok True", 2, Outcome.NONDETERMINISTIC),
        (b"\nok 0x2a\nexception ValueError", 2, Outcome.NONDETERMINISTIC),
        (b"\nok 0x2a\noom", 2, Outcome.OUT_OF_MEMORY),
        (b"\nok 0x2a", 2, Outcome.CRASHED),
        (b"\nok 0x2a\nok 0x2a", 1, Outcome.CRASHED),
        (b"\noom\nok 0x2a", 2, Outcome.CRASHED),
        (b"\ntimeout", 1, Outcome.CRASHED),
        (b"\nbanned", 1, Outcome.CRASHED),
        (b"\nsetup_failed", 1, Outcome.CRASHED),
        (b"\nnondeterministic", 1, Outcome.CRASHED),
        (b"\nok", 1, Outcome.CRASHED),
        (b"\nok " + b"[" * 30_000 + b"]" * 30_000, 1, Outcome.CRASHED),
        (b"\nok __import__('os')", 1, Outcome.CRASHED),
        (b"\nok 0x2a\n", 1, Outcome.CRASHED),
        (b"\n", 1, Outcome.CRASHED),
        (b"", 1, Outcome.CRASHED),
    ],
)
def test_what_a_child_may_claim(answer: bytes, num_calls: int, outcome: Outcome) -> None:
    assert outcome_of(answer, num_calls) is outcome


@pytest.mark.parametrize(
    ("report", "outcome", "detail"),
    [
        (ended(b"\nok 0x1", reason=nursery.CPU_SPENT, status=9), Outcome.TIMEOUT, "cpu"),
        (ended(b"\nok 0x1", reason=nursery.WALL_SPENT, status=9), Outcome.TIMEOUT, "wall"),
        (ended(b"\nok 0x1", reason=nursery.FLOODED, status=9), Outcome.OUTPUT_TOO_LARGE, ""),
        (ended(b"\nok 0x1", status=signal.SIGSYS), Outcome.BANNED, "SIGSYS"),
        (ended(b"\nok 0x1", status=signal.SIGSEGV), Outcome.CRASHED, "SIGSEGV"),
        (ended(b"\nok 0x1", status=1 << 8), Outcome.CRASHED, "exit 1"),
        (ended(b"\nok 0x1", cpu_s=0.26), Outcome.TIMEOUT, "cpu"),
    ],
)
def test_what_was_observed_goes_before_what_is_claimed(report: Ended, outcome: Outcome, detail: str) -> None:
    execution = execution_of(report, cpu_s=0.25, num_calls=1)
    assert (execution.outcome, execution.detail) == (outcome, detail)


@pytest.mark.parametrize(
    "report",
    [
        ended(b"Resource temporarily unavailable", reason=nursery.NOT_FORKED),
        ended(b"OSError: seccomp", status=SETUP_FAILED_SIGNAL),
        ended(status=signal.SIGKILL),
        ended(status=signal.SIGTERM),
        ended(b"\nok 0x1", status=signal.SIGHUP),
        ended(status=signal.SIGUSR1),
    ],
)
def test_infrastructure_trouble_is_told_from_the_programs_doing(report: Ended) -> None:
    assert trouble(report, 0.25)


def test_a_program_that_dies_is_no_trouble() -> None:
    assert not trouble(ended(status=signal.SIGSEGV), 0.25)
    assert not trouble(ended(status=3 << 8), 0.25)
    assert not trouble(ended(reason=nursery.CPU_SPENT, status=signal.SIGKILL), 0.25)


def test_a_program_that_the_kernel_kills_beyond_its_time_is_a_timeout() -> None:
    report = ended(status=signal.SIGKILL, cpu_s=2.01)
    assert not trouble(report, 0.25)
    assert execution_of(report, cpu_s=0.25, num_calls=1).outcome is Outcome.TIMEOUT


def test_only_answers_contradict_each_other() -> None:
    one, two = (Execution(outcome=Outcome.OK, value=value) for value in (1, 2))
    error, late = Execution(outcome=Outcome.EXCEPTION, detail="KeyError"), Execution(outcome=Outcome.TIMEOUT)
    assert combined(one, two).outcome is Outcome.NONDETERMINISTIC
    assert combined(one, error).outcome is Outcome.NONDETERMINISTIC
    assert combined(error, Execution(outcome=Outcome.EXCEPTION, detail="ValueError")).outcome is (
        Outcome.NONDETERMINISTIC
    )
    assert combined(one, late) is late
    assert combined(late, one) is late
    assert combined(one, one) is one
