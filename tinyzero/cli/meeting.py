"""The processes that torchrun started: how they find each other, and what all but the first do."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tinyzero.ranks.place import VARIABLES, Place, place_of
from tinyzero.run.folder import RunFolder
from tinyzero.sampling.choice import MakeSampler

if TYPE_CHECKING:
    from tinyzero.ranks.world import World

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""What asks for a stop or a checkpoint. Rank 0 decides, and a rank that died ends the others by itself."""


def find_place() -> Place | None:
    """This process's place among those of torchrun, None on its own; it then sees one card, its own.

    Raises:
        ConfigError: torchrun started more processes than there are cards, or it was not torchrun.
    """
    place = place_of(os.environ)
    if place is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.card(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return place


@contextmanager
def meeting(place: Place) -> Iterator["World"]:
    """All ranks, once they are there."""
    from tinyzero.ranks.world import joined

    with joined(place) as world:
        kept = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
        try:
            yield world
        finally:
            os.environ.update(kept)


def follow(place: Place, make_sampler: MakeSampler | None) -> RunFolder:
    """Do rank 0's moves until its run ends; prints nothing."""
    logging.getLogger("tinyzero").addHandler(logging.NullHandler())
    _handle(signal.SIG_DFL)  # until the ranks have met, rank 0 may refuse the configuration
    with meeting(place) as world:
        _handle(signal.SIG_IGN)
        from tinyzero.assembly import follow as follow_run

        return follow_run(world, make_sampler)


def _handle(handler: signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _ASKING:
            signal.signal(number, handler)
