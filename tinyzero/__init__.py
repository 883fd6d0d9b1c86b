"""TinyZero: self-play reinforcement learning for language models on one consumer GPU, with no data.

From Python: `train` is the command of that name, `load_config` reads a preset, `Executor` runs untrusted
programs. Each is imported when it is first used; `import tinyzero` alone imports nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyzero.cli.front_door import train
    from tinyzero.config import load_config
    from tinyzero.execution import Executor

__version__ = "0.1.0"

__all__ = ["Executor", "__version__", "load_config", "train"]

_HOMES = {
    "train": "tinyzero.cli.front_door",
    "load_config": "tinyzero.config",
    "Executor": "tinyzero.execution",
}

if not TYPE_CHECKING:  # a type checker would take any name for an attribute

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
