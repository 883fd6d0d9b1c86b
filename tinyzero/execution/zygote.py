"""The process that forks a fresh child for every run, watches it and reports what became of it.

Started by file path with an interpreter that sees no packages, so it imports the standard library and its
three neighbours only. It is trusted, and therefore does little: one thread, no parsing of anything a
program or a model wrote, and no copy of one task left in memory when the next child is forked.

    parent -> zygote   RUN header, program, marshalled arguments
    zygote -> parent   ENDED header, the child's bytes as they came; first of all, a report about itself
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from types import ModuleType
from typing import Any, NoReturn

RUN = struct.Struct("<IIIdBB")
"""id, bytes of the program, bytes of the arguments, CPU seconds, calls of f, 1 = probe without seccomp."""
ENDED = struct.Struct("<IIBidd")
"""bytes of the payload, id, reason, wait status, CPU seconds, wall seconds."""
FINISHED, CPU_SPENT, WALL_SPENT, FLOODED, NOT_FORKED = range(5)
"""Reasons."""
REPORT_ID = 0xFFFFFFFF

MAX_PAYLOAD_BYTES = 128 << 10
"""Two results of the largest size, and then some."""
GRACE_S = 0.02
"""Most runs end sooner; only then is a run worth watching while it lasts."""
STARVED_SHARE, MOST_WALL_CAPS = 1 / 8, 4
"""A run that got this share of the wall time as CPU time is starved, not asleep: it gets more wall time."""

# What programs can import: files cannot be opened in a child, so nothing else is there.
PRELOADED = """
    __future__ abc array ast base64 binascii bisect builtins calendar cmath codecs collections
    collections.abc contextlib copy copyreg csv dataclasses datetime decimal difflib enum errno
    fractions functools gc genericpath graphlib hashlib heapq html inspect io itertools json keyword
    locale marshal math numbers operator os pickle posixpath pprint queue random re reprlib secrets
    select signal statistics string stringprep struct sys textwrap threading time timeit token tokenize
    traceback types typing unicodedata uuid warnings weakref zlib _strptime encodings.ascii
    encodings.latin_1 encodings.utf_16 encodings.utf_32 encodings.rot_13 encodings.hex_codec
    encodings.base64_codec encodings.unicode_escape encodings.cp1252
