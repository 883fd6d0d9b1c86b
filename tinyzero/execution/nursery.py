"""The loop of a zygote: take a task, fork a child for it, watch the child, report its end.

Standard library only. It is trusted, and therefore does little: one thread, no parsing of anything that a
program or a model wrote, and no copy of one task left in memory when the next child is forked.

    parent -> zygote   RUN header, program, marshalled arguments
    zygote -> parent   ENDED header, the child's bytes as they came; first of all, a report about itself
"""

import _signal  # type: ignore[import-not-found]
import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NoReturn

RUN = struct.Struct("<IIIdBB")
"""id, bytes of the program, bytes of the arguments, CPU seconds, calls of f, mode."""
CALLS, SERIES, SCRIPT, PROBE = range(4)
"""Modes: call f, call f on each of several argument lists, run a script; or call f without seccomp."""
ENDED = struct.Struct("<IIBidd")
"""bytes of the payload, id, reason, wait status, CPU seconds, wall seconds."""
FINISHED, CPU_SPENT, WALL_SPENT, FLOODED, NOT_FORKED = range(5)
"""Reasons."""
_REPORT_ID = 0xFFFFFFFF

_MAX_PAYLOAD_BYTES = 128 << 10
"""More than two results of the largest size."""
_GRACE_S = 0.02
"""Most runs end sooner; only longer runs are watched."""
_STARVED_SHARE, MOST_WALL_CAPS = 1 / 8, 4
"""A run with this share of CPU time in its wall time is starved, not asleep: it gets more wall time."""

_STOPPED_S = 0.5
"""A wake-up that is this late means that the machine, the container or this process was stopped."""


class _Child:
    """A running child."""

    def __init__(self, pid: int, run_id: int, result_fd: int, nonce: bytes, cpu_s: float, wall_s: float):  # noqa: ANN204
        self.pid = pid
        self.run_id = run_id
        self.result_fd = result_fd
        self.nonce = nonce
        self.cpu_s = cpu_s
        self.wall_s = wall_s
        self.started = _now()
        self.next_look = self.started + _GRACE_S
        self.reason = FINISHED
        self.buffer: bytearray | None = None
        self.filled = 0


