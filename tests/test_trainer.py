"""The loop with a game and a learner that only remember: when it stops, saves, tells and goes on."""

import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from tinyzero import trainer as trainer_module
from tinyzero.config import Config
from tinyzero.errors import FolderLost, NotFinite
from tinyzero.evaluation.comparison import Comparison
from tinyzero.run import checkpoints
from tinyzero.run.alarms import RULES
from tinyzero.run.control import Request, ask, take
from tinyzero.run.events import Checkpointed, Paused, Preparing
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import StopReason
from tinyzero.run.recorder import Recorder
from tinyzero.run.trained import choose_snapshot
from tinyzero.trainer import Trainer
from tinyzero.types import Preparation, Round


class Counter:
    """A part of a checkpoint whose whole state is a list."""

    def __init__(self):
        self.seen = []

    def save(self, folder):
        folder.mkdir(exist_ok=True)
        (folder / "seen.json").write_text(json.dumps(self.seen))

    def load(self, folder):
        self.seen = json.loads((folder / "seen.json").read_text())


class CountingGame(Counter):
    def prepare(self, step):
        return iter(())

    def play(self, step):
        self.seen.append(step)
        return Round(
            rollouts=[], advantages=[], new_tasks=[], metrics={"solver/accuracy": 0.5}, seconds={"solve": 2.0}
        )


class CountingLearner(Counter):
    def update(self, rollouts, advantages):
        self.seen.append(len(rollouts))
        return {"learner/shared/loss": 1.0}


class CountingProbe(Counter):
    """Measures by counting, so that its figures tell when it was asked."""

    num_tasks = 7

    def __init__(self):
        super().__init__()
        self.ends = []

    def measure(self, step, *, is_end):
        self.seen.append(step)
        self.ends.append(is_end)
        return {"heldout/mean/sampled": step / 10}

    def shown(self):
        return [{"answer": "42"}]

    def compare(self):
        return Comparison(set_name="x", attempts=1, step=self.seen[-1], rows=()) if self.seen else None


class Listener:
    def __init__(self):
        self.heard = []
        self.reports = []

    def on_start(self, start):
        self.heard.append(("start", start.step))

    def on_step(self, report):
        self.heard.append(("step", report.step))
        self.reports.append(report)

    def on_event(self, event):
        self.heard.append((event.name, event.step))

    def on_end(self, summary):
        self.heard.append(("end", summary.step, summary.reason))


class Ticks:
    """A clock that advances by `seconds` each time it is read."""

    def __init__(self, seconds):
        self.now = 0.0
        self.seconds = seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def make_trainer(tmp_path, listener):
    def make(*, tick_s=0.0, probe=None, probe_every=None, window_steps=10, **run):
        config = Config.model_validate(
            {
                "run": {"max_steps": 5, "checkpoint_every_steps": 2} | run,
                "evaluation": {"every_steps": probe_every},
                "watch": {"window_steps": window_steps},
            }
        )
        path = tmp_path / "run"
        folder = RunFolder(path) if path.exists() else RunFolder.create(tmp_path, "run", config)
        return Trainer(
            config=config,
            run=folder,
            policy=Counter(),
            game=CountingGame(),
            learner=CountingLearner(),
            probe=probe,
            device="cpu",
            sandbox_tier="full",
            observers=(listener,),
            clock=Ticks(tick_s),
        )

    return make


def test_a_run_plays_its_steps_saves_on_the_way_and_at_the_end(make_trainer, listener):
    trainer = make_trainer()
    summary = trainer.train()
    assert trainer.game.seen == [0, 1, 2, 3, 4]
    assert listener.heard == [
        ("start", 0),
        ("step", 1),
        ("step", 2),
        ("checkpoint", 2),
        ("step", 3),
        ("step", 4),
        ("checkpoint", 4),
        ("step", 5),
        ("checkpoint", 5),
        ("end", 5, StopReason.MAX_STEPS),
    ]
    assert summary.checkpoint == trainer.run.checkpoints / "step-000005"
    assert (trainer.run.adapter / "seen.json").exists()


