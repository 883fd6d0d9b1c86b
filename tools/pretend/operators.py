"""Every operator that torch dispatches: over whose tensors, with a kernel or not, with a wait or not."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pretend.card import Card, MixedDevices, place, tensors_in

_FREE = frozenset(
    f"aten.{name}"
    for name in [
        "detach",
        "alias",
        "view",
        "_unsafe_view",
        "reshape",
        "expand",
        "slice",
        "select",
        "transpose",
        "t",
        "permute",
        "unsqueeze",
        "squeeze",
        "split",
        "split_with_sizes",
        "unbind",
        "as_strided",
        "lift_fresh",
        "empty",
        "empty_like",
        "empty_strided",
        "new_empty",
        "new_empty_strided",
        "narrow",
        "view_as",
        "chunk",
        "diagonal",
        "unfold",
        "set_",
        "resize_",
        "is_same_size",
        "_reshape_alias",
        "sym_size",
        "is_pinned",
        "real",
        "movedim",
        "flatten",
        "unflatten",
    ]
)
"""They start no kernel: views and bookkeeping."""
_WAITING = frozenset(
    f"aten.{name}"
    for name in [
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "is_nonzero",
        "equal",
        "_unique2",
        "unique_consecutive",
        "unique_dim",
        "bincount",
        "item",
        "linalg_eigh",
        "multinomial",
    ]
)
"""The host needs the size or the value of what they give."""
_INDEXING = frozenset({"aten.index", "aten.index_put_", "aten.index_put", "aten._index_put_impl_"})
_COPYING = frozenset({"aten.copy_", "aten._to_copy"})
_TAKING_HOST_TENSORS = _INDEXING | {"aten.lift_fresh", "aten.set_", "aten.resize_as_"}


class Operators(TorchDispatchMode):
    """Passes the label of the card on from what an operator reads to what it makes."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        card, options = self._card, kwargs or {}
        given = tensors_in((args, options))
        is_here = [card.holds(tensor) for tensor in given]
        is_bound_here = getattr(options.get("device"), "type", None) == "cuda"
        if is_bound_here:  # where no function mode was on to see it
            options = {**options, "device": torch.device("cpu")}
            if given and not any(is_here):
                card.copy("a tensor of the host")
        if any(is_here):
            return self._on_card(func, args, options, given, is_here)
        made = self._compute(func, args, options)
        if is_bound_here or (card.is_creating and not given):
            self._take_in(func, args, options, made)
        return made

    def _on_card(
        self,
        func: Any,  # noqa: ANN401
        args: tuple[Any, ...],
        options: dict[str, Any],
        given: list[torch.Tensor],
        is_here: list[bool],
    ) -> Any:  # noqa: ANN401
        card, name = self._card, _name(func)
        if not all(is_here):
            self._check_mixture(name, args, given, is_here)
        self._check_waiting(name, args)
        if card.recording is not None:
            for tensor in _written(func, args, options):
                card.recording.keep(tensor)
        made = self._compute(func, args, options)
        if name == "aten.copy_":  # to the host too
            self._count(func, args, options, made)
        else:
            self._take_in(func, args, options, made)
        return made

    def _take_in(self, func: Any, args: tuple[Any, ...], options: dict[str, Any], made: Any) -> None:  # noqa: ANN401
        for tensor in tensors_in(made):
            self._card.put(tensor)
        self._count(func, args, options, made)

    def _count(self, func: Any, args: tuple[Any, ...], options: dict[str, Any], made: Any) -> None:  # noqa: ANN401
        if _name(func) not in _FREE:
            self._card.start(_name(func))
        if self._card.recording is not None:
            self._card.recording.add(func, args, options, made)

    def _compute(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
        with self._card.computing(), torch._C.DisableTorchFunction():
            return func(*args, **options)

    def _check_mixture(
        self, name: str, args: tuple[Any, ...], given: list[torch.Tensor], is_here: list[bool]
    ) -> None:
        """Numbers may come from the host, empty tensors, and indices, which are sent over."""
        strangers = [tensor for tensor, here in zip(given, is_here, strict=True) if not here]
        if name in _COPYING:
            self._card.copy("a copy between host and card")
        elif name in _TAKING_HOST_TENSORS and self._card.holds(args[0]):
            self._card.copy("indices of the host")
        elif any(tensor.dim() and tensor.numel() for tensor in strangers):
            shapes = [tuple(tensor.shape) for tensor in strangers]
            raise MixedDevices(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
                f"cpu! (pretended: {name} at {place()}; on the host {shapes})"
            )

    def _check_waiting(self, name: str, args: tuple[Any, ...]) -> None:
        if name in _WAITING:
            self._card.wait(name)
        elif name in _INDEXING:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self._card.wait(f"{name} by a mask")


def _name(func: Any) -> str:  # noqa: ANN401
    name: str = func._schema.name.replace("::", ".")
    return name


def _written(func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> list[torch.Tensor]:  # noqa: ANN401
    """What an operator writes into."""
    written: list[torch.Tensor] = []
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += tensors_in(args[index] if index < len(args) else options.get(argument.name))
    return written
