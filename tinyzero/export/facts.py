"""The facts on an export that the card and tinyzero.json contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tinyzero.config import Settled
from tinyzero.evaluation.comparison import Comparison
from tinyzero.export.adapters import Adapter
from tinyzero.export.base import Base
from tinyzero.export.merge import Merged
from tinyzero.export.selftest import Agreement
from tinyzero.run.folder import RunFolder
from tinyzero.run.trained import Snapshot
from tinyzero.watch.figures import Chart

What = Literal["adapter", "merged", "gguf", "tasks"]
_MAX_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The exported adapter, its origin and its results.

    Attributes:
        roles: the adapter's roles, in words.
        conversation: the written conversation around a question, where the run had no chat template.
        merged, agreement: results of the merge; None for an adapter.
        notes: remarks of a conversion for the owner.
        charts: curves for the picture next to the card; empty for no picture.
    """

    what: What
    run: RunFolder
    config: Settled
    snapshot: Snapshot
    base: Base
    adapter: Adapter
    roles: str
    evaluation: Comparison | None
    charts: Sequence[Chart]
    conversation: str = ""
    merged: Merged | None = None
    agreement: Agreement | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The run's name, without characters that are special in Markdown or YAML."""
        kept = "".join(char for char in self.run.name if char.isalnum() or char in "._-")
        return kept[:_MAX_CHARS] or "model"

    @property
    def measured_here(self) -> Comparison | None:
        """The evaluation, if it measured the exported checkpoint."""
        table = self.evaluation
        return table if table is not None and table.step == self.snapshot.step else None