def test_a_step_reports_what_was_played_learned_and_how_long_it_took(make_trainer, listener):
    make_trainer(max_steps=1, tick_s=1.0).train()
    (report,) = listener.reports
    assert report.metrics == {
        "solver/accuracy": 0.5,
        "advantages/nonzero_share": 0.0,
        "learner/shared/loss": 1.0,
        "time/solve_s": 2.0,
        "time/learn_s": 1.0,
        "time/step_s": 3.0,
        **dict.fromkeys((f"watch/{rule.name}" for rule in RULES), 0.0),
    }


def test_the_last_step_is_saved_and_told_once(make_trainer, listener):
    make_trainer(max_steps=4).train()
    assert listener.heard.count(("checkpoint", 4)) == 1


def test_a_run_that_learns_nothing_says_so_once_until_it_learns_again(make_trainer, listener):
    trainer = make_trainer(max_steps=14, window_steps=5)
    play = trainer.game.play

    def learn_in_step_seven(step):
        return replace(play(step), advantages=[0.5] if step == 7 else [0.0])

    trainer.game.play = learn_in_step_seven
    trainer.train()
    assert [event for event in listener.heard if event[0] in ("nothing_to_learn", "alarm_over")] == [
        ("nothing_to_learn", 5),
        ("alarm_over", 8),
        ("nothing_to_learn", 13),
    ]
    told = [listener.heard.index(event) for event in (("step", 5), ("nothing_to_learn", 5), ("step", 6))]
    assert told == sorted(told)


def reacting(make_trainer, **react):
    """A trainer of a run that learns nothing, so that an alarm begins with its fifth step."""
    trainer = make_trainer(max_steps=12, window_steps=5)
    watch = trainer.config.watch.model_copy(update={"react": react})
    trainer.config = trainer.config.model_copy(update={"watch": watch})
    return trainer


def test_an_alarm_stops_a_run_that_says_so_and_a_resume_goes_on(make_trainer, listener):
    first = reacting(make_trainer, nothing_to_learn="stop")
    first.observers = (Recorder(first.run, preset="nano-cpu"), listener)
    summary = first.train()
    assert (summary.step, summary.reason) == (5, StopReason.ALARM)
    assert [event for event in listener.heard if event[0] in ("nothing_to_learn", "reacted")] == [
        ("nothing_to_learn", 5),
        ("reacted", 5),
    ]
    assert summary.checkpoint.name == "step-000005"
    again = reacting(make_trainer, nothing_to_learn="stop")
    again.restore()
    assert again.train().step == 12  # the alarm was on already


def test_an_alarm_lowers_the_learning_rate_once_where_asked(make_trainer, listener):
    trainer = reacting(make_trainer, nothing_to_learn="lower_lr", unanimous="stop")
    factors = []
    trainer.learner.scale_lr = factors.append
    assert trainer.train().step == 12
    assert factors == [0.5]
    assert ("reacted", 5) in listener.heard


def test_by_default_no_alarm_acts(make_trainer, listener):
    assert reacting(make_trainer).train().reason is StopReason.MAX_STEPS
    assert "reacted" not in {event[0] for event in listener.heard}


def test_a_requested_stop_takes_effect_after_the_step_in_progress(make_trainer, listener):
    trainer = make_trainer()
    listener.on_step = lambda report: trainer.request_stop()
    assert trainer.train().reason is StopReason.REQUESTED
    assert trainer.game.seen == [0]
    assert (trainer.run.checkpoints / "step-000001").is_dir()


def test_minutes_limit_this_process_and_are_checked_between_steps(make_trainer):
    trainer = make_trainer(max_steps=1000, max_minutes=1, tick_s=10.0)
    summary = trainer.train()
    assert summary.reason is StopReason.MAX_MINUTES
    assert 0 < summary.step < 3


def test_a_resumed_run_counts_from_its_beginning(make_trainer, listener):
    make_trainer(max_steps=3).train()
    listener.heard.clear()
    resumed = make_trainer(max_steps=5)
    resumed.restore()
    resumed.train()
    assert resumed.game.seen == [0, 1, 2, 3, 4]
    assert resumed.learner.seen == [0] * 5
    assert [event for event in listener.heard if event[0] == "step"] == [("step", 4), ("step", 5)]


