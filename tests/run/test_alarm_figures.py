"""Every alarm in a run: a game that emits metrics from a script, the real trainer and the real log."""

from typing import get_args

import pytest

from tinyzero.config import AlarmName, Config
from tinyzero.run import records
from tinyzero.run.folder import RunFolder
from tinyzero.run.recorder import Recorder
from tinyzero.trainer import Trainer
from tinyzero.types import Round
from tinyzero.watch import figures
from tinyzero.watch.follow import state_of

WINDOW = 2
# Alarm -> (metric, healthy, at the threshold, beyond it). Means of two equal figures are exact, and so
# are these ratios and differences.
FIGURES = {
    "nothing_to_learn": ("advantages/nonzero_share", 1.0, 0.01, 0.0),
    "duplicates": ("proposer/duplicate_share", 0.0, 0.5, 0.625),
    "few_shapes": ("proposer/distinct_shapes", 1.0, 0.5, 0.375),
    "one_kind": ("proposer/kind_entropy", 1.0, 0.5, 0.375),
    "trivial": ("proposer/trivial_share", 0.0, 0.5, 0.625),
    "unanimous": ("solver/unanimous_share", 0.0, 0.9, 1.0),
    "short_answers": ("length/solver", 8.0, 4.0, 3.0),
    "long_answers": ("length/solver", 8.0, 16.0, 17.0),
    "low_entropy": ("learner/shared/entropy", 1.0, 0.3, 0.25),
    "no_entropy": ("learner/shared/entropy", 0.05, 0.02, 0.01),
    "truncated": ("truncated/solver", 0.0, 0.5, 0.75),
    "sampler_gap": ("learner/shared/sampler_gap_mean", 0.0, 0.1, 0.15),
    "easier_programs": ("proposer/program_nodes", 10.0, 7.0, 6.0),
    "false_confidence": ("heldout/mean/sampled", 0.1, 0.05, 0.0),
}
# In words: the first window; exactly the threshold, for a whole window; beyond; well again; worse again.
SCRIPT = ("healthy", "healthy", "edge", "edge", "beyond", "healthy", "healthy", "beyond", "beyond")
ALARM_IS_ON = [0, 0, 0, 0, 1, 0, 0, 0, 1]
SCRIPTS = {
    alarm: [dict(zip(("healthy", "edge", "beyond"), values, strict=True))[word] for word in SCRIPT]
    for alarm, (_, *values) in FIGURES.items()
}


class Nothing:
    """A part of a checkpoint without a state."""

    def save(self, folder):
        folder.mkdir(exist_ok=True)

    def load(self, folder):
        pass


class ScriptedGame(Nothing):
    """Emits one metric from a script; the solver gets better and surer from step to step."""

    def __init__(self, metric, values):
        self.metric, self.values = metric, values

    def prepare(self, step):
        return iter(())

    def play(self, step):
        value = self.values[step]
        metrics = {"solver/accuracy": (step + 1) / 16, "solver/question/confidence": (step + 1) / 16}
        advantages = [0.0] * 100
        if self.metric == "advantages/nonzero_share":  # the trainer's own, from what was played
            advantages = [1.0] * round(100 * value) + [0.0] * round(100 - 100 * value)
        else:
            metrics[self.metric] = value
        return Round(rollouts=[], advantages=advantages, new_tasks=[], metrics=metrics, seconds={})


class NoLearner(Nothing):
    def update(self, rollouts, advantages):
        return {}


def make_trainer(run, config, alarm):
    return Trainer(
        config=config,
        run=run,
        policy=Nothing(),
        game=ScriptedGame(FIGURES.get(alarm, ("x",))[0], SCRIPTS.get(alarm, [0.0] * len(SCRIPT))),
        learner=NoLearner(),
        device="cpu",
        sandbox_tier="full",
        observers=(Recorder(run, preset="test"),),
        clock=lambda: 0.0,
    )


@pytest.fixture
def make_run(tmp_path):
    def make(name, alarm):
        config = Config.model_validate(
            {
                "run": {"max_steps": len(SCRIPT), "checkpoint_every_steps": 5},
                "watch": {
                    "window_steps": WINDOW,
                    "silent": [name for name in get_args(AlarmName) if name != alarm],
                },
            }
        )
        run = RunFolder.create(tmp_path, name, config)
        return run, make_trainer(run, config, alarm)

    return make


def told(run, *names):
    return [(event["event"], event["step"]) for event in records.read(run.events) if event["event"] in names]


def metric_lines(run):
    return list(records.read(run.metrics))


@pytest.mark.parametrize("alarm", FIGURES)
def test_an_alarm_begins_beyond_its_threshold_and_not_before_ends_and_comes_back(make_run, alarm):
    run, trainer = make_run("run", alarm)
    trainer.train()
    assert [line[f"watch/{alarm}"] for line in metric_lines(run)] == ALARM_IS_ON
    assert told(run, alarm, "alarm_over") == [(alarm, 5), ("alarm_over", 6), (alarm, 9)]
    state = state_of(run)
    assert [event.name for event in figures.alarms(state)] == [alarm]
    assert [len(figures.alarms(state.until(step))) for step in range(1, 10)] == ALARM_IS_ON


def test_a_silent_alarm_is_neither_told_nor_in_the_metrics(make_run):
    run, trainer = make_run("run", "truncated")
    trainer.game = ScriptedGame(FIGURES["duplicates"][0], SCRIPTS["duplicates"])
    trainer.train()
    assert told(run, *FIGURES) == []
    names = {name for line in metric_lines(run) for name in line if name.startswith("watch/")}
    assert names == {"watch/truncated"}


@pytest.mark.parametrize("killed_after", [3, 6, 9])
def test_a_run_that_was_killed_and_resumed_has_the_metrics_and_alarms_of_one_that_was_not(
    make_run, killed_after
):
    alarm = "short_answers"
    whole, trainer = make_run("whole", alarm)
    trainer.train()
    broken, trainer = make_run("broken", alarm)
    trainer.observers = (KilledRecorder(broken, after=killed_after),)
    with pytest.raises(Killed):
        trainer.train()
    resumed = make_trainer(broken, broken.config(), alarm)
    resumed.restore()
    assert resumed.steps_done == (5 if killed_after > 5 else 0)
    resumed.train()
    assert metric_lines(broken) == metric_lines(whole)
    spells = [
        [(spell.begin.name, spell.begin.step, spell.over_at) for spell in figures.alarm_spells(state_of(run))]
        for run in (broken, whole)
    ]
    assert spells[0] == spells[1] == [(alarm, 5, 6), (alarm, 9, None)]


class Killed(BaseException):
    pass


class KilledRecorder(Recorder):
    """Dies with its process after a step, when nothing but the log knows of the step."""

    def __init__(self, run, *, after):
        super().__init__(run, preset="test")
        self.after = after

    def on_step(self, report):
        super().on_step(report)
        if report.step == self.after:
            for writer in self._writers.values():
                writer.close()
            raise Killed


def test_decoding_without_graphs_is_an_alarm_at_once_and_as_long_as_it_lasts(make_run):
    run, trainer = make_run("run", "without_graphs")
    trainer.game = ScriptedGame("proposer/trivial_share", [0.0] * len(SCRIPT))
    figures_told = iter([0.0, 1.0, 1.0, *[0.0] * 6])
    trainer.sampler_metrics = lambda: {"sampling/without_graphs": next(figures_told)}
    trainer.train()
    assert [line["watch/without_graphs"] for line in metric_lines(run)] == [0, 1, 1, *[0] * 6]
    assert told(run, "without_graphs", "alarm_over") == [("without_graphs", 2), ("alarm_over", 4)]
