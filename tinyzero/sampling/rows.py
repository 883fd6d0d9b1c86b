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
        in_use: [num_rows], 1 for the active rows, 0 for the others.
        window: slots that any active row sees while its next token is decoded.
    """

    def __init__(self, *, num_rows: int, capacity: int, device: torch.device) -> None:
        self.num_rows, self.capacity = num_rows, capacity
        self.active = self.window = 0
        self.positions = torch.zeros(num_rows, dtype=torch.long, device=device)
        self.in_use = torch.zeros(num_rows, dtype=torch.long, device=device)
        self._slots = torch.arange(capacity, device=device)
        self._rows = torch.arange(num_rows, device=device)
        # Per layer [num_rows, H, capacity, D]: attention on a CPU reads a head's tokens side by side two to
        # three times faster than a token's heads side by side.
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._written = self._rows[:0]  # place of each row's next token among all (row, head, slot)
        self._num_written = self._seen = 0

    def clear(self) -> None:
        """Forget all rows; their memory is kept for others."""
        self.positions.zero_()
        self._set_active(0)

    def append(self, prefixes: KeyValues, sources: Tensor, lengths: Tensor) -> None:
        """Start rows behind the active ones: row i continues `prefixes[sources[i]]` at slot `lengths[i]`."""
        rows = slice(self.active, self.active + len(sources))
        if not self._layers:
            self._layers = [(self._allocate(keys), self._allocate(values)) for keys, values in prefixes]
        for stored, given in zip(self._layers, prefixes, strict=True):
            for store, tensor in zip(stored, given, strict=True):
                store[rows, :, : tensor.shape[2]] = tensor[sources]
        self.positions[rows] = lengths
        self._set_active(rows.stop)

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
        self.positions[remaining:] = 0  # where a row in no use may write
        self._set_active(remaining)
        return movers, holes

    def begin_token(self, dtype: torch.dtype, *, rows: int, window: int) -> Tensor:
        """Get ready to store one token in each of the first `rows` rows, of which all active ones are.

        Args:
            window: slots that are looked at, at least those that any active row sees.

        Returns:
            The additive attention mask [rows, 1, 1, window]: a row sees its slots up to the one written.
        """
        positions = self.positions[:rows]
        heads = torch.arange(self.num_key_heads, device=positions.device)
        lanes = self._rows[:rows, None] * self.num_key_heads + heads
        self._written = (lanes * self.capacity + positions[:, None]).flatten()
        self._num_written, self._seen = rows, window
        hidden = (self._slots[:window] > positions[:, None])[:, None, None]
        return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
            hidden, torch.finfo(dtype).min
        )

    def end_token(self, rows: int) -> None:
        """Move the active ones among the first `rows` rows to their next slot; the window is the caller's."""
        self.positions[:rows] += self.in_use[:rows]

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: object) -> tuple[Tensor, Tensor]:
        """Called by each attention layer with [rows, H, 1, D]; returns all that its rows may see."""
        stored_keys, stored_values = self._layers[layer]
        for stored, given in ((stored_keys, keys), (stored_values, values)):
            size = given.shape[-1]
            stored.view(-1, size).index_copy_(0, self._written, given.reshape(-1, size))
        rows, seen = slice(self._num_written), slice(self._seen)
        return stored_keys[rows, :, seen], stored_values[rows, :, seen]

    @property
    def num_key_heads(self) -> int:
        return self._layers[0][0].shape[1]

    def get_seq_length(self, *_: object) -> int:
        """Called by models that want to know how much is stored."""
        return self._seen - 1

    def _allocate(self, like: Tensor) -> Tensor:
        shape = (self.num_rows, like.shape[1], self.capacity, like.shape[3])
        # Zeros: a hidden slot still counts as 0 x its value, and memory that was never written may hold NaN.
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    def _set_active(self, count: int) -> None:
        self.active = count
        self.in_use[:count], self.in_use[count:] = 1, 0
        self.window = int(self.positions[:count].max()) + 1 if count else 0


class Shapes:
    """The few sizes at which steps are computed when shapes are to come again: the next ones above."""

    _PARTS, _SLOTS = 8, 256  # steps of an eighth of the rows, and of 256 slots: at most that much is wasted

    def __init__(self, max_rows: int, capacity: int) -> None:
        self._max_rows, self._capacity = max_rows, capacity

    def rows(self, count: int) -> int:
        """Up to an eighth of all rows the next power of two, above that the next eighth."""
        part = max(1, self._max_rows // self._PARTS)
        size = 1 << (count - 1).bit_length() if count <= part else -(-count // part) * part
        return min(size, self._max_rows)

    def window(self, slots: int) -> int:
        return min(-(-slots // self._SLOTS) * self._SLOTS, self._capacity)