def test_steps_outside_of_the_loop_are_told_alike_and_each_has_its_own_preparing(make_trainer, listener):
    trainer = make_trainer()
    trainer.step(prepare_s=3.0)
    trainer.step()
    assert listener.heard == [("step", 1), ("step", 2)]
    prepared = [report.metrics.get("time/prepare_s") for report in listener.reports]
    assert prepared == [3.0, None]


def test_a_failing_step_passes_its_error_on_and_leaves_the_last_checkpoint(make_trainer):
    trainer = make_trainer()
    trainer.step()
    trainer.step()
    trainer.checkpoint()

    def fail(step):
        raise RuntimeError("a bug")

    trainer.game.play = fail
    with pytest.raises(RuntimeError, match="a bug"):
        trainer.train()
    fresh = make_trainer()
    fresh.restore()
    assert fresh.steps_done == 2


def test_held_out_tasks_are_measured_before_on_the_way_and_after(make_trainer, listener):
    probe = CountingProbe()
    summary = make_trainer(probe=probe, probe_every=2).train()
    assert probe.seen == [0, 2, 4, 5]
    assert probe.ends == [True, False, False, True]
    assert [report.metrics.get("heldout/mean/sampled") for report in listener.reports] == [
        None,
        0.2,
        None,
        0.4,
        0.5,
    ]
    assert [event for event in listener.heard if event[0] in ("measuring", "measured", "answered")] == [
        (name, step) for step in (0, 2, 4, 5) for name in ("measuring", "measured", "answered")
    ]
    assert summary.comparison.step == 5


def test_a_run_out_of_minutes_is_measured_at_its_end(make_trainer):
    probe = CountingProbe()
    late = make_trainer(probe=probe, max_steps=1000, max_minutes=1, tick_s=10.0).train()
    assert probe.seen == [0, late.step]
    assert probe.ends == [True, True]
    assert late.comparison.step == late.step


def test_a_stopped_run_is_not_measured(make_trainer, listener):
    probe = CountingProbe()
    trainer = make_trainer(probe=probe)
    listener.on_step = lambda report: trainer.request_stop()
    trainer.train()
    assert probe.seen == [0]


def test_a_resumed_run_keeps_the_measurement_of_its_beginning(make_trainer):
    make_trainer(probe=CountingProbe(), max_steps=3).train()
    resumed = make_trainer(probe=CountingProbe(), max_steps=5)
    resumed.restore()
    resumed.train()
    assert resumed.probe.seen == [0, 3, 5]


def test_a_file_asks_for_a_checkpoint_after_the_step_in_progress(make_trainer, listener):
    trainer = make_trainer()
    listener.on_step = lambda report: ask(trainer.run, Request.SAVE) if report.step == 3 else None
    trainer.train()
    assert [event for event in listener.heard if event[0] == "checkpoint"] == [
        ("checkpoint", 2),
        ("checkpoint", 3),
        ("checkpoint", 4),
        ("checkpoint", 5),
    ]


def test_a_file_asks_for_the_end(make_trainer, listener):
    trainer = make_trainer()
    listener.on_step = lambda report: ask(trainer.run, Request.STOP)
    assert trainer.train().reason is StopReason.REQUESTED
    assert trainer.game.seen == [0]
    assert not any(trainer.run.control.iterdir())


def test_a_pause_gives_memory_back_and_lasts_until_its_file_is_gone(make_trainer, listener):
    trainer = make_trainer(max_steps=2)
    trainer.release_memory = lambda: listener.heard.append(("release", 0))
    hear = listener.on_event

    def go_on_when_paused(event):
        hear(event)
        if isinstance(event, Paused):
            threading.Timer(0.05, take, (trainer.run, Request.PAUSE)).start()

    listener.on_event = go_on_when_paused
    listener.on_step = lambda report: ask(trainer.run, Request.PAUSE) if report.step == 1 else None
    trainer.train()
    assert listener.heard[1:5] == [("release", 0), ("release", 0), ("paused", 1), ("resumed", 1)]
    assert trainer.game.seen == [0, 1]


def test_the_sampler_gives_memory_back_before_the_learner_needs_it(make_trainer):
    trainer, calls = make_trainer(max_steps=1), []
    play, update = trainer.game.play, trainer.learner.update
    trainer.game.play = lambda step: calls.append("play") or play(step)
    trainer.learner.update = lambda *round: calls.append("update") or update(*round)
    trainer.release_memory = lambda: calls.append("release")
    trainer.train()
    assert calls == ["play", "release", "update"]


