"""Replays a finished run step by step: the state after each step."""

import time
from collections.abc import Callable
from dataclasses import replace

from tinyzero.watch.state import RunState

_SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


class Replay:
    """A clock that moves through the steps of a run, `speed` steps per second; it can pause and move back."""

    def __init__(
        self, final_state: RunState, speed: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.speed = speed
        self.is_paused = False
        # A replay looks like a running process; the real times do not apply.
        self._final_state = replace(final_state, is_running=True, last_step_at=0.0)
        self._clock = clock
        self._position = 1.0
        self._looked_at = clock()
        self._state: RunState | None = None

    @property
    def is_over(self) -> bool:
        return self._position >= len(self._final_state.steps)

    def look(self) -> RunState:
        """The current state of the replay; the same object while the step is the same."""
        now = self._clock()
        if not self.is_paused:
            self.move((now - self._looked_at) * self.speed)
        self._looked_at = now
        steps = self._final_state.steps
        if not steps:
            return self._final_state
        number = steps[min(int(self._position), len(steps)) - 1].number
        if self._state is None or self._state.step != number:
            self._state = self._final_state.until(number)
        return self._state

    def move(self, steps: float) -> None:
        self._position = min(max(1.0, self._position + steps), float(max(1, len(self._final_state.steps))))

    def change_speed(self, *, is_faster: bool) -> None:
        """Switch to the next higher or lower speed."""
        faster = [speed for speed in _SPEEDS if speed > self.speed]
        slower = [speed for speed in _SPEEDS if speed < self.speed]
        if is_faster:
            self.speed = faster[0] if faster else self.speed
        else:
            self.speed = slower[-1] if slower else self.speed
