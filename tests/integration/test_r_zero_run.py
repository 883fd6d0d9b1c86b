"""R-Zero on the nano model: what is written is forced on it, the probabilities and the learning are real."""

from functools import partial

import pytest
from forced import ForcedSampler, r_zero_config, script

from tinyzero.assembly import assemble
from tinyzero.run.events import Preparing
from tinyzero.run.folder import RunFolder
from tinyzero.run.recorder import Recorder
from tinyzero.run.records import read


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


def train(run, config, *, stop_at=None):
    """A run as `tinyzero train` plays it, asked to stop once so many questions are written."""
    told = []
    with assemble(config, run, make_sampler=partial(ForcedSampler, script=script)) as trainer:
        trainer.observers = (Recorder(run, preset="test"), Listener(told, trainer, stop_at))
        summary = trainer.train()
    return told, summary


@pytest.mark.slow
def test_what_is_stopped_while_questions_are_written_goes_on_and_equals_an_uninterrupted_run(tmp_path):
    config = r_zero_config('evaluation.heldout="none"', "run.max_steps=3")
    whole, broken = (RunFolder.create(tmp_path, name, config) for name in ("whole", "broken"))
    told, _ = train(whole, config)
    assert told == [(0, 8), (4, 8), (8, 8)]
    told, summary = train(broken, config, stop_at=4)
    assert (told, summary.step) == ([(0, 8), (4, 8)], 1)
    told, summary = train(broken, config)
    assert (told, summary.step) == ([(4, 8), (8, 8)], 3)
    for log in ("metrics", "tasks", "replays"):
        assert logged(broken, log) == logged(whole, log)
    tasks = logged(whole, "tasks")
    assert {task["kind"] for task in tasks} == {"question"}
    assert len({task["id"] for task in tasks}) == len(tasks)
    assert all(task["attempts"] == 4 and task["outputs"] for task in tasks)


def logged(run, name):
    """The lines of a log, without what a clock says."""
    return [
        {key: value for key, value in line.items() if not key.startswith("time/")}
        for line in read(getattr(run, name))
    ]


@pytest.mark.slow
def test_a_frozen_challenger_is_the_base_model_and_the_solver_learns_in_every_step(tmp_path):
    config = r_zero_config('evaluation.heldout="none"', "run.max_steps=3", "selfplay.train_proposer=false")
    run = RunFolder.create(tmp_path, "run", config)
    train(run, config)
    lines = logged(run, "metrics")
    assert [sorted(name for name in line if name.endswith("grad_norm")) for line in lines] == [
        ["learner/solver/grad_norm"]
    ] * 3
    authors = {task["author"] for task in logged(run, "tasks")}
    assert authors == {"base@0"}


class Listener:
    def __init__(self, told, trainer, stop_at):
        self.told, self.trainer, self.stop_at = told, trainer, stop_at

    def on_start(self, start):
        pass

    def on_step(self, report):
        pass

    def on_event(self, event):
        if isinstance(event, Preparing):
            assert event.what == "questions"
            self.told.append((event.done, event.total))
            if event.done == self.stop_at:
                self.trainer.request_stop()

    def on_end(self, summary):
        pass