def test_a_paused_run_saves_and_stops_when_asked(make_trainer, listener):
    trainer = make_trainer()
    hear = listener.on_event

    def save_and_stop(event):
        hear(event)
        if isinstance(event, Paused):
            ask(trainer.run, Request.SAVE)
        if isinstance(event, Checkpointed):
            trainer.request_stop()

    listener.on_event = save_and_stop
    listener.on_step = lambda report: ask(trainer.run, Request.PAUSE)
    assert trainer.train().reason is StopReason.REQUESTED
    assert listener.heard[1:4] == [("paused", 1), ("checkpoint", 1), ("resumed", 1)]


def test_time_in_a_pause_is_no_part_of_the_minutes(make_trainer, listener):
    trainer = make_trainer(max_steps=3, max_minutes=1)
    listener.on_step = lambda report: ask(trainer.run, Request.PAUSE) if report.step == 1 else None

    def sleep_through_the_pause(event):
        if isinstance(event, Paused):
            trainer.clock.now += 3600
            take(trainer.run, Request.PAUSE)

    listener.on_event = sleep_through_the_pause
    assert trainer.train().reason is StopReason.MAX_STEPS


def test_what_was_asked_of_an_earlier_process_does_not_hold_up_this_one(make_trainer):
    trainer = make_trainer()
    for request in Request:
        ask(trainer.run, request)
    assert trainer.train().reason is StopReason.MAX_STEPS


class PreparingGame(CountingGame):
    """Needs five rounds before its first step."""

    def prepare(self, step):
        while len(self.seen) < 5:
            self.seen.append("prepared")
            yield Preparation(what="tasks", done=len(self.seen), total=5)


class BetweenStepsGame(CountingGame):
    """Needs two rounds before its second step."""

    def prepare(self, step):
        while step == 1 and self.seen.count("prepared") < 2:
            self.seen.append("prepared")
            yield Preparation(what="questions", done=self.seen.count("prepared"), total=2)


def preparing(make_trainer, **run):
    trainer = make_trainer(max_steps=1, **run)
    trainer.game = PreparingGame()
    return trainer


def on_round(listener, number, act):
    """Do something once the game has been prepared for that many rounds."""
    hear = listener.on_event
    rounds = []

    def on_event(event):
        hear(event)
        if isinstance(event, Preparing):
            rounds.append(event.done)
            if rounds[-1] == number:
                act()

    listener.on_event = on_event


def test_preparing_is_told_and_done_before_the_first_step(make_trainer, listener):
    trainer = preparing(make_trainer)
    trainer.train()
    assert trainer.game.seen == ["prepared"] * 5 + [0]
    seeded = [*[("seeding", 0)] * 5, ("seeded", 0)]
    assert listener.heard[:9] == [("start", 0), *seeded, ("checkpoint", 0), ("step", 1)]


def test_preparing_between_steps_is_timed_and_a_stop_in_it_loses_nothing(make_trainer, listener):
    trainer = make_trainer(max_steps=3, checkpoint_every_steps=1)
    trainer.game = BetweenStepsGame()
    on_round(listener, 1, trainer.request_stop)
    assert trainer.train().step == 1
    again = make_trainer(max_steps=3, checkpoint_every_steps=1)
    again.game = BetweenStepsGame()
    again.restore()
    assert again.game.seen == [0, "prepared"]  # the checkpoint of step 1 was written again
    reports = []
    listener.on_step = reports.append
    again.train()
    assert again.game.seen == [0, "prepared", "prepared", 1, 2]
    assert ["time/prepare_s" in report.metrics for report in reports] == [True, False]


def test_preparing_that_is_stopped_twice_loses_nothing(make_trainer, listener):
    for number in (2, 4):
        trainer = preparing(make_trainer)
        trainer.restore()
        on_round(listener, number, trainer.request_stop)
        assert trainer.train().reason is StopReason.REQUESTED
        assert trainer.game.seen == ["prepared"] * number
    trainer = preparing(make_trainer)
    trainer.restore()
    assert trainer.game.seen == ["prepared"] * 4
    trainer.train()
    assert trainer.game.seen == ["prepared"] * 5 + [0]


