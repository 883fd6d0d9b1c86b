"""Verified tasks kept as references and for replay. Knows nothing of prompts and models."""

from tinyzero.pool.pool import IMPORTS, Pool, add_imports, read_tasks

__all__ = ["IMPORTS", "Pool", "add_imports", "read_tasks"]
