"""The start of a zygote: a process that has imported what programs may import, and confined itself.

Started by file path with an interpreter that sees no packages, so it imports the standard library and its
neighbours only. Then it serves (`nursery`) until the parent hangs up.
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

# What programs can import: files cannot be opened in a child, so nothing else is there.
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
# Tidiness only: the kernel is what stops their use. `resource` has to stay, os.wait4 looks it up.
_WITHHELD = ["ctypes", "_ctypes", "fcntl", "_posixsubprocess", "_socket", "socket", "subprocess"]

# Variables that the loader of the interpreter needed; programs do not see them.
FORGOTTEN = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"]


def _preload(settings: dict[str, Any], clock: ModuleType) -> None:
    """Import what programs may import, fix the seed of `random`, shift the clock."""
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
    """A module beside this file, with builtins of its own that no program can replace."""
    path = f"{os.path.dirname(os.path.abspath(__file__))}/{name}.py"  # noqa: PTH100, PTH120
    module = ModuleType(f"_tinyzero_{name}")
    module.__dict__["__builtins__"] = dict(vars(sys.modules["builtins"]))
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is one more module to inherit
        exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
    return module


def isolate(
    settings: dict[str, Any], control: socket.socket, sandbox: ModuleType, max_fds: int
) -> dict[str, Any]:
    """What is done once for all children, in the only order that works; returns what was achieved."""
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
    """Go on in a child that is process 1 of the new namespace; its death is the death of all in it.

    The outer process only waits. If it died before the inner one could ask to die with it, the parent
    notices the outer one's end and hangs up, which ends the inner one as well.
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
    """Serve; returns in children only, with what is left for them to do."""
    settings = json.loads(sys.argv[2])
    given_fd = int(sys.argv[1])
    control = socket.socket(fileno=os.dup(given_fd))  # the copy is among the lowest, which a child closes
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
    main()()  # in a child no frame but this one is left