def test_what_is_saved_on_request_while_preparing_does_not_stand_for_the_end(make_trainer, listener):
    trainer = preparing(make_trainer)
    on_round(listener, 1, lambda: ask(trainer.run, Request.SAVE))
    on_round(listener, 3, trainer.request_stop)
    trainer.train()
    again = preparing(make_trainer)
    again.restore()
    assert again.game.seen == ["prepared"] * 3


def test_minutes_end_preparing_and_a_pause_in_it_does_not_count(make_trainer, listener):
    trainer = preparing(make_trainer, max_minutes=1, tick_s=15)
    assert trainer.train().reason is StopReason.MAX_MINUTES
    assert trainer.game.seen == ["prepared"] * 2

    paused = preparing(make_trainer, max_minutes=1)
    on_round(listener, 2, lambda: ask(paused.run, Request.PAUSE))
    hear = listener.on_event

    def sleep_through_the_pause(event):
        hear(event)
        if isinstance(event, Paused):
            paused.clock.now += 3600
            take(paused.run, Request.PAUSE)

    listener.on_event = sleep_through_the_pause
    assert paused.train().reason is StopReason.MAX_STEPS


def test_minutes_between_checkpoints_are_counted_from_the_last(make_trainer, listener):
    make_trainer(max_steps=9, checkpoint_every_steps=100, checkpoint_every_minutes=1, tick_s=5.0).train()
    saved = [step for name, step, *_ in listener.heard if name == "checkpoint"]
    assert 9 in saved
    assert 2 <= len(saved) < 9
    assert len({later - earlier for earlier, later in pairwise(saved[:-1])}) <= 1


def killed_at_the_end(trainer, make_trainer):
    """What is left of a run that was killed after its last checkpoint, and the trainer that resumes it."""
    trainer.train()
    shutil.rmtree(trainer.run.adapter)
    resumed = make_trainer(probe=CountingProbe() if trainer.probe else None)
    resumed.restore()
    return resumed


def test_a_run_killed_between_its_last_checkpoint_and_its_adapter_is_finished_without_a_step(
    make_trainer, listener
):
    trainer = killed_at_the_end(make_trainer(), make_trainer)
    listener.heard.clear()
    summary = trainer.train()
    assert (summary.step, summary.reason) == (5, StopReason.MAX_STEPS)
    assert [name for name, *_ in listener.heard] == ["start", "checkpoint", "end"]
    assert json.loads((trainer.run.adapter / "seen.json").read_text()) == trainer.policy.seen
    assert trainer.game.seen == [0, 1, 2, 3, 4]


def test_a_finished_run_that_was_measured_is_not_measured_again(make_trainer, listener):
    trainer = killed_at_the_end(make_trainer(probe=CountingProbe()), make_trainer)
    listener.heard.clear()
    summary = trainer.train()
    assert summary.comparison.step == 5
    assert "measuring" not in [name for name, *_ in listener.heard]


