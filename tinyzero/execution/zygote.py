"""Starts a zygote: a process that imports all modules that programs may import, and confines itself.

It is started by file path in an interpreter without packages, so it imports only the standard library and its
neighbour files. Then it serves (`nursery`) until the parent closes the connection.
"""

import gc
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

# What programs can import. A child cannot open files, so it can import nothing else.
_PRELOADED = """
    __future__ abc array ast base64 binascii bisect builtins calendar cmath codecs collections
    collections.abc contextlib copy copyreg csv dataclasses datetime decimal difflib enum errno
    fractions functools gc genericpath graphlib hashlib heapq html inspect io itertools json keyword
    locale marshal math numbers operator os pickle posixpath pprint queue random re reprlib secrets
    select signal statistics string stringprep struct sys textwrap threading time timeit token tokenize
    traceback types typing unicodedata uuid warnings weakref zlib _strptime encodings.ascii
    encodings.latin_1 encodings.utf_7 encodings.utf_8_sig encodings.utf_16 encodings.utf_16_le
    encodings.utf_16_be encodings.utf_32 encodings.utf_32_le encodings.utf_32_be encodings.idna
    encodings.punycode encodings.unicode_escape encodings.raw_unicode_escape encodings.rot_13
    encodings.hex_codec encodings.base64_codec encodings.quopri_codec encodings.zlib_codec
    encodings.cp437 encodings.cp1252 encodings.iso8859_15
""".split()  # noqa: SIM905
# Only for tidiness: the kernel stops their use. `resource` must stay, since os.wait4 imports it.
_WITHHELD = ["ctypes", "_ctypes", "fcntl", "_posixsubprocess", "_socket", "socket", "subprocess"]

# Variables that the interpreter's loader needed. Programs do not see them.
FORGOTTEN = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"]


def _preload(settings: dict[str, Any], clock: ModuleType) -> None:
    """Import all modules for programs, fix the seed of `random`, and shift the clock."""
    os.register_at_fork = lambda **_: None  # random would reseed itself in every child: 150 page faults
    for name in _PRELOADED:
        __import__(name)
    clock.install(settings["clock_offset_s"], settings["sleep_s"])
    sys.modules["random"].seed(settings["seed"])
    for name in _WITHHELD:
        sys.modules.pop(name, None)
    for name in FORGOTTEN:
        os.environ.pop(name, None)
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.argv = [""]


def load_neighbour(name: str) -> ModuleType:
    """A module in this file's folder, with its own copy of the builtins that no program can replace."""
    path = f"{os.path.dirname(os.path.abspath(__file__))}/{name}.py"  # noqa: PTH100, PTH120
    module = ModuleType(f"_tinyzero_{name}")
    module.__dict__["__builtins__"] = dict(vars(sys.modules["builtins"]))
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is one more module to inherit
        exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
    return module


def isolate(
    settings: dict[str, Any], control: socket.socket, sandbox: ModuleType, max_fds: int
) -> dict[str, Any]:
    """Confine this process and all its children, in the only order that works. Returns the achieved setup."""
    oom_score_adj = sandbox.go_first_for_memory()
    in_namespaces = sandbox.enter_namespaces()
    if in_namespaces:
        _continue_as_first_process(settings["parent_pid"], control, sandbox)
    sandbox.drop_privileges()
    sandbox.refuse_new_privileges()
    sandbox.die_with_parent(0 if in_namespaces else settings["parent_pid"])
    sandbox.limit_family(settings["memory_mib"], max_fds)
    return {
        "landlock_abi": sandbox.forbid_files(),
        "has_filter": sandbox.prepared_filter() is not None,
        "has_namespaces": in_namespaces,
        "uid": os.getuid(),
        "oom_score_adj": oom_score_adj,
    }


def _continue_as_first_process(parent_pid: int, control: socket.socket, sandbox: ModuleType) -> None:
    """Continue in a child that is process 1 of the new namespace; if it dies, all processes in it die.

    The outer process only waits. If it dies before the inner one can ask to die with it, the parent
    notices this and closes the connection, which also ends the inner one.
    """
    inner = os.fork()
    if inner == 0:
        return
    control.close()
    sandbox.drop_privileges()
    sandbox.die_with_parent(parent_pid)
    os.waitpid(inner, 0)
    os._exit(0)


def main() -> Callable[[], NoReturn]:
    """Serve. Returns in children only, with their remaining work."""
    settings = json.loads(sys.argv[2])
    given_fd = int(sys.argv[1])
    control = socket.socket(fileno=os.dup(given_fd))  # the copy gets a low number, which a child closes
    os.close(given_fd)
    # All before the clock is shifted and before files close.
    sandbox, nursery, child, clock = map(load_neighbour, ("sandbox", "nursery", "child", "clock"))
    try:
        _preload(settings, clock)
        child.prepare(clock.forget_sleep, _PRELOADED)
        report = isolate(settings, control, sandbox, child.MAX_FDS)
        server = nursery.Nursery(control, settings, child, sandbox)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent has to know
        nursery.report(control, {"error": traceback.format_exc()})
        os._exit(1)
    nursery.report(control, report)
    gc.collect()
    gc.freeze()
    gc.disable()
    return server.serve()  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()()  # in a child, this is the only frame