""".split()  # noqa: SIM905
# Tidiness only: the kernel is what stops their use. `resource` has to stay, os.wait4 looks it up.
WITHHELD = ["ctypes", "_ctypes", "fcntl", "_posixsubprocess", "_socket", "socket", "subprocess"]


class Child:
    """A run under way."""

    def __init__(
        self, pid: int, run_id: int, result_fd: int, nonce: bytes, cpu_s: float, wall_s: float
    ) -> None:
        self.pid = pid
        self.run_id = run_id
        self.result_fd = result_fd
        self.nonce = nonce
        self.cpu_s = cpu_s
        self.wall_s = wall_s
        self.started = _now()
        self.next_look = self.started + GRACE_S
        self.reason = FINISHED
        self.buffer: bytearray | None = None
        self.filled = 0


class Zygote:
    """Forks at most `slots` children at a time, and takes a task only when one is free."""

    def __init__(
        self, control: socket.socket, settings: dict[str, Any], child: ModuleType, sandbox: ModuleType
    ) -> None:
        self.control = control
        self.slots = settings["slots"]
        self.wall_factor = settings["wall_factor"]
        self.child = child
        self.sandbox = sandbox
        self.filter = sandbox.prepared_filter()
        self.children: dict[int, Child] = {}  # by process id
        self.watched: dict[int, Child] = {}  # by result descriptor
        self.pid = os.getpid()
        self.inbox = bytearray(1 << 16)
        self.outbox = bytearray(MAX_PAYLOAD_BYTES)
        self.poller = select.poll()
        self.poller.register(control, select.POLLIN)
        self.wakeup = self._wake_on_child_exit()

    def _wake_on_child_exit(self) -> int:
        wakeup, signalled = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(signalled, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        self.poller.register(wakeup, select.POLLIN)
        return wakeup

    def serve(self) -> NoReturn:
        """Until the parent hangs up."""
        while True:
            for fd, event in self.poller.poll(self._patience_ms()):
                if fd == self.wakeup:
                    self._reap()
                elif fd == self.control.fileno():
                    self._take_task() if event == select.POLLIN else self._leave()
                elif fd in self.watched:
                    self._read_result(self.watched[fd])
            self._look_at_the_late()

    def _patience_ms(self) -> float | None:
        if not self.children:
            return None
        soonest = min(child.next_look for child in self.children.values())
        return 1000 * min(60.0, max(0.0, soonest - _now())) + 0.1

    def _take_task(self) -> None:
        self._receive(RUN.size)
        run_id, program_size, arguments_size, cpu_s, num_calls, is_probe = RUN.unpack_from(self.inbox)
        self._receive(program_size + arguments_size)
        result_fd, child_fd = os.pipe()
        nonce = os.urandom(8).hex().encode()
        try:
            pid = os.fork()
        except OSError as error:
            self._send(run_id, NOT_FORKED, 0, 0.0, 0.0, memoryview(str(error).encode()))
            os.close(result_fd)
        else:
            if pid == 0:
                self._become_child(child_fd, program_size, num_calls, nonce, cpu_s, is_probe)
            self.children[pid] = Child(pid, run_id, result_fd, nonce, cpu_s, cpu_s * self.wall_factor)
        os.close(child_fd)
        _wipe(self.inbox, program_size + arguments_size)
        if len(self.children) >= self.slots:
            self.poller.modify(self.control, 0)

    def _receive(self, size: int) -> None:
        """Fill the first `size` bytes of the inbox; if the parent is gone, leave with all children."""
        if size > len(self.inbox):
            self.inbox = bytearray(size)
        view, got = memoryview(self.inbox), 0
        while got < size:
            received = self.control.recv_into(view[got:size])
            if not received:
                self._leave()
            got += received
        view.release()

    def _leave(self) -> NoReturn:
        for pid in self.children:
            _kill(pid)
        os._exit(0)

    def _become_child(
        self, result_fd: int, program_size: int, num_calls: int, nonce: bytes, cpu_s: float, is_probe: int
    ) -> NoReturn:
        def confine() -> None:
            self.child.occupy_result_fd(result_fd)
            self.sandbox.limit_child(int(cpu_s) + 2)
            self.sandbox.die_with_parent(self.pid)
            gc.enable()
            if self.filter is None:
                os.setsid()  # so that what it starts can be killed with it
            elif not is_probe:
                self.sandbox.install_filter(self.filter)

        try:
            program = bytes(self.inbox[:program_size])
            self.child.run(program, memoryview(self.inbox)[program_size:], num_calls, nonce, confine)
        finally:
            os._exit(4)

    def _read_result(self, child: Child) -> None:
        """Take what is in the pipe, without waiting."""
        space = memoryview(child.buffer or self.outbox)
        while child.filled < MAX_PAYLOAD_BYTES:
            try:
                got = os.readv(child.result_fd, [space[child.filled :]])
            except BlockingIOError:
                return
            if not got:
                self._unwatch(child)
                return
            child.filled += got
        self._stop(child, FLOODED)

    def _watch(self, child: Child) -> None:
        if child.buffer is None:
            child.buffer = bytearray(MAX_PAYLOAD_BYTES)
            os.set_blocking(child.result_fd, False)
            self.poller.register(child.result_fd, select.POLLIN)
            self.watched[child.result_fd] = child

    def _unwatch(self, child: Child) -> None:
        if self.watched.pop(child.result_fd, None):
            self.poller.unregister(child.result_fd)

    def _look_at_the_late(self) -> None:
        now = _now()
        for child in list(self.children.values()):
            if child.next_look <= now:
                self._watch(child)
                self._judge_time(child, now)

    def _judge_time(self, child: Child, now: float) -> None:
        """Stop the child if its CPU time is spent, or if it waits for something else than a CPU."""
        wall_s = now - child.started
        cpu_s = _cpu_time(child.pid)
        if cpu_s >= child.cpu_s:
            self._stop(child, CPU_SPENT)
        elif wall_s >= child.wall_s * MOST_WALL_CAPS or (
            wall_s >= child.wall_s and cpu_s < wall_s * STARVED_SHARE
        ):
            self._stop(child, WALL_SPENT)
        else:
            wall_left_s = child.wall_s - wall_s if wall_s < child.wall_s else child.wall_s
            child.next_look = now + max(0.001, min(child.cpu_s - cpu_s, wall_left_s))

    def _stop(self, child: Child, reason: int) -> None:
        if child.reason == FINISHED:
            child.reason = reason
            child.next_look = float("inf")
            _kill(child.pid)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wakeup, 4096)
        while self.children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                self._finish(child, status, usage.ru_utime + usage.ru_stime)

    def _finish(self, child: Child, status: int, cpu_s: float) -> None:
        wall_s = _now() - child.started
        if self.filter is None:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
        if child.buffer is None:
            child.buffer = self.outbox
        if child.filled < MAX_PAYLOAD_BYTES:
            os.set_blocking(child.result_fd, False)
            self._read_result(child)
        self._unwatch(child)
        os.close(child.result_fd)
        self.poller.modify(self.control, select.POLLIN)
        answer = memoryview(child.buffer)[: child.filled]
        if status == 0:
            opening = len(child.nonce)
            answer = answer[opening:] if answer[:opening] == child.nonce else answer[:0]
        self._send(child.run_id, child.reason, status, cpu_s, wall_s, answer)
        _wipe(child.buffer, child.filled)

    def _send(
        self, run_id: int, reason: int, status: int, cpu_s: float, wall_s: float, answer: memoryview
    ) -> None:
        header = ENDED.pack(len(answer), run_id, reason, status, cpu_s, wall_s)
        try:
            sent = self.control.sendmsg([header, answer])
            if sent < len(header) + len(answer):
                self.control.sendall((header + bytes(answer))[sent:])
        except OSError:
            self._leave()


def _wipe(buffer: bytearray, size: int) -> None:
    """Leave nothing of one task in the memory that the next child inherits."""
    buffer[:size] = bytes(size)


_now = time.monotonic  # before the clock is shifted


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _cpu_time(pid: int) -> float:
    """CPU seconds of another process, to the nanosecond; 0 where only Linux could tell."""
    per_process_scheduler_clock = (~pid << 3) | 2  # CPUCLOCK_SCHED, as glibc's clock_getcpuclockid makes it
    try:
        return _clock_gettime(per_process_scheduler_clock)
    except OSError:
        return 0.0


_clock_gettime = time.clock_gettime


def preload(settings: dict[str, Any]) -> ModuleType:
    """Import what programs may import, fix the seeds, shift the clock; returns the child's module."""
    os.register_at_fork = lambda **_: None  # random would reseed itself in every child: 150 page faults
    for name in PRELOADED:
        __import__(name)
    clock = load_neighbour("clock")
    clock.install(settings["clock_offset_s"])
    sys.modules["random"].seed(settings["seed"])
    child = load_neighbour("child")
    for name in WITHHELD:
        sys.modules.pop(name, None)
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.argv = [""]
    return child