def test_the_adapter_is_that_of_the_last_checkpoint_and_replaces_an_earlier_one(make_trainer):
    trainer = make_trainer()
    trainer.run.adapter.mkdir()
    (trainer.run.adapter / "seen.json").write_text("[7]")
    (trainer.run.adapter / "left").touch()
    summary = trainer.train()
    assert [path.name for path in trainer.run.adapter.iterdir()] == ["seen.json"]
    saved = (summary.checkpoint / "policy" / "seen.json").read_bytes()
    assert (trainer.run.adapter / "seen.json").read_bytes() == saved
    assert not [path for path in trainer.run.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("when", ["step", "checkpoint", "end"])
def test_a_folder_that_moves_in_mid_run_is_noticed_at_the_next_write(make_trainer, listener, when, tmp_path):
    trainer = make_trainer(max_steps=50, checkpoint_every_steps=2 if when == "checkpoint" else 100)

    def move(*_):
        if trainer.steps_done == 3:
            trainer.run.path.rename(tmp_path / "moved")
            trainer.steps_done = 50 if when == "end" else 3

    listener.on_step = move
    with pytest.raises(FolderLost):
        trainer.train()
    assert not trainer.run.path.exists()
    beside = RunFolder.create(tmp_path, "beside", trainer.config)
    trainer.move_to(beside)
    fresh = make_trainer()
    fresh.run = beside
    fresh.restore()
    assert fresh.game.seen == [0, 1, 2]


class FailingLearner(CountingLearner):
    """Meets a number that is not finite in one of its steps."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def update(self, rollouts, advantages):
        if len(self.seen) + 1 == self.at:
            raise NotFinite("the loss is nan")
        return super().update(rollouts, advantages)


def test_numbers_that_are_not_finite_end_the_run_and_the_last_good_checkpoint_is_named(make_trainer):
    trainer = make_trainer()
    trainer.learner = FailingLearner(at=4)
    kept = trainer.run.path / "checkpoints" / "step-000002"
    with pytest.raises(NotFinite, match=f"the loss is nan; the last good checkpoint is {kept}: tinyzero tra"):
        trainer.train()
    assert [path.name for path in trainer.run.checkpoints.iterdir()] == [kept.name]


def test_before_the_first_checkpoint_there_is_nothing_to_name(make_trainer):
    trainer = make_trainer()
    trainer.learner = FailingLearner(at=1)
    with pytest.raises(NotFinite, match="the loss is nan; there is no checkpoint yet"):
        trainer.train()


def test_a_checkpoint_can_be_requested_in_mid_step_and_the_run_goes_on(make_trainer, listener):
    trainer = make_trainer(checkpoint_every_steps=100)
    play = trainer.game.play

    def requesting(step):
        if step == 2:
            trainer.request_save()
        return play(step)

    trainer.game.play = requesting
    trainer.train()
    assert [step for name, step, *_ in listener.heard if name == "checkpoint"] == [3, 5]


def test_preparing_that_takes_long_is_saved_as_it_goes(make_trainer, listener, monkeypatch):
    monkeypatch.setattr(trainer_module, "_SAVE_PREPARING_EVERY_S", 0.0)
    trainer = preparing(make_trainer)

    def kill():
        raise KeyboardInterrupt

    on_round(listener, 4, kill)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    again = preparing(make_trainer)
    again.restore()
    assert again.game.seen == ["prepared"] * 3


def test_a_pause_leaves_the_device_and_tells_what_that_gave_back(make_trainer, listener):
    trainer, calls = make_trainer(max_steps=2), []

    @contextmanager
    def vacated():
        calls.append("left")
        yield 4.25
        calls.append("back")

    def go_on(event):
        if isinstance(event, Paused):
            calls.append(event)
            take(trainer.run, Request.PAUSE)

    trainer.vacated, listener.on_event = vacated, go_on
    listener.on_step = lambda report: ask(trainer.run, Request.PAUSE) if report.step == 1 else None
    trainer.train()
    assert calls == ["left", Paused(step=1, freed_gib=4.25), "back"]


class RatedProbe(CountingProbe):
    """Is best at step 3, and at its worst at the end."""

    def measure(self, step, *, is_end):
        super().measure(step, is_end=is_end)
        return {"heldout/mean/sampled": {0: 0.1, 1: 0.2, 2: 0.2, 3: 0.5}.get(step, 0.3)}


def test_the_best_checkpoint_is_saved_when_it_is_measured_and_kept_whatever_comes(make_trainer):
    trainer = make_trainer(probe=RatedProbe(), probe_every=1, max_steps=9, checkpoint_every_steps=4)
    trainer.observers = (Recorder(trainer.run, preset="test"),)
    trainer.train()
    assert [folder.name for folder in checkpoints.listing(trainer.run)] == [
        "step-000003",
        "step-000008",
        "step-000009",
    ]
    assert choose_snapshot(trainer.run, "best").step == 3


def test_a_resumed_run_knows_its_best_checkpoint(make_trainer):
    killed = make_trainer(probe=RatedProbe(), probe_every=1, max_steps=5, checkpoint_every_steps=4)
    killed.observers = (Recorder(killed.run, preset="test"),)
    killed.train()
    resumed = make_trainer(probe=RatedProbe(), probe_every=1, max_steps=12, checkpoint_every_steps=2)
    resumed.observers = (Recorder(resumed.run, preset="test"),)
    resumed.restore()
    resumed.train()
    assert [checkpoints.step_of(folder) for folder in checkpoints.listing(resumed.run)] == [3, 10, 12]
