"""Trackers: what they are told, and that a run outlives them."""

import logging
from pathlib import Path

import pytest

from tinyzero.config import Config, TrackersConfig
from tinyzero.errors import ConfigError
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.types import Round, StepReport
from tinyzero.watch.trackers import TrackerObserver, trackers

END = RunSummary(step=2, reason=StopReason.MAX_STEPS, seconds=1.0, checkpoint=None)


def start(path=Path("x"), step=0):
    return RunStart(name="x", path=path, config=Config(), step=step, device="cpu", sandbox_tier="strong")


def report(step):
    empty = Round(rollouts=[], advantages=[], new_tasks=[], metrics={}, seconds={})
    return StepReport(step=step, metrics={"solver/accuracy": step / 10}, round=empty)


def play(observer, path, steps=(1, 2)):
    observer.on_start(start(path))
    for step in steps:
        observer.on_step(report(step))
    observer.on_end(END)


def test_none_is_on_by_default():
    assert list(trackers(Config().trackers)) == []


def test_tensorboard_gets_every_figure_at_its_step(tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (observer,) = trackers(TrackersConfig(tensorboard=True))
    play(observer, tmp_path)
    events = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("solver/accuracy")
    assert [(scalar.step, round(scalar.value, 6)) for scalar in scalars] == [(1, 0.1), (2, 0.2)]


def test_a_tracker_that_is_not_installed_is_said_before_the_run(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"trackers.wandb is on, but wandb is not installed; pip install wandb"
    ):
        list(trackers(TrackersConfig(wandb=True)))


class Failing:
    """Fails at the step or the call it is told to."""

    def __init__(self, at):
        self.at = at
        self.seen = []

    def log(self, metrics, step):
        self.seen.append(step)
        if step == self.at:
            raise OSError("no network")

    def close(self):
        self.seen.append("close")
        if self.at == "close":
            raise RuntimeError("too late")


@pytest.mark.parametrize(
    ("at", "seen"), [(1, [1]), (2, [1, 2]), ("close", [1, 2, "close"]), (None, [1, 2, "close"])]
)
def test_a_failing_tracker_is_dropped_and_the_run_goes_on(at, seen, caplog):
    tracker = Failing(at)
    with caplog.at_level(logging.WARNING):
        play(TrackerObserver("mine", lambda start: tracker), Path("x"))
    assert tracker.seen == seen
    assert ("mine failed" in caplog.text) is (at is not None)


def test_a_tracker_that_cannot_be_opened_is_dropped(caplog):
    def refuse(start):
        raise RuntimeError("no key")

    play(TrackerObserver("mine", refuse), Path("x"))
    assert "mine failed, and is left out from now on: RuntimeError: no key" in caplog.text


def test_a_person_who_stops_the_run_is_not_held_up():
    class Slow(Failing):
        def log(self, metrics, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(TrackerObserver("mine", lambda start: Slow(None)), Path("x"))
