"""Your own code: a plugin is a Python file or module whose `register(registry)` adds kinds, rewards and more.

`find` and `recorded` read a plugin and run nothing of it; `load` runs it. Whether it may run is the decision
of `tinyzero.cli.consent`.
"""

from tinyzero.plugins.finding import Plugin, find
from tinyzero.plugins.record import digests, edited, record, recorded
from tinyzero.plugins.registry import Brought, Registry, load

__all__ = ["Brought", "Plugin", "Registry", "digests", "edited", "find", "load", "record", "recorded"]
