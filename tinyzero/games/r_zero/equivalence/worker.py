"""A zygote that compares answers: it loads a grader, confines itself, and forks a child per pair.

Started by file path like `tinyzero.execution.zygote`, whose confinement, nursery and rules it shares. It
passes pairs on as bytes and never looks into them. A child judges one pair and ends, so that whatever a
pair does to it cannot change the verdict on another.
"""

import gc
import json
import marshal
import os
import socket
import sys
import traceback
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import NoReturn

SAME, DIFFERENT, FAILED = b"same", b"different", b"failed"
"""Answers of a child. The last is followed by the name of an exception or of a missing module."""


class _Absent:
    """Replaces the file system in a child, and remembers which module could not be imported."""

    missed = ""

    @classmethod
    def find_spec(cls, name: str, *_: object) -> None:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in sys.modules:  # skips optional extras of sympy
            cls.missed = cls.missed or name


def load(path: str) -> ModuleType:
    module = ModuleType(f"_tinyzero_{os.path.basename(path)}")  # noqa: PTH119
    module.__dict__["__file__"] = path
    with open(path, "rb") as file:  # noqa: PTH123
        exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
    return module


def judging(grader: ModuleType, child: ModuleType) -> Callable[..., NoReturn]:
    """The `run` function that `nursery` calls in a child: no program, two answers as arguments."""

    def run(_: bytes, pair: bytes, num_calls: int, nonce: bytes, mode: int) -> NoReturn:
        first, second = marshal.loads(pair)  # noqa: S302 - from the parent
        os.write(child.RESULT_FD, nonce + _verdict(grader, first, second))
        os._exit(0)

    return run


def _verdict(grader: ModuleType, first: str, second: str) -> bytes:
    try:
        is_same = grader.same(first, second)
    except BaseException as error:  # noqa: BLE001 - hostile text can raise anything
        return FAILED + b" " + type(error).__name__.encode()[:80]
    if _Absent.missed:
        return FAILED + f" to import {_Absent.missed[:80]}".encode()
    return SAME if is_same is True else DIFFERENT


def main() -> Callable[[], NoReturn]:
    """Serve. Returns in children only, with the pair that the child must judge."""
    settings = json.loads(sys.argv[2])
    given_fd = int(sys.argv[1])
    control = socket.socket(fileno=os.dup(given_fd))
    os.close(given_fd)
    zygote = load(settings["zygote"])
    sandbox, nursery, child = map(zygote.load_neighbour, ("sandbox", "nursery", "child"))
    try:
        os.register_at_fork = lambda **_: None  # random would reseed itself in every child
        sys.path.extend(settings["folders"])
        grader = load(settings["grader"])
        grader.warm_up()
        for name in zygote.FORGOTTEN:
            os.environ.pop(name, None)
        sys.path.clear()
        sys.path_importer_cache.clear()
        sys.meta_path[:] = [_Absent]
        report = zygote.isolate(settings, control, sandbox, child.MAX_FDS)
        one_pair = SimpleNamespace(
            run=judging(grader, child),
            occupy_result_fd=child.occupy_result_fd,
            report_failure=child.report_failure,
        )
        server = nursery.Nursery(control, settings, one_pair, sandbox)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent has to know
        nursery.report(control, {"error": traceback.format_exc()})
        os._exit(1)
    nursery.report(control, report)
    gc.collect()
    gc.freeze()
    gc.disable()
    return server.serve()  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()()
