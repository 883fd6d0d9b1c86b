"""Everything that a card and tinyzero.json say about an export."""

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
    """What is exported, and where it comes from.

    Attributes:
        roles: that the adapter plays, in words.
        merged, agreement: of a merge; None for an adapter.
        charts: drawn in a picture beside the card; empty where there is none.
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
    merged: Merged | None = None
    agreement: Agreement | None = None

    @property
    def title(self) -> str:
        """The run's name, as far as it is harmless in Markdown and YAML."""
        kept = "".join(char for char in self.run.name if char.isalnum() or char in "._-")
        return kept[:_MAX_CHARS] or "model"

    @property
    def measured_here(self) -> Comparison | None:
        """The evaluation, if it is of the very checkpoint that is exported."""
        table = self.evaluation
        return table if table is not None and table.step == self.snapshot.step else None
