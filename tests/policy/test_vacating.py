"""Leaving the card: every tensor goes and comes back, with a pretended device where there is no card."""

import torch
from bitsandbytes.functional import QuantState
from rounds import TEMPERATURE, learner, make_round, weights
from torch import nn

from tinyzero.policy import vacating


class Devices:
    """Pretends that tensors move: a tensor is on the card where its storage was made by `come`."""

    def __init__(self):
        self.on_card = set()

    def leave(self, tensor):
        return tensor.clone()

    def come(self, tensor):
        arrived = tensor.clone()
        self.on_card.add(arrived.data_ptr())
        return arrived


def tensors_of(policy, subject):
    states = [state for optimizer in subject._optimizers.values() for state in optimizer.state.values()]
    moments = [value for state in states for value in state.values() if torch.is_tensor(value)]
    return [*policy.model.parameters(), *policy.model.buffers(), *moments]


def test_everything_moves_and_the_next_update_is_the_same(make_policy):
    policies = [make_policy(temperature=TEMPERATURE) for _ in range(2)]
    learners = [learner(policy) for policy in policies]
    for policy, subject in zip(policies, learners, strict=True):
        subject.update(*make_round(policy))
    devices, paused, subject = Devices(), policies[1], learners[1]
    before = [tensor.data for tensor in tensors_of(paused, subject)]  # so that no number comes again
    kept = [id(parameter) for parameter in paused.model.parameters()]
    for move in (devices.leave, devices.come):
        paused.move(move)
        subject.move(move)
    after = tensors_of(paused, subject)
    assert {tensor.data_ptr() for tensor in after} <= devices.on_card
    assert not {tensor.data_ptr() for tensor in after} & {tensor.data_ptr() for tensor in before}
    assert [id(parameter) for parameter in paused.model.parameters()] == kept  # the optimizer knows them
    figures = [
        subject.update(*make_round(policy)) for policy, subject in zip(policies, learners, strict=True)
    ]
    assert figures[0] == figures[1]
    assert torch.equal(weights(policies[0], "shared"), weights(policies[1], "shared"))


def test_constants_of_four_bit_weights_move_with_their_own_constants():
    module, devices = nn.Linear(2, 2, bias=False), Devices()
    nested = QuantState(absmax=torch.ones(1), code=torch.ones(2))
    module.weight.quant_state = QuantState(
        absmax=torch.ones(3), code=torch.ones(4), offset=torch.ones(5), state2=nested
    )
    vacating.move_module(module, devices.come)
    state = module.weight.quant_state
    constants = [state.absmax, state.code, state.offset, nested.absmax, nested.code]
    assert {tensor.data_ptr() for tensor in (module.weight, *constants)} == devices.on_card


def test_a_cpu_has_nothing_to_leave_but_the_sampler_sleeps():
    calls = []
    with vacating.vacated(device=torch.device("cpu"), sleep=lambda: calls.append("sleep")) as freed_gib:
        assert calls == ["sleep"]
        assert freed_gib == 0


class Card:
    """A part that finds no room on the card for some time."""

    def __init__(self, refusals):
        self.refusals = refusals
        self.on = []

    def move(self, move):
        self.on.append(move(torch.zeros(0)).device.type)
        if self.on[-1] == "meta" and self.refusals:
            self.refusals -= 1
            raise torch.OutOfMemoryError


def test_a_card_that_others_have_filled_is_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(vacating, "_TRY_AGAIN_S", 0.0)
    card = Card(refusals=2)
    vacating._come_back((card,), torch.device("meta"))  # in the place of a card
    assert card.on == ["meta", "cpu", "meta", "cpu", "meta"]
    assert caplog.text.count("the card has no room for the weights yet") == 2
