"""One run of an untrusted program in its forked process: confine, compile, call `f`, answer, exit.

Standard library only. The zygote gives this module a private copy of the builtins before it runs, so that
a program that replaces `builtins.repr` deceives only itself. Nothing here is secret from the program:
whatever it must not know is not in the process.
"""

import fcntl
import gc
import io
import marshal
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any, NoReturn

_Buffer = Any  # collections.abc.Buffer from Python 3.12 on

RESULT_FD = 3
MAX_FDS = 256
"""Descriptor limit of the zygote, which holds one or two per run."""
SETUP_FAILED_SIGNAL = signal.SIGUSR2
"""A confined program cannot send itself a signal, so it cannot pretend that its confinement failed."""

# Caps on a program's result. The parent's reader accepts every value within these caps.
MAX_NODES = 20_000
MAX_DEPTH = 60
MAX_INT_BITS = 13_000
MAX_TEXT = 20_000
_MAX_RESULT_BYTES = 60_000
MAX_MESSAGE = 300
"""Maximum characters of an exception's message."""
_MAX_OUTPUT_BYTES = 60_000
"""Maximum bytes of a script's output."""
_DEFAULT_PIPE_BYTES, _SET_PIPE_SIZE = 1 << 16, 1031
CALLS, SERIES, SCRIPT, _ = range(4)
"""Modes, as in `nursery`."""

# Bound now: a program can replace attributes of a module, but not the copies that this module holds.
_write, _exit, _disable_gc, _set_stack_limit = os.write, os._exit, gc.disable, sys.setrecursionlimit
_enable_gc = gc.enable
_arguments_of = BaseException.__dict__["args"].__get__
_BytesIO, _TextIOWrapper = io.BytesIO, io.TextIOWrapper
_flush, _value_of, _decode = io.TextIOWrapper.flush, io.BytesIO.getvalue, bytes.decode
_fcntl = fcntl.fcntl
_has_gc, _get_stack_limit = gc.isenabled, sys.getrecursionlimit
_set_hooks, _look_at_hooks = (sys.settrace, sys.setprofile), (sys.gettrace, sys.getprofile)
_name_of = type.__dict__["__name__"].__get__
_before_call: list[Callable[[], None]] = []
_all_modules: set[str] = set()
# Of calls that share a process: modules whose state is none, or is restored; and what leads beyond them.
_PLAIN_MODULES = frozenset(
    """
    __future__ abc array bisect cmath collections copy dataclasses datetime decimal enum fractions functools
    heapq itertools json math numbers operator random re statistics string textwrap time typing unicodedata
    """.split()  # noqa: SIM905
)
_FAR_REACHING = frozenset(
    """
    breakpoint compile delattr dir eval exec getattr globals locals open setattr vars mro modules ctypes
    socket importlib subprocess multiprocessing
    """.split()  # noqa: SIM905
)
_PLAIN_DUNDERS = frozenset(
    """
    __init__ __name__ __module__ __qualname__ __doc__ __annotations__ __classcell__ __eq__ __ne__ __lt__
    __le__ __gt__ __ge__ __hash__ __repr__ __str__ __len__ __iter__ __next__ __call__ __getitem__
    __setitem__ __contains__ __add__ __radd__ __sub__ __mul__ __rmul__ __bool__ __int__ __index__
    __enter__ __exit__ __post_init__ __main__
    """.split()  # noqa: SIM905
)
_kept: list[
    Any
] = []  # keeps the program's objects alive, so that no finaliser runs between its answer and the end


class Unfit(Exception):
    """The value cannot be an answer; the argument is the outcome."""


def prepare(begin_call: Callable[[], None], modules: Sequence[str]) -> None:
    """Called once in the zygote: sets what runs before each further call, and what programs can import."""
    _before_call.append(begin_call)
    _all_modules.update(modules)


def report_failure(error: BaseException) -> NoReturn:
    """Report that this process could not be confined, and exit without running the program."""
    _write(RESULT_FD, f"{type(error).__name__}: {error}".encode(errors="replace")[:1000])
    os.kill(os.getpid(), SETUP_FAILED_SIGNAL)
    _exit(1)


