"""One run of an untrusted program, inside its forked process: confine, compile, call `f`, answer, leave.

Standard library only. The zygote gives this module a private copy of the builtins before it runs, so that
a program that replaces `builtins.repr` deceives itself alone. Nothing here is secret from the program:
what it must not know is not in the process.
"""

import gc
import marshal
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

Buffer = Any  # collections.abc.Buffer from Python 3.12 on

RESULT_FD = 3
MAX_FDS = 256
"""Of the zygote, which holds one or two for each run."""
SETUP_FAILED_SIGNAL = signal.SIGUSR2
"""A confined program cannot send itself a signal, so it cannot pretend that confining it had failed."""

# What a program may return. A value within these caps is always one that the parent's reader accepts.
MAX_NODES = 20_000
MAX_DEPTH = 60
MAX_INT_BITS = 13_000
MAX_TEXT = 20_000
MAX_RESULT_BYTES = 60_000

# Bound now: a program can replace what a module holds, but not what this one has taken from it.
_write, _exit, _disable_gc, _set_stack_limit = os.write, os._exit, gc.disable, sys.setrecursionlimit
_withdraw_hooks = (sys.settrace, sys.setprofile)
_name_of = type.__dict__["__name__"].__get__
_kept: list[
    Any
] = []  # what the program made stays alive: no finaliser of its runs between its answer and the end


class Unfit(Exception):
    """A value that cannot be an answer; the argument is the outcome."""


def run(
    program: bytes, arguments: Buffer, num_calls: int, nonce: bytes, confine: Callable[[], None]
) -> NoReturn:
    """Answer on RESULT_FD with one line per call of `f`, and leave without any cleaning up.

    Args:
        program: UTF-8 source; arguments: buffer with a marshalled tuple. Each call gets a copy of its own.
        nonce: opens the answer.
        confine: takes effect before the program is even compiled.
    """
    out_of_memory = nonce + b"\noom"  # prepared, since there may be no memory later
    try:
        confine()
    except BaseException as error:  # noqa: BLE001
        _write(RESULT_FD, f"{type(error).__name__}: {error}".encode())
        os.kill(os.getpid(), SETUP_FAILED_SIGNAL)
        _exit(1)
    try:
        lines = _answers(program.decode("utf-8", "surrogatepass"), arguments, num_calls)
        answer = "\n".join(["", *lines]).encode()
    except MemoryError:
        _write(RESULT_FD, out_of_memory)
        _exit(0)
    answer = nonce + answer
    while answer:
        answer = answer[_write(RESULT_FD, answer) :]
    _exit(0)


def _answers(source: str, arguments: Buffer, num_calls: int) -> list[str]:
    """One line for each call, up to the first without a value: an outcome, then a literal or a name."""
    copies = [marshal.loads(arguments) for _ in range(num_calls)]  # noqa: S302 - from the parent
    lines: list[str] = []
    try:
        code = compile(source, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        return [f"syntax_error {type(error).__name__}"]
    try:
        function = _defined(code)
        for copy in copies:
            _kept.append(function(*copy))
            _regain_control()
            lines.append(f"ok {literal(_kept[-1])}")
    except Unfit as unfit:
        _kept.append(unfit)
        lines.append(" ".join(unfit.args))
    except BaseException as error:  # noqa: BLE001
        _kept.append(error)
        _regain_control()
        out_of_memory = issubclass(type(error), MemoryError)  # isinstance would ask the program's __class__
        lines.append("oom" if out_of_memory else f"exception {_type_name(error)}")
    return lines


def _defined(code: Any) -> Callable[..., Any]:  # noqa: ANN401
    module = ModuleType("program")
    sys.modules["program"] = module  # dataclasses look their module up
    _kept.append(module)
    exec(code, module.__dict__)  # noqa: S102
    function = module.__dict__.get("f")
    if not callable(function):
        raise Unfit("no_function")
    return function  # type: ignore[no-any-return]


def _regain_control() -> None:
    """Remove what would run the program's code inside of ours: tracers, finalisers, a low stack limit."""
    _disable_gc()
    for withdraw in _withdraw_hooks:
        with suppress(BaseException):  # a hook that raises is gone by then
            withdraw(None)
    _set_stack_limit(10_000)


def _type_name(value: object) -> str:
    """The type's name if it is a plain one; it is the program's own text."""
    name = str.__getitem__(_name_of(type(value)), slice(0, 80))
    return name if name.isidentifier() else "unnamed"


def literal(value: object) -> str:
    """Literal of a tree of exact builtin types; no method of a class of the program runs.

    Raises:
        Unfit: another type, a cycle, or beyond the caps.
    """
    nodes_left, bytes_left = MAX_NODES, MAX_RESULT_BYTES
    above: set[int] = set()

    def spend(num_bytes: int) -> None:
        nonlocal nodes_left, bytes_left
        nodes_left -= 1
        bytes_left -= num_bytes
        if nodes_left < 0 or bytes_left < 0:
            raise Unfit("output_too_large")

    def write(value: Any, depth: int) -> str:  # noqa: ANN401
        kind = type(value)
        if kind is list or kind is tuple or kind is dict or kind is set or kind is frozenset:
            if depth >= MAX_DEPTH:
                raise Unfit("output_too_large")
            if id(value) in above:
                raise Unfit("bad_type", "cycle")
            spend(2 * len(value) + 2)  # separators and brackets
            above.add(id(value))
            text = write_container(value, kind, depth + 1)
            above.discard(id(value))
            return text
        text = _scalar(value, kind)
        spend(len(text) if text.isascii() else len(text.encode()))
        return text

    def write_container(value: Any, kind: type, depth: int) -> str:  # noqa: ANN401
        if kind is dict:
            pairs = [f"{write(key, depth)}: {write(item, depth)}" for key, item in dict.items(value)]
            return f"{{{', '.join(pairs)}}}"
        texts = [write(item, depth) for item in value]
        if kind is list:
            return f"[{', '.join(texts)}]"
        if kind is tuple:
            return f"({', '.join(texts)}{',' * (len(texts) == 1)})"
        texts.sort()
        display = f"{{{', '.join(texts)}}}" if texts else ""
        return f"frozenset({display})" if kind is frozenset else display or "set()"

    return write(value, 0)


def _scalar(value: Any, kind: type) -> str:  # noqa: ANN401
    if value is None or value is True or value is False:
        return repr(value)
    if kind is int:
        if int.bit_length(value) > MAX_INT_BITS:
            raise Unfit("output_too_large")
        return hex(value)  # no limit on digits that the program could have set applies to it
    if kind is float:
        return _float(value)
    if kind is complex:
        return f"complex({_float(value.real)}, {_float(value.imag)})"
    if kind is str or kind is bytes:
        if len(value) > MAX_TEXT:
            raise Unfit("output_too_large")
        return repr(value)
    raise Unfit("bad_type", _type_name(value))


def _float(value: float) -> str:
    return repr(value) if value - value == 0 else f"float('{value!r}')"


def occupy_result_fd(result_fd: int) -> None:
    """Keep the result pipe as descriptor 3, nothing to read or print to, and nothing else open."""
    os.dup2(result_fd, RESULT_FD)
    os.dup2(1, 2)
    os.closerange(RESULT_FD + 1, MAX_FDS)
