import os

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ConfigError
from tinyzero.ranks.place import Place, place_of

TORCHRUN = {
    "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "localhost", "MASTER_PORT": "29500",
}  # fmt: skip


def test_torchrun_says_which_process_this_is():
    assert place_of(TORCHRUN) == Place(rank=5, size=8, local_rank=1, local_size=4)


@pytest.mark.parametrize(
    "environment",
    [{}, {"RANK": "0", "WORLD_SIZE": "2"}, {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}],
    ids=["nothing", "a scheduler's, without an address", "one process of torchrun"],
)
def test_a_process_on_its_own_has_no_place(environment):
    assert place_of(environment) is None


@pytest.mark.parametrize("change", [{"RANK": "first"}, {"RANK": "8"}, {"LOCAL_RANK": "4"}, {"RANK": "-1"}])
def test_what_torchrun_cannot_have_said_is_refused(change):
    with pytest.raises(ConfigError, match="torchrun"):
        place_of({**TORCHRUN, **change})


def test_a_port_where_nobody_can_meet_is_refused():
    with pytest.raises(ConfigError, match=r"port 0.*--standalone"):
        place_of({**TORCHRUN, "MASTER_PORT": "0"})


def test_each_process_sees_the_card_of_its_number():
    place = place_of(TORCHRUN)
    assert place.card(None) == "1"
    assert place.card("3,2,1,0") == "2"
    assert place.card("GPU-a,GPU-b,GPU-c,GPU-d,GPU-e") == "GPU-b"
    assert place.card("") == ""  # no card, for a run on the CPU


def test_too_few_cards_are_told_with_the_number_that_fits():
    with pytest.raises(ConfigError, match=r"starts 4 processes here.*names 2 card.*--nproc_per_node 2"):
        place_of(TORCHRUN).card("0,1")


def test_processes_of_a_machine_divide_its_cores():
    place = Place(rank=0, size=2, local_rank=0, local_size=10**6)
    assert place.own_execution(ExecutionConfig()).workers == 1
    alone_here = Place(rank=0, size=2, local_rank=0, local_size=1)
    assert alone_here.own_execution(ExecutionConfig()).workers == os.cpu_count()
    assert place.own_execution(ExecutionConfig(workers=3)).workers == 3
