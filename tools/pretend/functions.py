"""What Python asks of tensors before torch dispatches: where they are, to move them, to make them there."""

from types import FunctionType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pretend.card import DEVICE, Card, address_of, place, tensors_in

_ANSWERS: dict[Any, tuple[str, object]] = {
    torch.Tensor.device.__get__: ("device", DEVICE),  # type: ignore[attr-defined]
    torch.Tensor.is_cuda.__get__: ("is_cuda", True),  # type: ignore[attr-defined]
    torch.Tensor.is_cpu.__get__: ("is_cpu", False),  # type: ignore[attr-defined]
}
_MOVES = {torch.Tensor.to, torch.Tensor.cuda, torch.Tensor.cpu}
_NEEDS_HOST = {torch.Tensor.numpy, torch.Tensor.__array__}
_FROM_DATA = (torch.tensor, torch.as_tensor, torch.asarray)
_BACKWARD = (torch.Tensor.backward, torch.autograd.backward)
_HALVES = (torch.float16, torch.bfloat16)


class Functions(TorchFunctionMode):
    """Sees the calls of Python, with `device=` still in them."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        card, options = self._card, kwargs or {}
        if func in _ANSWERS:
            return _ANSWERS[func][1] if card.holds(args[0]) else func(*args, **options)
        if func is torch.Tensor.get_device:
            return 0 if card.holds(args[0]) else -1
        if func in _MOVES:
            return self._move(func, args, options)
        if func is torch.Tensor.tolist and card.holds(args[0]):
            card.wait("tolist")
        if func in _NEEDS_HOST and card.holds(args[0]):
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
                f"host memory first (pretended, at {place()})"
            )
        if func in _BACKWARD:
            with self:  # what runs inside asks for devices too
                return _backward(*args, **options)
        if func is torch.addmm and options.get("out_dtype") is not None:
            return _addmm(*args, **options)
        if options.get("device") is not None:
            return self._make(func, args, options)
        return self._where_inputs_are(func, args, options)

    def _where_inputs_are(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
        """What a function in C++ makes on the way, it makes where its inputs are."""
        card = self._card
        if isinstance(func, FunctionType) or card.is_creating:
            return func(*args, **options)
        card.is_creating = any(card.holds(tensor) for tensor in tensors_in((args, options)))
        try:
            return func(*args, **options)
        finally:
            card.is_creating = False

    def _make(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
        card, target = self._card, as_device(options["device"])
        if target.type == "meta":
            return func(*args, **options)
        source = next((arg for arg in args if isinstance(arg, torch.Tensor)), None)
        if func in _FROM_DATA and source is not None:
            kept = {name: value for name, value in options.items() if name == "dtype"}
            return self._move(torch.Tensor.to, (source, target), kept)
        if target.type == "cuda":
            return self._make_here(func, args, options)
        made = func(*args, **options)
        for tensor in tensors_in(made):
            if source is not None and address_of(tensor) != address_of(source):  # zeros_like(x, device="cpu")
                card.take_off(tensor)
        return made

    def _make_here(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
        card, is_data = self._card, func in _FROM_DATA
        if is_data:
            card.copy(f"torch.{func.__name__} of data of the host")
        options = {**options, "device": torch.device("cpu")}
        options.pop("pin_memory", None)
        before, card.is_creating = card.is_creating, not is_data
        try:
            made = func(*args, **options)
        finally:
            card.is_creating = before
        if is_data and func is not torch.tensor and made.numel():  # it may share memory with an array
            made = made.clone()
        for tensor in tensors_in(made):
            card.put(tensor)
        return made

    def _move(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
        card, tensor = self._card, args[0]
        device, dtype, is_copied = _target(card, func, args[1:], options)
        if device is not None and device.type == "meta":
            return func(*args, **options)
        is_here, goes_here = card.holds(tensor), device is not None and device.type == "cuda"
        if device is None or is_here == goes_here:
            return tensor.to(dtype or tensor.dtype, copy=True) if is_copied else _cast(tensor, dtype)
        if goes_here:
            card.copy("to the card")
        else:
            card.wait("to the host")
        moved = tensor.to(dtype=dtype or tensor.dtype, copy=True)  # keeps the graph of autograd
        return card.put(moved) if goes_here else card.take_off(moved)


def as_device(device: Any) -> torch.device:  # noqa: ANN401
    """A number names a card."""
    return DEVICE if isinstance(device, int) else torch.device(device)


def _cast(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    return tensor if dtype in (None, tensor.dtype) else tensor.to(dtype)


def _target(
    card: Card,
    func: Any,  # noqa: ANN401
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> tuple[torch.device | None, torch.dtype | None, bool]:
    """Where a move goes, in which type, and whether a copy is made in any case."""
    if func is not torch.Tensor.to:
        return (DEVICE if func is torch.Tensor.cuda else torch.device("cpu")), None, False
    device, dtype = options.get("device"), options.get("dtype")
    for given in (*args, options.get("other")):
        if isinstance(given, torch.Tensor):
            device, dtype = (DEVICE if card.holds(given) else torch.device("cpu")), given.dtype
        elif isinstance(given, torch.dtype):
            dtype = given
        elif isinstance(given, str | torch.device) or (
            isinstance(given, int) and not isinstance(given, bool)
        ):
            device = given
    return None if device is None else as_device(device), dtype, bool(options.get("copy", False))


def _backward(
    tensors: Any,  # noqa: ANN401
    grad_tensors: Any = None,  # noqa: ANN401
    retain_graph: Any = None,  # noqa: ANN401
    create_graph: Any = None,  # noqa: ANN401
    grad_variables: Any = None,  # noqa: ANN401
    inputs: Any = None,  # noqa: ANN401
    gradient: Any = None,  # noqa: ANN401
) -> None:
    """`torch.autograd.backward` without asking this mode first, which would be off inside."""
    from torch.autograd import _make_grads, _tensor_or_tensors_to_tuple
    from torch.autograd.graph import _engine_run_backward

    tensors = (tensors,) if isinstance(tensors, torch.Tensor) else tuple(tensors)
    inputs = () if inputs is None else (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    given = _tensor_or_tensors_to_tuple(gradient if gradient is not None else grad_tensors, len(tensors))
    _engine_run_backward(
        tensors,
        _make_grads(tensors, given, is_grads_batched=False),
        bool(create_graph if retain_graph is None else retain_graph),
        bool(create_graph),
        inputs,
        allow_unreachable=True,
        accumulate_grad=True,
    )


def _addmm(total: Any, left: Any, right: Any, *, out_dtype: torch.dtype, out: Any = None) -> Any:  # noqa: ANN401
    """16-bit factors and a float32 sum, which CUDA alone has."""
    if out_dtype is not torch.float32 or total.dtype is not torch.float32:
        raise TypeError(f"addmm into {out_dtype} over {total.dtype} (pretended)")
    if left.dtype != right.dtype or left.dtype not in _HALVES:
        raise TypeError(f"addmm of {left.dtype} and {right.dtype} into float32 (pretended)")
    made = torch.mm(left.float(), right.float()) + total
    return made if out is None else out.copy_(made)
