"""What a person asks of a trainer in progress: empty files in the run's `control` folder.

    touch runs/NAME/control/pause      wait between two steps, until the file is gone
    touch runs/NAME/control/save       write a checkpoint after this step
    touch runs/NAME/control/stop       write a checkpoint after this step, and end

The trainer looks between steps. The keys of the live view make the same files.
"""

from contextlib import suppress
from enum import StrEnum

from tinyzero.run.folder import RunFolder


class Request(StrEnum):
    """The value is the file's name."""

    PAUSE = "pause"
    SAVE = "save"
    STOP = "stop"


def ask(run: RunFolder, request: Request) -> None:
    """Raises OSError where the folder cannot be written."""
    run.control.mkdir(exist_ok=True)
    (run.control / request).touch()


def is_asked(run: RunFolder, request: Request) -> bool:
    try:
        return (run.control / request).exists()
    except OSError:
        return False


def take(run: RunFolder, request: Request) -> bool:
    """Whether it was asked for; then it counts as done."""
    if not is_asked(run, request):
        return False
    with suppress(OSError):
        (run.control / request).unlink()
    return True


def forget(run: RunFolder) -> None:
    """What was asked of an earlier process is no wish for this one."""
    for request in Request:
        take(run, request)