def run(program: bytes, arguments: bytes, num_calls: int, nonce: bytes, mode: int = CALLS) -> NoReturn:
    """Answer on RESULT_FD with one line per call of `f`, and exit without cleanup.

    Args:
        program: UTF-8 source; arguments: marshalled. Each call gets its own copy.
        nonce: the first bytes of the answer.
        mode: as in `nursery`.
    """
    out_of_memory = nonce + b"\noom"  # prepared, since there may be no memory later
    source = program.decode("utf-8", "surrogatepass")
    try:
        if mode == SERIES:
            _write(RESULT_FD, nonce)
            for line in _series(source, marshal.loads(arguments)):  # noqa: S302 - from the parent
                _write_all(f"\n{line}".encode())
            _exit(0)
        lines = [_script(source)] if mode == SCRIPT else _answers(source, arguments, num_calls)
        answer = "\n".join(["", *lines]).encode()
    except MemoryError:
        _write(RESULT_FD, out_of_memory)
        _exit(0)
    _write_all(nonce + answer)
    _exit(0)


def _write_all(answer: bytes) -> None:
    while answer:
        answer = answer[_write(RESULT_FD, answer) :]


def _answers(source: str, arguments: _Buffer, num_calls: int) -> list[str]:
    """One line per call, up to the first call without a value: an outcome, then a literal or a name."""
    code = _compiled(source)
    if isinstance(code, str):
        return [code]
    copies = [marshal.loads(arguments) for _ in range(num_calls)]  # noqa: S302 - from the parent
    lines: list[str] = []
    try:
        function = _defined(code)
        for copy in copies:
            _kept.append(function(*copy))
            give_back = _regain_control()
            lines.append(f"ok {literal(_kept[-1])}")
            give_back()
    except BaseException as error:  # noqa: BLE001
        lines.append(_end(error))
    return lines