class Nursery:
    """Forks at most `slots` children at a time, and takes a task only when one is free."""

    def __init__(
        self, control: socket.socket, settings: dict[str, Any], child: ModuleType, sandbox: ModuleType
    ) -> None:
        self.control = control
        self.slots = settings["slots"]
        self.backstop_s = settings["backstop_s"]
        self.wall_factor = settings["wall_factor"]
        self.child = child
        self.sandbox = sandbox
        self.filter = sandbox.prepared_filter()
        self.children: dict[int, _Child] = {}  # by process id
        self.watched: dict[int, _Child] = {}  # by result descriptor
        self.pid = os.getpid()
        self.inbox = bytearray(1 << 16)
        self.outbox = bytearray(_MAX_PAYLOAD_BYTES)
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

    def serve(self) -> Callable[[], NoReturn]:
        """Serve until the parent closes the connection. Returns in children only, with their remaining work.

        A child leaves all frames of this process, and with them all data on other runs: whatever a
        program found there could tell it whether it is being verified or attempted.
        """
        while True:
            for fd, event in self._wait():
                if fd == self.wakeup:
                    self._reap()
                elif fd == self.control.fileno():
                    work = self._take_task() if event == select.POLLIN else self._leave()
                    if work is not None:
                        return work
                elif fd in self.watched:
                    self._read_result(self.watched[fd])
            self._look_at_the_late()

    def _wait(self) -> list[tuple[int, int]]:
        """Wait for events. Time during which this process was stopped is not counted against its children."""
        patience_ms, polled_at = self._patience_ms(), _now()
        events = self.poller.poll(patience_ms)
        overslept_s = _now() - polled_at - (patience_ms or 0.0) / 1000
        for child in self.children.values() if overslept_s >= _STOPPED_S else ():
            child.started += overslept_s
            child.next_look += overslept_s
        return events

    def _patience_ms(self) -> float | None:
        if not self.children:
            return None
        soonest = min(child.next_look for child in self.children.values())
        return 1000 * min(60.0, max(0.0, soonest - _now())) + 0.1

    def _take_task(self) -> Callable[[], NoReturn] | None:
        """Fork a child for the next task. Returns the child's work in the child, None in the zygote."""
        self._receive(RUN.size)
        run_id, program_size, arguments_size, cpu_s, num_calls, mode = RUN.unpack_from(self.inbox)
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
                return self._become_child(child_fd, program_size, arguments_size, num_calls, nonce, mode)
            self.children[pid] = _Child(pid, run_id, result_fd, nonce, cpu_s, cpu_s * self.wall_factor)
        os.close(child_fd)
        _wipe(self.inbox, program_size + arguments_size)
        if len(self.children) >= self.slots:
            self.poller.modify(self.control, 0)
        return None

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
        self, result_fd: int, program_size: int, arguments_size: int, num_calls: int, nonce: bytes, mode: int
    ) -> Callable[[], NoReturn]:
        try:
            for sibling in self.children.values():
                if sibling.buffer is not None:
                    _wipe(sibling.buffer, sibling.filled)  # an answer whose child has not ended yet
            end = program_size + arguments_size
            program, arguments = bytes(self.inbox[:program_size]), bytes(self.inbox[program_size:end])
            _wipe(self.inbox, max(end, RUN.size))  # behind it, it is empty: a wipe costs page faults
            self.control.detach()  # the result pipe will take over its number
            signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # `signal` would make enums of it: page faults
            self.child.occupy_result_fd(result_fd)
            if mode == SCRIPT:
                self.child.occupy_stdin(arguments)
            self._confine(mode)
            return partial(self.child.run, program, arguments, num_calls, nonce, mode)
        except BaseException as error:  # noqa: BLE001
            self.child.report_failure(error)
        os._exit(4)

    def _confine(self, mode: int) -> None:
        self.sandbox.limit_child(self.backstop_s)
        self.sandbox.die_with_parent(self.pid)
        gc.enable()
        if self.filter is None:
            os.setsid()  # so that its descendants can be killed with it
        elif mode != PROBE:
            self.sandbox.install_filter(self.filter)

    def _read_result(self, child: _Child) -> None:
        """Read the content of the pipe without waiting."""
        space = memoryview(child.buffer or self.outbox)
        while child.filled < _MAX_PAYLOAD_BYTES:
            try:
                got = os.readv(child.result_fd, [space[child.filled :]])
            except BlockingIOError:
                return
            if not got:
                self._unwatch(child)
                return
            child.filled += got
        self._stop(child, FLOODED)

    def _watch(self, child: _Child) -> None:
        if child.buffer is None:
            child.buffer = bytearray(_MAX_PAYLOAD_BYTES)
            os.set_blocking(child.result_fd, False)
            self.poller.register(child.result_fd, select.POLLIN)
            self.watched[child.result_fd] = child

    def _unwatch(self, child: _Child) -> None:
        if self.watched.pop(child.result_fd, None):
            self.poller.unregister(child.result_fd)

    def _look_at_the_late(self) -> None:
        now = _now()
        if any(child.next_look <= now for child in self.children.values()):
            self._reap()  # a child that ended during a long send or receive is not late
        for child in list(self.children.values()):
            if child.next_look <= now:
                self._watch(child)
                self._judge_time(child, now)

    def _judge_time(self, child: _Child, now: float) -> None:
        """Stop the child if its CPU time is used up, or if it waits for anything but a CPU."""
        wall_s = now - child.started
        cpu_s = _cpu_time(child.pid)
        if cpu_s >= child.cpu_s:
            self._stop(child, CPU_SPENT)
        elif wall_s >= child.wall_s * MOST_WALL_CAPS or (
            wall_s >= child.wall_s and cpu_s < wall_s * _STARVED_SHARE
        ):
            self._stop(child, WALL_SPENT)
        else:
            wall_left_s = child.wall_s - wall_s if wall_s < child.wall_s else child.wall_s
            child.next_look = now + max(0.001, min(child.cpu_s - cpu_s, wall_left_s))

    def _stop(self, child: _Child, reason: int) -> None:
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

    def _finish(self, child: _Child, status: int, cpu_s: float) -> None:
        wall_s = _now() - child.started
        if self.filter is None:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
        child.buffer = child.buffer or self.outbox
        if child.filled < _MAX_PAYLOAD_BYTES:
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
    """Erase a task's data from the memory that the next child inherits."""
    buffer[:size] = bytes(size)


_now = time.monotonic  # before the clock is shifted


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _cpu_time(pid: int) -> float:
    """CPU seconds of another process, to the nanosecond; 0 on systems other than Linux."""
    per_process_scheduler_clock = (~pid << 3) | 2  # CPUCLOCK_SCHED, as glibc's clock_getcpuclockid makes it
    try:
        return _clock_gettime(per_process_scheduler_clock)
    except OSError:
        return 0.0


_clock_gettime = time.clock_gettime


def report(control: socket.socket, facts: dict[str, Any]) -> None:
    """Tell the parent about the zygote itself, before any run."""
    payload = json.dumps(facts).encode()
    control.sendall(ENDED.pack(len(payload), _REPORT_ID, FINISHED, 0, 0.0, 0.0) + payload)
