"""Handles Ctrl-C and similar signals: the first requests a stop, the second stops at once."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a person, a scheduler, a closed terminal

Handler = Callable[[int, FrameType | None], object]


def handle_unless_ignored(numbers: Sequence[signal.Signals], handler: Handler) -> None:
    """Install a handler, except for signals that `nohup` or a shell's `&` ignores: those stay ignored."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


@contextmanager
def stopping_politely(request_stop: Callable[[], None], say_at_once: Callable[[str], None]) -> Iterator[None]:
    """The first signal calls `request_stop`; the second raises KeyboardInterrupt at once.

    `say_at_once` is called in the handler: it may wait for no lock, and write to no stream. Outside the main
    thread, where Python lets nobody handle signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_requested = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal is_requested
        if is_requested:
            raise KeyboardInterrupt
        is_requested = True
        request_stop()
        say_at_once(f"{signal.Signals(number).name}: saving after this step; again to leave at once")

    before = {number: signal.getsignal(number) for number in _POLITE}
    handle_unless_ignored(_POLITE, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
