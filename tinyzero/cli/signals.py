"""Handles Ctrl-C and similar signals: the first requests a stop, a second Ctrl-C stops at once.

Only a person presses Ctrl-C twice. A closed terminal sends SIGHUP through the shell and through the kernel,
and schedulers repeat SIGTERM: those ask for the same stop again.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a person, a scheduler, a closed terminal

Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def handle_unless_ignored(numbers: Sequence[signal.Signals], handler: Handler) -> None:
    """Install a handler, except for signals that `nohup` or a shell's `&` ignores: those stay ignored."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


@contextmanager
def stopping_politely(
    request_stop: Callable[[], None],
    request_save: Callable[[], None],
    say_at_once: Callable[[str], None],
) -> Iterator[None]:
    """The first signal calls `request_stop`; a second SIGINT raises KeyboardInterrupt at once.

    SIGUSR1, with which schedulers announce the end, calls `request_save`. `say_at_once` is called in the
    handler: it may wait for no lock, and write to no stream. Outside the main thread, where Python lets
    nobody handle signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: set[int] = set()

    def stop(number: int, _: FrameType | None) -> None:
        is_new = number not in received
        if number == signal.SIGINT and not is_new:
            raise KeyboardInterrupt
        received.add(number)
        request_stop()
        if is_new:
            hint = "; again to leave at once" if number == signal.SIGINT else ", then leaving"
            say_at_once(f"{signal.Signals(number).name}: saving after this step{hint}")

    def save(number: int, _: FrameType | None) -> None:
        request_save()
        say_at_once("SIGUSR1: saving after this step, and going on")

    before = {number: signal.getsignal(number) for number in (*_POLITE, signal.SIGUSR1)}
    handle_unless_ignored(_POLITE, stop)
    handle_unless_ignored([signal.SIGUSR1], save)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