def _series(source: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """One line per argument list; each call has its own module.

    No lines for a program that may do more than use its imports: each of its calls needs its own process.
    """
    code = _compiled(source)
    names = set() if isinstance(code, str) else _names_in(code)
    if not _is_plain(names):
        return
    surroundings = _Surroundings(names)
    for row in rows:
        if isinstance(code, str):
            yield code
            continue
        try:
            _kept.append(_defined(code)(*row))
            give_back = _regain_control()
            line = f"ok {literal(_kept[-1])}"
        except BaseException as error:  # noqa: BLE001
            give_back = _regain_control()
            line = _end(error)
        yield line
        surroundings.restore()
        give_back()


def _script(source: str) -> str:
    """Run a program as a script. Returns `ok` or its end, then the printed text."""
    code = _compiled(source)
    if isinstance(code, str):
        return code
    printed = _capture_output()
    end = "ok"
    try:
        module = _new_module("__main__")
        exec(code, module.__dict__)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        is_plain_exit = type(error) is SystemExit and error.code in (None, 0)
        end = "ok" if is_plain_exit else _end(error)
    _regain_control()
    try:
        output = repr(printed())
    except Unfit as unfit:
        return _end(unfit)
    return f"ok {output}" if end == "ok" else f"{end}, {output}" if end.startswith("exception ") else end


def _compiled(source: str) -> Any:  # noqa: ANN401
    """The program's code, or the line that reports that it is not a program."""
    try:
        return compile(source, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        return f"syntax_error {type(error).__name__}"


def _end(error: BaseException) -> str:
    """The line for a call without a value."""
    _kept.append(error)
    _regain_control()
    if type(error) is Unfit:
        return " ".join(error.args)
    if issubclass(type(error), MemoryError):  # isinstance would ask the program's __class__
        return "oom"
    return f"exception {_type_name(error)} {_message(error)}"


def _message(error: BaseException) -> str:
    """Literal of an exception's text, built without calling any method of the program."""
    arguments = _arguments_of(error)
    try:
        if len(arguments) == 1 and not issubclass(type(error), KeyError) and type(arguments[0]) is str:
            return repr(arguments[0][:MAX_MESSAGE])
        if len(arguments) == 2 and issubclass(type(error), OSError) and type(arguments[0]) is int:
            return repr(f"[Errno {arguments[0]}] {_plain(arguments[1])}"[:MAX_MESSAGE])
        text = ", ".join(map(_plain, arguments))
        return repr((text if len(arguments) < 2 else f"({text})")[:MAX_MESSAGE])
    except Unfit:
        return repr("")


def _plain(value: object) -> str:
    if type(value) is str:
        return repr(value[:MAX_MESSAGE])
    if type(value) is int and int.bit_length(value) <= 64:
        return repr(value)
    return literal(value)


def _defined(code: Any) -> Callable[..., Any]:  # noqa: ANN401
    module = _new_module("program")
    exec(code, module.__dict__)  # noqa: S102
    function = module.__dict__.get("f")
    if not callable(function):
        raise Unfit("no_function")
    return function  # type: ignore[no-any-return]


def _new_module(name: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    _kept.append(module)
    return module


def _capture_output() -> Callable[[], str]:
    """Redirect `print` into memory. The returned function gives the text, at most one character too long."""
    buffer = _BytesIO()
    stream = _TextIOWrapper(buffer, encoding="utf-8", errors="surrogateescape", newline="\n")
    sys.stdout = stream
    vars(sys)["__stdout__"] = stream
    _kept.append(stream)

    def printed() -> str:
        with suppress(BaseException):  # the program may have closed or damaged it
            _flush(stream)
        output = _value_of(buffer)
        if len(output) > _MAX_OUTPUT_BYTES:
            raise Unfit("output_too_large")
        return _decode(output, "utf-8", "replace")

    return printed


class _Surroundings:
    """The modules that a program names. A call may change them; the next call must find them unchanged.

    Other modules are not copied: that would touch thousands of memory pages that processes share.
    """

    def __init__(self, names: set[str]) -> None:
        modules = [sys.modules[name] for name in sorted(names & _PLAIN_MODULES) if name in sys.modules]
        self._states = [(vars(module), dict(vars(module))) for module in modules]
        self._restorers: list[Callable[[], Any]] = []
        if "decimal" in names:
            decimal = sys.modules["decimal"]
            set_context, context = decimal.setcontext, decimal.getcontext().copy()
            self._restorers.append(lambda: set_context(context.copy()))
        if "random" in names:
            random = sys.modules["random"]
            set_state, state = random.setstate, random.getstate()
            self._restorers.append(lambda: set_state(state))

    def restore(self) -> None:
        """Restore the modules. Objects that a call put into them stay alive."""
        for names, before in self._states:
            _kept.append(dict(names))
            for name in [name for name in names if name not in before]:
                del names[name]
            names.update(before)
        for restore in self._restorers:
            restore()


def _names_in(code: CodeType) -> set[str]:
    """All global names, attributes and imported modules of a program, including those in its functions."""
    inner = (_names_in(part) for part in code.co_consts if type(part) is CodeType)
    return set(code.co_names).union(*inner)


def _is_plain(names: set[str]) -> bool:
    """Whether a program names nothing that could change more than the modules it imports."""
    return all(_is_plain_name(name) for name in names)


def _is_plain_name(name: str) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return name in _PLAIN_DUNDERS
    bare = name.strip("_")
    return bare not in _FAR_REACHING and (bare in _PLAIN_MODULES or bare not in _all_modules)


def _regain_control() -> Callable[[], None]:
    """Remove what could run the program's code within ours: tracers, finalisers, a low stack limit.

    The returned function undoes this, but no change by the program: a further call finds the interpreter
    as the first call left it.
    """
    has_gc, stack_limit = _has_gc(), _get_stack_limit()
    hooks: list[Any] = [look() for look in _look_at_hooks]
    _disable_gc()
    for withdraw in _set_hooks:
        with suppress(BaseException):  # a hook that raises is gone by then
            withdraw(None)
    _set_stack_limit(10_000)

    def give_back() -> None:
        _set_stack_limit(stack_limit)
        (_enable_gc if has_gc else _disable_gc)()
        for begin_call in _before_call:
            begin_call()
        for install, hook in zip(_set_hooks, hooks, strict=False):
            if hook is not None:
                install(hook)

    return give_back


def _type_name(value: object) -> str:
    """The type's name if it is a plain name, since the program chooses it."""
    name = str.__getitem__(_name_of(type(value)), slice(0, 80))
    return name if name.isidentifier() else "unnamed"


def literal(value: object) -> str:
    """Literal of a tree of exact builtin types; no method of a class of the program runs.

    Raises:
        Unfit: another type, a cycle, or beyond the caps.
    """
    nodes_left, bytes_left = MAX_NODES, _MAX_RESULT_BYTES
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


def occupy_stdin(text: bytes) -> None:
    """Make standard input return this text, however it is read."""
    reading, writing = os.pipe()
    if len(text) > _DEFAULT_PIPE_BYTES:
        _fcntl(writing, _SET_PIPE_SIZE, 2 * len(text))
    os.set_blocking(writing, False)
    if os.write(writing, text) < len(text):
        raise OSError("the standard input is too long for a pipe of this system")
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)


def occupy_result_fd(result_fd: int) -> None:
    """Move the result pipe to descriptor 3, disable standard input and output, and close everything else."""
    os.dup2(result_fd, RESULT_FD)
    os.dup2(1, 2)
    os.closerange(RESULT_FD + 1, MAX_FDS)
