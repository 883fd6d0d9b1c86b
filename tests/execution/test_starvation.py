"""A run that hardly ran is tried once more, and believed the second time."""

from dataclasses import replace

import pytest

from tinyzero.execution import Executor, dispatcher, nursery
from tinyzero.execution.link import Run
from tinyzero.types import Outcome


@pytest.fixture
def starving(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The next run that ends well is reported as one that got no CPU before its wall time was over."""
    starved: list[Run] = []

    def take_back(self: dispatcher.Dispatcher, run: Run) -> None:
        if not starved and b"starve" in run.program:
            starved.append(run)
            run.ended = replace(run.ended, reason=nursery.WALL_SPENT, answer=b"")
        original(self, run)

    original = dispatcher.Dispatcher._take_back
    monkeypatch.setattr(dispatcher.Dispatcher, "_take_back", take_back)
    return starved


def test_a_program_that_was_starved_once_is_run_again(starving: list[Run]) -> None:
    with Executor() as executor:
        (execution,) = executor.run("def f(x): return x + 1  # starve", ["41"])
    assert len(starving) == 1
    assert (execution.outcome, execution.value) == (Outcome.OK, 42)


def test_a_program_that_sleeps_every_time_is_a_timeout() -> None:
    with Executor() as executor:
        (execution,) = executor.run("import time\ndef f(): time.sleep(60)", [""])
    assert (execution.outcome, execution.detail) == (Outcome.TIMEOUT, "wall")
