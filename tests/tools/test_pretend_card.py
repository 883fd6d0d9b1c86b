"""The pretended card refuses and counts what a card does; `python tools/pretend_gpu.py` walks on it."""

import pytest
import torch
from pretend.budget import Counts, complaints
from pretend.card import Card, MixedDevices
from pretend.mutants import MUTANTS

from tinyzero.machine.memory import KERNELS_PER_LAYER


@pytest.fixture
def card():
    """A card of a mebibyte."""
    with Card(memory_gib=1 / 1024) as card:
        yield card


def record(step):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def test_a_tensor_is_where_it_was_made_moved_or_computed(card):
    here, host = torch.zeros(3, device="cuda"), torch.zeros(3)
    made = {
        "copied": host.to("cuda"),
        "computed": here + 1,
        "viewed": here[:2],
        "as another": torch.ones_like(here),
        "from data": torch.tensor([1], device="cuda"),
    }
    for name, tensor in made.items():
        assert tensor.device == torch.device("cuda", 0), name
        assert tensor.is_cuda, name
    for tensor in (host, here.cpu(), host + 1, torch.ones_like(here, device="cpu")):
        assert tensor.device.type == "cpu"


def test_tensors_of_both_devices_do_not_meet(card):
    here = torch.zeros(3, device="cuda")
    with pytest.raises(MixedDevices, match="found at least two devices"):
        here + torch.ones(3)
    assert (here + torch.tensor(2.0)).tolist() == [2, 2, 2]  # a number may come from the host
    with pytest.raises(TypeError, match="to numpy"):
        here.numpy()


def test_gradients_arrive_on_the_card(card):
    weight = torch.ones(3, device="cuda", requires_grad=True)
    (weight * 2).sum().backward()
    assert weight.grad.is_cuda
    assert weight.grad.tolist() == [2, 2, 2]


def test_a_recording_computes_nothing_and_a_replay_computes_in_place(card):
    total, addend = torch.zeros(2, device="cuda"), torch.ones(2, device="cuda")
    graph = record(lambda: total.add_(addend * 2))
    assert total.tolist() == [0, 0]
    graph.replay()
    addend.fill_(3)
    graph.replay()
    assert total.tolist() == [8, 8]
    assert card.graphs == {"recorded": 1, "replayed": 2}


@pytest.mark.parametrize(
    "step",
    [
        lambda tensor: int(tensor[0]),
        lambda tensor: tensor.tolist(),
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor[tensor > 0],
        lambda tensor: tensor.cpu(),
        lambda tensor: tensor[torch.tensor([0])],
        lambda tensor: torch.tensor([1.0], device="cuda"),
        lambda tensor: torch.cuda.synchronize(),
    ],
)
def test_a_recording_holds_no_wait_and_no_copy(card, step):
    tensor = torch.ones(2, device="cuda")
    step(tensor)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        record(lambda: step(tensor))
    step(tensor)


def test_memory_ends_and_comes_back(card):
    held = torch.zeros(200_000, device="cuda")
    assert card.allocated >= 800_000
    with pytest.raises(torch.OutOfMemoryError):
        torch.zeros(200_000, device="cuda")
    del held
    assert card.allocated < 1000
    assert card.peak >= 800_000


def test_kernels_and_waits_are_counted_by_phase(card):
    tensor = torch.ones(4, device="cuda")
    with card.phase("step"):
        (tensor * 2 + 1).view(2, 2).sum().item()
    assert card.kernels["step"].total() == 4  # mul, add, sum, and the read; a view starts none
    assert card.waits["step"].total() == 1


def test_all_of_torch_is_as_it_was_afterwards():
    before = torch.cuda.is_available, torch.Tensor.device, torch.load
    with Card():
        assert torch.cuda.is_available()
    assert (torch.cuda.is_available, torch.Tensor.device, torch.load) == before
    assert torch.zeros(1).device.type == "cpu"


def test_a_budget_is_overrun_by_a_line_each():
    within = Counts(kernels=300, waits=2, copies=0)
    assert complaints(KERNELS_PER_LAYER, 80, within) == []
    assert len(complaints(KERNELS_PER_LAYER, 80, Counts(kernels=300, waits=3, copies=1))) == 2
    assert len(complaints(KERNELS_PER_LAYER + 10, 1000, within)) == 2
    assert "the plan counts" in complaints(KERNELS_PER_LAYER // 2, 80, within)[0]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_can_be_planted(mutant, tmp_path):
    from importlib.resources import files

    path = tmp_path / mutant.file
    path.parent.mkdir()
    path.write_text((files("tinyzero") / mutant.file).read_text(encoding="utf-8"), encoding="utf-8")
    mutant.plant(tmp_path)
    assert mutant.after in path.read_text(encoding="utf-8")
