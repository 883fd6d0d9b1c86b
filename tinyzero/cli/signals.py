"""Handles Ctrl-C and similar signals: the first requests a stop, the second stops at once."""

import signal
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

    The handler calls `say_at_once`, which must not wait for a lock or write to a buffered stream.
    """
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
