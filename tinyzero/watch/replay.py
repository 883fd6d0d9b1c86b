"""A finished run played again: what was known after each step, a step at a time."""

import time
from collections.abc import Callable
from dataclasses import replace

from tinyzero.watch.state import RunState

SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


class Replay:
    """A clock that goes through the steps of a run, `speed` of them a second; it can stop and turn back."""

    def __init__(self, whole: RunState, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self.is_paused = False
        # Its processes are gone, and so is the time at which they worked.
        self._whole = replace(whole, is_running=True, last_step_at=0.0)
        self._clock = clock
        self._position = 1.0
        self._looked_at = clock()
        self._shown: RunState | None = None

    @property
    def is_over(self) -> bool:
        return self._position >= len(self._whole.steps)

    def look(self) -> RunState:
        """The run as of now; the same object while the step is the same."""
        now = self._clock()
        if not self.is_paused:
            self.move((now - self._looked_at) * self.speed)
        self._looked_at = now
        steps = self._whole.steps
        if not steps:
            return self._whole
        number = steps[min(int(self._position), len(steps)) - 1].number
        if self._shown is None or self._shown.step != number:
            self._shown = self._whole.until(number)
        return self._shown

    def move(self, steps: float) -> None:
        self._position = min(max(1.0, self._position + steps), float(max(1, len(self._whole.steps))))

    def change_speed(self, *, is_faster: bool) -> None:
        """The next speed up or down."""
        faster = [speed for speed in SPEEDS if speed > self.speed]
        slower = [speed for speed in SPEEDS if speed < self.speed]
        if is_faster:
            self.speed = faster[0] if faster else self.speed
        else:
            self.speed = slower[-1] if slower else self.speed
