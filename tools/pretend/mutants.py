"""Faults that CPU tests do not see, planted one by one in a copy of the package: the card must see each."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A fault.

    Attributes:
        file: in the package. before, after: what the file says, and what the fault makes of it.
    """

    name: str
    file: str
    before: str
    after: str

    def plant(self, package: Path) -> None:
        """Raises ValueError where the file does not say `before` just once: the mutant is out of date."""
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.before) != 1:
            raise ValueError(f"{self.file} does not say once: {self.before}")
        path.write_text(text.replace(self.before, self.after), encoding="utf-8")


MUTANTS = (
    Mutant(
        name="the host waits within a recorded step",
        file="sampling/decoding.py",
        before="        store.end_token(rows)\n",
        after="        int(tokens[0])\n        store.end_token(rows)\n",
    ),
    Mutant(
        name="slots are made on the host",
        file="sampling/rows.py",
        before="self._slots = torch.arange(capacity, device=device)",
        after="self._slots = torch.arange(capacity)",
    ),
    Mutant(
        name="positions are replaced, not written in place",
        file="sampling/rows.py",
        before="        self.positions[:rows] += self.in_use[:rows]\n",
        after="        self.positions = torch.cat([self.positions[:rows] + self.in_use[:rows], "
        "self.positions[rows:]])\n",
    ),
    Mutant(
        name="a tensor of the card is read as an array",
        file="sampling/decoding.py",
        before="self._progress.logprobs[row, : len(ids)].tolist()",
        after="self._progress.logprobs[row, : len(ids)].numpy().tolist()",
    ),
    Mutant(
        name="numbers of the host go to the card within a recorded step",
        file="sampling/rows.py",
        before="heads = torch.arange(self.num_key_heads, device=positions.device)",
        after="heads = torch.tensor(range(self.num_key_heads), device=positions.device)",
    ),
)
