"""Key/value storage for sequences decoded side by side, each as long as it happens to be."""

from collections.abc import Sequence

import torch
from torch import Tensor

KeyValues = Sequence[tuple[Tensor, Tensor]]
"""Keys and values of each layer, [B, H, T, D]: B sequences, H heads, T tokens, D head dimension."""


class RowStore:
    """The sequences of one sampling request, in rows; the first `active` rows are in use.

    A row's tokens lie from slot 0 on, with no padding, so a slot is a position, and a finished row can be
    overwritten by a new one of any length. Given to a model as `past_key_values`, it stores what is decoded.

    Attributes:
        positions: [num_rows], slot of each row's next token, which is also its number of tokens so far.
        window: slots that any active row sees while its next token is decoded.
    """

    def __init__(self, *, num_rows: int, capacity: int, device: torch.device) -> None:
        self.num_rows, self.capacity = num_rows, capacity
        self.active = self.window = 0
        self.positions = torch.zeros(num_rows, dtype=torch.long, device=device)
        self._slots = torch.arange(capacity, device=device)
        self._rows = torch.arange(num_rows, device=device)
        # Per layer [num_rows, H, capacity, D]: attention on a CPU reads a head's tokens side by side two to
        # three times faster than a token's heads side by side.
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._written: tuple[Tensor, Tensor] = (self._rows[:0], self._rows[:0])

    def append(self, prefixes: KeyValues, sources: Tensor, lengths: Tensor) -> None:
        """Start rows behind the active ones: row i continues `prefixes[sources[i]]` at slot `lengths[i]`."""
        rows = slice(self.active, self.active + len(sources))
        if not self._layers:
            self._layers = [(self._allocate(keys), self._allocate(values)) for keys, values in prefixes]
        for stored, given in zip(self._layers, prefixes, strict=True):
            for store, tensor in zip(stored, given, strict=True):
                store[rows, :, : tensor.shape[2]] = tensor[sources]
        self.positions[rows] = lengths
        self.active = rows.stop
        self._find_window()

    def drop(self, rows: Sequence[int]) -> tuple[list[int], list[int]]:
        """Forget rows; the last active ones move into the holes.

        Returns:
            The rows that moved, and where each went.
        """
        remaining = self.active - len(rows)
        movers = sorted(set(range(remaining, self.active)).difference(rows))
        holes = sorted(row for row in rows if row < remaining)
        for tensor in (tensor for layer in self._layers for tensor in layer):
            tensor[holes, :, : self.window] = tensor[movers, :, : self.window]
        self.positions[holes] = self.positions[movers]
        self.active = remaining
        self._find_window()
        return movers, holes

    def begin_token(self, dtype: torch.dtype) -> Tensor:
        """Get ready to store one token per row.

        Returns:
            The additive attention mask [active, 1, 1, window]: a row sees its slots up to the one written.
        """
        positions = self.positions[: self.active]
        self._written = self._rows[: self.active], positions.clone()
        hidden = (self._slots[: self.window] > positions[:, None])[:, None, None]
        return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
            hidden, torch.finfo(dtype).min
        )

    def end_token(self) -> None:
        self.positions[: self.active] += 1
        self.window += 1

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Called by each attention layer with [active, H, 1, D]; returns all that its rows may see."""
        rows, slots = self._written
        stored_keys, stored_values = self._layers[layer]
        stored_keys[rows, :, slots] = keys[:, :, 0]
        stored_values[rows, :, slots] = values[:, :, 0]
        return stored_keys[: self.active, :, : self.window], stored_values[: self.active, :, : self.window]

    def get_seq_length(self, *_: object) -> int:
        """Called by models that want to know how much is stored."""
        return self.window - 1

    def _allocate(self, like: Tensor) -> Tensor:
        shape = (self.num_rows, like.shape[1], self.capacity, like.shape[3])
        # Zeros: a hidden slot still counts as 0 x its value, and memory that was never written may hold NaN.
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    def _find_window(self) -> None:
        self.window = int(self.positions[: self.active].max()) + 1 if self.active else 0
