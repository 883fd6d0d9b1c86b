"""R-Zero on the nano model: what is written is forced on it, the probabilities and the learning are real."""

from functools import partial

import pytest
from forced import ForcedSampler, r_zero_config, script

from tinyzero.assembly import assemble
from tinyzero.runs.folder import RunFolder
from tinyzero.trainer import Trainer


def play(config, run, *, steps):
    """Some steps, prepared for as a trainer does."""
    reports = []
    with assemble(config, run, make_sampler=partial(ForcedSampler, script=script)) as trainer:
        for step in range(trainer.steps_done, steps):
            list(trainer.game.prepare(step))
            reports.append(trainer.step())
            trainer.checkpoint()
    return reports, trainer


def without_times(report):
    return {name: value for name, value in report.metrics.items() if not name.startswith("time/")}


@pytest.mark.slow
def test_each_learns_in_its_turn_and_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    config = r_zero_config('evaluation.heldout="none"')
    whole, broken = (RunFolder.create(tmp_path, name, config) for name in ("whole", "broken"))
    reports, trainer = play(config, whole, steps=4)
    learned = [
        {name.split("/")[1] for name in report.metrics if name.startswith("learner/")} for report in reports
    ]
    assert learned == [{"proposer"}, {"solver"}, {"solver"}, {"proposer"}]
    assert trainer.policy.versions == {"proposer": 2, "solver": 2}
    assert all(
        value > 0
        for report in reports
        for name, value in report.metrics.items()
        if name.endswith("grad_norm")
    )
    play(config, broken, steps=2)
    again, resumed = play(config, broken, steps=4)
    assert list(map(without_times, again)) == list(map(without_times, reports[2:]))
    for name in ("proposer", "solver"):
        first, second = (
            [weight.detach().clone() for weight in one.policy.trainable_parameters(name)]
            for one in (trainer, resumed)
        )
        assert all(a.equal(b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_training_writes_questions_as_tasks_and_tells_of_writing_them(tmp_path):
    config = r_zero_config('evaluation.heldout="none"', "run.max_steps=2")
    run = RunFolder.create(tmp_path, "run", config)
    told = []
    with assemble(config, run, make_sampler=partial(ForcedSampler, script=script)) as trainer:
        assert isinstance(trainer, Trainer)
        trainer.observers = (Listener(told),)
        trainer.train()
    assert told == [("seeding", 0, 8), ("seeding", 4, 8), ("seeding", 8, 8)]


class Listener:
    def __init__(self, told):
        self.told = told

    def on_start(self, start):
        pass

    def on_step(self, report):
        pass

    def on_event(self, name, detail):
        if name == "seeding":
            self.told.append((name, detail["tasks"], detail["wanted"]))

    def on_end(self, summary):
        pass
