"""A sandboxed executor for untrusted Python programs. It can be used on its own.

from tinyzero import Executor

with Executor() as executor:
    print(executor.tier.description)
    print(executor.run("def f(x): return x + 1", ["1", "'a'"]))
"""

from tinyzero.execution.executor import Executor
from tinyzero.execution.selftest import Tier

__all__ = ["Executor", "Tier"]
