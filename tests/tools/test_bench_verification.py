import sys
from pathlib import Path

import pytest
from bench.verification import compare


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="CPU time is read from /proc")
def test_this_checkout_beside_itself_takes_three_processes_a_proposal() -> None:
    figures = compare(Path(__file__).parents[2], num_laps=1, num_proposals=20)
    assert figures["here"]["processes"] == figures["other"]["processes"] == 3
    assert figures["here"]["tasks"] == figures["other"]["tasks"] > 15
    assert figures["here / other"]["sandbox_ms"] > 0
