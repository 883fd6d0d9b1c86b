"""The first heavy import of a run, in the one order that works: unsloth before transformers, trl and peft."""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from tinyzero.config import Loader
from tinyzero.errors import HardwareError, ModelLoadError

_logger = logging.getLogger(__name__)
_PATCHED = ("transformers", "trl", "peft")  # unsloth rewrites these, and only where it comes first
_TWO_ADAPTERS = "two adapters under unsloth were never seen to keep their gradients apart on a GPU"
_REMEDY = "or set model.loader to transformers"
_COMMAND = "pip install -e '.[unsloth]' in TinyZero's folder, in an environment of its own"


def import_stack(loader: Loader, *, has_cuda: bool, num_adapters: int) -> str:
    """Import what is going to read the model; nothing may import transformers, trl or peft before.

    Returns:
        What a person should know about the loader; "" where there is nothing.

    Raises:
        HardwareError: the loader is unsloth, and there is no CUDA device.
        ModelLoadError: it is unsloth, and cannot be imported.
    """
    # At import it recommends a kernel on the Hub, which can only multiply without gradients.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    if loader == "transformers":
        return ""
    if not has_cuda:
        raise HardwareError(f"model.loader is unsloth, which needs a CUDA device; find one, {_REMEDY}")
    problem = _what_came_first() or _import_unsloth()
    if problem:
        raise ModelLoadError(f"model.loader is unsloth, but {problem}; {_COMMAND}, {_REMEDY}")
    return _TWO_ADAPTERS if num_adapters > 1 else ""


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