def load_neighbour(name: str) -> ModuleType:
    """A module beside this file, with builtins of its own that no program can replace."""
    path = f"{os.path.dirname(os.path.abspath(__file__))}/{name}.py"  # noqa: PTH100, PTH120
    module = ModuleType(f"_tinyzero_{name}")
    module.__dict__["__builtins__"] = dict(vars(sys.modules["builtins"]))
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib is one more module to inherit
        exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
    return module


def isolate(settings: dict[str, Any], control: socket.socket, sandbox: ModuleType) -> dict[str, Any]:
    """What is done once for all children, in the only order that works; returns what was achieved."""
    in_namespaces = sandbox.enter_namespaces()
    if in_namespaces:
        _continue_as_first_process(settings["parent_pid"], control, sandbox)
    sandbox.drop_privileges()
    sandbox.refuse_new_privileges()
    sandbox.die_with_parent(0 if in_namespaces else settings["parent_pid"])
    sandbox.limit_family(settings["memory_mib"], MAX_FDS)
    return {
        "landlock_abi": sandbox.forbid_files(),
        "has_filter": sandbox.prepared_filter() is not None,
        "has_namespaces": in_namespaces,
        "uid": os.getuid(),
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


def main() -> NoReturn:
    settings = json.loads(sys.argv[2])
    control = socket.socket(
        fileno=os.dup(int(sys.argv[1]))
    )  # now it is among the lowest, which a child closes
    os.close(int(sys.argv[1]))
    try:
        sandbox = load_neighbour("sandbox")
        child = preload(settings)
        report = isolate(settings, control, sandbox)
        zygote = Zygote(control, settings, child, sandbox)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent has to know
        report = {"error": traceback.format_exc()}
        zygote = None
    payload = json.dumps(report).encode()
    control.sendall(ENDED.pack(len(payload), REPORT_ID, 0, 0, 0.0, 0.0) + payload)
    if zygote is None:
        os._exit(1)
    gc.collect()
    gc.freeze()
    gc.disable()
    zygote.serve()


MAX_FDS = 256

if __name__ == "__main__":
    main()
