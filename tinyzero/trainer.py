"""The loop. Read this first, and follow the calls downwards.

A step: the game proposes tasks, verifies and solves them, and says what each answer was worth; the learner
makes one optimizer step of it. Around that: checkpoints, and observers that are told.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from tinyzero.config import AlarmName, Config
from tinyzero.errors import NotFinite
from tinyzero.evaluation.comparison import Comparison
from tinyzero.games.metrics import advantage_metrics
from tinyzero.run import checkpoints, control
from tinyzero.run.alarms import CollapseWatch, Turn, rules_of
from tinyzero.run.checkpoints import Stateful
from tinyzero.run.control import Request
from tinyzero.run.durable import copy_folder
from tinyzero.run.events import (
    Answered,
    Event,
    Measured,
    Measuring,
    Paused,
    Prepared,
    Preparing,
    Reacted,
    Resumed,
)
from tinyzero.run.folder import RunFolder
from tinyzero.run.keeping import Keeper, restore
from tinyzero.run.observer import Observer, RunStart, RunSummary, StopReason
from tinyzero.types import Preparation, Rollout, Round, StepReport

_POLL_EVERY_S = 0.1  # while paused, for the request to resume
_LOWERED = 0.5  # the factor of the learning rate when an alarm lowers it
_SAVE_PREPARING_EVERY_S = 30.0
"""A kill while the pool is seeded loses at most this, or the round in progress."""


class Game(Protocol):
    """What is played: Absolute Zero, R-Zero, or one of your own."""

    def prepare(self, step: int) -> Iterator[Preparation]:
        """What has to be there before a step can be played; mostly nothing. Yields how far it has come."""
        ...

    def play(self, step: int) -> Round: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path) -> None: ...


class Learner(Protocol):
    """Turns scored rollouts into one optimizer step on the adapters that played; returns metrics."""

    def update(self, rollouts: Sequence[Rollout], advantages: Sequence[float]) -> Mapping[str, float]: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path) -> None: ...


@runtime_checkable
class _Steerable(Protocol):
    """A learner whose learning rate an alarm can lower."""

    def scale_lr(self, factor: float) -> None:
        """Multiply the learning rate of all later updates."""
        ...


class Probe(Protocol):
    """Measures the policy on tasks that it never trains on."""

    @property
    def num_tasks(self) -> int: ...
    def measure(self, step: int, *, is_end: bool) -> Mapping[str, float]: ...

    def shown(self) -> Sequence[Mapping[str, object]]:
        """The newest greedy answers to a few tasks, for people to read."""
        ...

    def compare(self) -> Comparison | None: ...
    def save(self, folder: Path) -> None: ...
    def load(self, folder: Path) -> None: ...


@dataclass(slots=True, kw_only=True)
class Trainer:
    """One run in progress.

    Attributes:
        policy: what learns; only its saving is of interest here.
        probe: None where there is nothing to measure on.
        device, sandbox_tier: of this machine; told to the observers.
        release_memory: gives what it can back to the device before learning.
        sampler_metrics: what the sampler says of itself after a round.
        vacated: is entered for a pause; leaves the device, and tells the GiB that this gave back.
        steps_done: since the run's beginning, over all its resumes.
    """

    config: Config
    run: RunFolder
    policy: Stateful
    game: Game
    learner: Learner
    device: str
    sandbox_tier: str
    probe: Probe | None = None
    observers: Sequence[Observer] = ()
    clock: Callable[[], float] = time.monotonic
    release_memory: Callable[[], None] = lambda: None
    sampler_metrics: Callable[[], Mapping[str, float]] = dict
    vacated: Callable[[], AbstractContextManager[float]] = lambda: nullcontext(0.0)
    steps_done: int = 0
    _stop_requested: bool = field(default=False, init=False)
    _save_requested: bool = field(default=False, init=False)
    _stopped_by_alarm: bool = field(default=False, init=False)
    _watch: CollapseWatch = field(init=False)
    _keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self._watch = CollapseWatch(rules_of(self.config.watch), self.config.watch.window_steps)
        self._keeper = Keeper(self.run, self.clock)

    def train(self) -> RunSummary:
        """Play steps until the configuration or a person says stop; leaves a checkpoint and the adapter.

        Raises:
            FolderLost: the run's folder was deleted, moved or replaced; `move_to` saves the run elsewhere.
            NotFinite: weights, or gradients of several steps in a row, are NaN or infinite. No checkpoint
                holds such weights; the message names the last one.
        """
        try:
            return self._play_steps()
        except NotFinite as error:
            raise NotFinite(f"{error}; {self._way_back()}") from error

    def _play_steps(self) -> RunSummary:
        started = self._keeper.saved_at = self.clock()
        control.forget(self.run)
        self._tell_start()
        if self.steps_done == 0:
            self._measure(is_end=True)
        while True:
            paused_s, prepare_s = self._prepare(started)
            started += paused_s
            if (reason := self._reason_to_stop(started)) is not None:
                return self._finish(reason, self.clock() - started)
            report = self.step(prepare_s)
            self._keeper.check_folder()
            is_due = self.steps_done % self.config.run.checkpoint_every_steps == 0
            is_best = self._keeper.is_best(report.step, report.metrics)
            if self._is_asked_to_save() or is_due or is_best:
                self.checkpoint()
            started += self._pause_while_asked()

    def _prepare(self, started: float) -> tuple[float, float | None]:
        """What a game does before the next step, told as it goes on, and resumed where it was stopped.

        Returns:
            The seconds for which a person paused it, and those that it took; None where there was nothing.
        """
        if self._reason_to_stop(started) is not None:
            return 0.0, None
        state, paused_s, began = None, 0.0, self.clock()
        saved_at = time.monotonic()
        for state in self.game.prepare(self.steps_done):
            self._keeper.has_changed = True
            self._tell_event(
                Preparing(step=self.steps_done, what=state.what, done=state.done, total=state.total)
            )
            self._keeper.check_folder()
            if self._is_asked_to_save() or time.monotonic() - saved_at >= _SAVE_PREPARING_EVERY_S:
                self.checkpoint()
                saved_at = time.monotonic()
            paused_s += self._pause_while_asked()
            if self._reason_to_stop(started + paused_s) is not None:
                break
        if state is None:
            return paused_s, None
        self._tell_event(Prepared(step=self.steps_done, what=state.what, done=state.done))
        self.checkpoint()  # it may have taken as long as many steps
        return paused_s, self.clock() - began - paused_s

    def step(self, prepare_s: float | None = None) -> StepReport:
        """Propose, verify, solve, score; learn; tell the observers.

        Args:
            prepare_s: seconds that preparing for it took, where that was needed.
        """
        started = self.clock()
        played = self.game.play(self.steps_done)
        played_at = self.clock()
        self.release_memory()  # the sampler's keys and values make room for activations
        learned = self.learner.update(played.rollouts, played.advantages)
        self.steps_done += 1
        self._keeper.has_changed = True
        seconds = {**played.seconds, "learn": self.clock() - played_at, "step": self.clock() - started}
        seconds |= {} if prepare_s is None else {"prepare": prepare_s}
        is_last = self.steps_done == self.config.run.max_steps
        measured = self._measure(is_end=is_last) if is_last or self._is_probe_due() else {}
        times = {f"time/{name}_s": value for name, value in seconds.items()}
        metrics = {**played.metrics, **self.sampler_metrics(), **advantage_metrics(played.advantages)}
        metrics |= {**learned, **measured, **times}
        alarms = self._watch.look(metrics)
        metrics |= self._watch.metrics()
        report = StepReport(step=self.steps_done, metrics=metrics, round=played)
        self._tell_step(report, alarms)
        for alarm in alarms:
            if alarm.has_begun:
                self._react(alarm.rule.name)
        return report

    def _react(self, alarm: AlarmName) -> None:
        """Do what the configuration wants to be done when this alarm begins."""
        action = self.config.watch.react.get(alarm)
        if action == "stop":
            self._stopped_by_alarm = True
        elif action == "lower_lr" and isinstance(self.learner, _Steerable):
            self.learner.scale_lr(_LOWERED)
        else:
            return
        self._tell_event(Reacted(step=self.steps_done, alarm=alarm, action=action))

    def request_stop(self) -> None:
        """Stop at the end of the step in progress. Safe to call from a signal handler."""
        self._stop_requested = True

    def request_save(self) -> None:
        """Write a checkpoint at the end of the step in progress. Safe to call from a signal handler."""
        self._save_requested = True

    def checkpoint(self) -> Path:
        """Save everything that a resumed run needs; the newest checkpoint where nothing has changed since."""
        keep = self.config.run.keep_checkpoints
        return self._keeper.save(self.steps_done, self._parts(), keep=keep, tell=self._tell_event)

    def restore(self) -> None:
        """Go on from the run's newest checkpoint; from the beginning where there is none."""
        self.steps_done, logged = restore(self.run, self._parts())
        self._watch.catch_up(logged)
        for step in logged:
            self._keeper.is_best(step.number, step.metrics)

    def move_to(self, run: RunFolder) -> None:
        """Go on in another folder, where all is saved at once; the folder before is left as it is."""
        self.run, self._keeper = run, Keeper(run, self.clock, best=self._keeper.best)
        self.checkpoint()

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {"policy": self.policy, "game": self.game, "learner": self.learner}
        return parts if self.probe is None else {**parts, "probe": self.probe}

    def _is_probe_due(self) -> bool:
        every = self.config.evaluation.every_steps
        return every is not None and self.steps_done % every == 0

    def _measure(self, *, is_end: bool) -> Mapping[str, float]:
        """Solve rates on held-out tasks as of now, which takes a while; told before and after."""
        if self.probe is None:
            return {}
        self._tell_event(Measuring(step=self.steps_done, tasks=self.probe.num_tasks))
        measured = self.probe.measure(self.steps_done, is_end=is_end)
        self._tell_event(Measured(step=self.steps_done, metrics=measured))
        self._tell_event(Answered(step=self.steps_done, answers=self.probe.shown()))
        return measured

    def _reason_to_stop(self, started: float) -> StopReason | None:
        limit = self.config.run.max_minutes
        if self._is_asked_to_stop():
            return StopReason.REQUESTED
        if self._stopped_by_alarm and self.steps_done < self.config.run.max_steps:
            return StopReason.ALARM
        if self.steps_done >= self.config.run.max_steps:
            return StopReason.MAX_STEPS
        if limit is not None and self.clock() - started >= limit * 60:
            return StopReason.MAX_MINUTES
        return None

    def _is_asked_to_save(self) -> bool:
        minutes = self.config.run.checkpoint_every_minutes
        is_late = minutes is not None and self.clock() - self._keeper.saved_at >= minutes * 60
        is_asked, self._save_requested = self._save_requested, False
        return control.take(self.run, Request.SAVE) or is_asked or is_late

    def _is_asked_to_stop(self) -> bool:
        self._stop_requested = self._stop_requested or control.take(self.run, Request.STOP)
        return self._stop_requested

    def _pause_while_asked(self) -> float:
        """Leave the machine to others until a person resumes the run; returns the seconds."""
        if not control.is_asked(self.run, Request.PAUSE):
            return 0.0
        began = self.clock()
        with self.vacated() as freed_gib:
            self.release_memory()
            self._tell_event(Paused(step=self.steps_done, freed_gib=freed_gib))
            while control.is_asked(self.run, Request.PAUSE) and not self._is_asked_to_stop():
                if self._is_asked_to_save():
                    self.checkpoint()
                time.sleep(_POLL_EVERY_S)
        self._tell_event(Resumed(step=self.steps_done))
        return self.clock() - began

    def _tell_step(self, report: StepReport, alarms: Iterable[Turn]) -> None:
        """The step, and the alarms that began or were over with it."""
        for observer in self.observers:
            observer.on_step(report)
        for alarm in alarms:
            self._tell_event(alarm.event(report.step))

    def _finish(self, reason: StopReason, seconds: float) -> RunSummary:
        if reason is StopReason.MAX_MINUTES or (reason is StopReason.MAX_STEPS and not self._is_measured()):
            self._measure(is_end=True)  # a person who requests a stop does not want to wait for this
        checkpoint = self.checkpoint()
        copy_folder(checkpoint / "policy", self.run.adapter)
        summary = RunSummary(
            step=self.steps_done,
            reason=reason,
            seconds=seconds,
            checkpoint=checkpoint,
            comparison=self.probe.compare() if self.probe is not None else None,
        )
        self._keeper.check_folder()
        for observer in self.observers:
            observer.on_end(summary)
        return summary

    def _is_measured(self) -> bool:
        """Whether the before/after table is of this step."""
        comparison = self.probe.compare() if self.probe is not None else None
        return comparison is not None and comparison.step == self.steps_done

    def _way_back(self) -> str:
        """Where a run that cannot go on can be taken up again."""
        checkpoint = checkpoints.latest(self.run)
        if checkpoint is None:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {checkpoint}: tinyzero train --resume {self.run.path}"

    def _tell_start(self) -> None:
        start = RunStart(
            name=self.run.name,
            path=self.run.path,
            config=self.config,
            step=self.steps_done,
            device=self.device,
            sandbox_tier=self.sandbox_tier,
        )
        for observer in self.observers:
            observer.on_start(start)

    def _tell_event(self, event: Event) -> None:
        for observer in self.observers:
            observer.on_event(event)
