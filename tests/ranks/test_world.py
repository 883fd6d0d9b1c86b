"""Three processes that meet over gloo, as torchrun starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("meeting_program.py")
SIZE = 3


@pytest.fixture(scope="module")
def ranks():
    """What each rank has heard. The last one kills itself."""
    from torch.distributed import TCPStore

    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # as torchrun's agent keeps it
    processes = [start(rank, store.port) for rank in range(SIZE)]
    printed = [process.communicate(timeout=600)[0] for process in processes]
    return [json.loads(text.splitlines()[-1]) for text in printed]


def start(rank, port):
    place = {
        "RANK": rank, "WORLD_SIZE": SIZE, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": SIZE,
        "MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True,
    }  # fmt: skip
    environment = os.environ | {name: str(value) for name, value in place.items()}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_all_hear_all_in_order(ranks):
    for heard in ranks:
        assert heard["gathered"] == [{"rank": 0}, {"rank": 1}, {"rank": 2}]
        assert heard["shared"] == "from 0"
    assert ranks[1]["order"] == ranks[2]["order"] == ["play", 7]


def test_sums_have_the_same_bits_everywhere_and_are_added_in_the_order_of_the_ranks(ranks):
    for heard in ranks:
        assert heard["sums"] == [[111.0], [111.0] * 5, [111.0] * 2]
        assert heard["bits"] == [True] * SIZE
        assert heard["in order"]


def test_one_of_those_who_are_left_says_what_has_happened_and_how_to_go_on(ranks):
    told = [heard["lost"] for heard in ranks[:-1] if "lost" in heard]
    silent = [heard["silent"] for heard in ranks[:-1] if "silent" in heard]
    assert (len(told), silent) == (1, [2])
    assert "a process of this run has ended" in told[0]
    assert told[0].endswith("tinyzero train --resume runs/here")
