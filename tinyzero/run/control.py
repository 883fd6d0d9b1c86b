"""Requests to a running trainer: empty files in the run's `control` folder.

    touch runs/NAME/control/pause      wait between two steps, until the file is gone
    touch runs/NAME/control/save       write a checkpoint after this step
    touch runs/NAME/control/stop       write a checkpoint after this step, and end

The trainer checks between steps. The keys of the live view create the same files.
"""

from contextlib import suppress
from enum import StrEnum

from tinyzero.run.folder import RunFolder


class Request(StrEnum):
    """A request; the value is the file's name."""

    PAUSE = "pause"
    SAVE = "save"
    STOP = "stop"


def ask(run: RunFolder, request: Request) -> None:
    """Create the request's file. Raises OSError if the folder is not writable."""
    run.control.mkdir(exist_ok=True)
    (run.control / request).touch()


def is_asked(run: RunFolder, request: Request) -> bool:
    try:
        return (run.control / request).exists()
    except OSError:
        return False


def take(run: RunFolder, request: Request) -> bool:
    """Whether the request exists; if so, it is deleted, since the caller handles it now."""
    if not is_asked(run, request):
        return False
    with suppress(OSError):
        (run.control / request).unlink()
    return True


def forget(run: RunFolder) -> None:
    """Delete requests that were meant for an earlier process."""
    for request in Request:
        take(run, request)
