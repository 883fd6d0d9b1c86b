"""A shifted clock, for the zygote whose runs are compared with those under the true clock.

Standard library only. The wrappers are also installed with an offset of zero, so that both kinds of
zygote show programs the same functions and types. C code that reads the clock itself sees the true time.

Sleeping takes no time: it sets these clocks forward. A program that sleeps for too long is ended.
"""

import datetime
import os
import time
from collections.abc import Callable
from typing import Any

ASLEEP_STATUS = 124
"""Exit status of a program that slept for too long; the same as in timeout(1)."""
_slept_s = {"in all": 0.0, "in this call": 0.0}


def install(offset_s: int, sleep_s: float) -> None:
    """Shift every function of `time` and `datetime` that reads the clock by whole seconds.

    Args:
        sleep_s: maximum seconds of sleep in one call.
    """
    real_time = time.time
    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, _shifted(getattr(time, name), offset_s))
        setattr(time, f"{name}_ns", _shifted_ns(getattr(time, f"{name}_ns"), offset_s * 10**9))
    time.clock_gettime = _shifted(time.clock_gettime, offset_s)
    time.clock_gettime_ns = _shifted_ns(time.clock_gettime_ns, offset_s * 10**9)
    time.sleep = _sleeper(sleep_s, os._exit)

    def now() -> float:
        return real_time() + offset_s + _slept_s["in all"]

    time.localtime, time.gmtime, time.ctime = (
        _defaulting(function, 0, now) for function in (time.localtime, time.gmtime, time.ctime)
    )
    time.asctime = _defaulting(time.asctime, 0, time.localtime)
    time.strftime = _defaulting(time.strftime, 1, time.localtime)
    datetime.datetime = _shifted_datetime(datetime.timedelta(seconds=offset_s))  # type: ignore[misc]


def forget_sleep() -> None:
    """Reset the sleep counter at the start of a call."""
    _slept_s["in this call"] = 0.0


def _sleeper(most_s: float, leave: Callable[[int], Any]) -> Any:  # noqa: ANN401
    def sleep(seconds: float, /) -> None:
        if not seconds >= 0:
            raise ValueError("sleep length must be non-negative")
        for name in _slept_s:
            _slept_s[name] += seconds
        if _slept_s["in this call"] > most_s:
            leave(ASLEEP_STATUS)

    return sleep


def _shifted(function: Callable[..., Any], offset: int) -> Any:  # noqa: ANN401
    def read(*arguments: Any) -> Any:  # noqa: ANN401
        return function(*arguments) + offset + _slept_s["in all"]

    return read


def _shifted_ns(function: Callable[..., Any], offset: int) -> Any:  # noqa: ANN401
    def read(*arguments: Any) -> Any:  # noqa: ANN401
        return function(*arguments) + offset + int(_slept_s["in all"] * 10**9)

    return read


def _defaulting(
    function: Callable[..., Any], position: int, default: Callable[[], Any]
) -> Callable[..., Any]:
    """The function with an explicit time as default, instead of the true current time."""

    def call(*arguments: Any) -> Any:  # noqa: ANN401
        missing = len(arguments) == position or (len(arguments) > position and arguments[position] is None)
        return function(*arguments[:position], default()) if missing else function(*arguments)

    return call


def _shifted_datetime(offset: datetime.timedelta) -> type[datetime.datetime]:
    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401
            return super().now(tz) + offset + datetime.timedelta(seconds=_slept_s["in all"])

        @classmethod
        def today(cls) -> Any:  # noqa: ANN401
            return cls.now()

        @classmethod
        def utcnow(cls) -> Any:  # noqa: ANN401
            return super().utcnow() + offset + datetime.timedelta(seconds=_slept_s["in all"])

        def __repr__(self) -> str:
            text = super().__repr__()
            is_unqualified = type(self) is Shifted and not text.startswith("datetime.")
            return f"datetime.{text}" if is_unqualified else text

    Shifted.__name__ = Shifted.__qualname__ = "datetime"
    Shifted.__module__ = "datetime"
    Shifted.min = Shifted(1, 1, 1)
    Shifted.max = Shifted(9999, 12, 31, 23, 59, 59, 999999)
    return Shifted
