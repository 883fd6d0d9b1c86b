"""The first heavy import of a run, in the one order that works: unsloth before transformers, trl and peft."""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Literal

from tinyzero.errors import HardwareError, ModelLoadError

Chosen = Literal["transformers", "unsloth"]
Loader = Chosen | Literal["auto"]

_logger = logging.getLogger(__name__)
_PATCHED = ("transformers", "trl", "peft")  # unsloth rewrites these, and only where it comes first
_TWO_ADAPTERS = "two adapters under unsloth were never seen to keep their gradients apart on a GPU"
_REMEDY = "or set model.loader to transformers"
_COMMAND = "pip install 'tinyzero[unsloth]' in an environment of its own"


def import_stack(wanted: Loader, *, has_cuda: bool, num_adapters: int) -> tuple[Chosen, str]:
    """Import what is going to read the model; nothing may import transformers, trl or peft before.

    Returns:
        The loader, and what a person should know about the choice, if anything.

    Raises:
        HardwareError: unsloth is asked for, and there is no CUDA device.
        ModelLoadError: unsloth is asked for, and cannot be imported.
    """
    if wanted == "transformers" or (wanted == "auto" and not has_cuda):
        return "transformers", ""
    if not has_cuda:
        raise HardwareError(f"model.loader is unsloth, which needs a CUDA device; find one, {_REMEDY}")
    if wanted == "auto" and find_spec("unsloth") is None:
        return "transformers", ""
    doubt = _TWO_ADAPTERS if num_adapters > 1 else ""
    problem = (wanted == "auto" and doubt) or _what_came_first() or _import_unsloth()
    if not problem:
        return "unsloth", doubt
    if wanted == "unsloth":
        raise ModelLoadError(f"model.loader is unsloth, but {problem}; {_COMMAND}, {_REMEDY}")
    return "transformers", f"transformers instead of unsloth: {problem}"


def _what_came_first() -> str:
    early = [name for name in _PATCHED if name in sys.modules]
    return f"{early[0]} was imported before it" if early and "unsloth" not in sys.modules else ""


def _import_unsloth() -> str:
    """Why it could not be imported, or nothing."""
    try:
        with quiet():
            importlib.import_module("unsloth")
    except (ImportError, NotImplementedError, RuntimeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        return f"it cannot be imported ({reason})"
    return ""


@contextmanager
def quiet() -> Iterator[None]:
    """Unsloth prints; the screen, or JSON on standard output, belongs to the run's own view."""
    said = StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in filter(str.strip, said.getvalue().splitlines()):
            _logger.info("%s", line.strip())
