import sys
from collections.abc import Iterator

import pytest
from bench.peers import compare, proposal_cpu_ms

from tinyzero.execution import Executor


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor() as executor:
        yield executor


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="CPU time is read from /proc")
def test_every_way_that_is_here_is_measured(executor: Executor) -> None:
    speeds = compare(executor, 60)
    assert next(iter(speeds)) == "tinyzero"
    assert any("python -I -S -c" in name for name in speeds)
    assert all(speed.runs_per_s > 0 and speed.cpu_ms >= 0 for speed in speeds.values())


@pytest.mark.skipif(sys.platform != "linux", reason="CPU time is read from /proc")
def test_a_proposal_takes_three_processes(executor: Executor) -> None:
    before = executor.num_runs
    apart, together = proposal_cpu_ms(executor, 20).values()
    assert executor.num_runs - before == 20 * (8 + 3)
    assert together > 0
    assert apart > 0
