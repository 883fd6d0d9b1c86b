# ruff: noqa: E501, S108, W291
"""Programs that attack the executor, and honest ones that are easy to get wrong. Data for `doctor --attack`.

Every item: name, kind ("attack" or "benign"), code (defines f), input (source of f's positional arguments),
expect (the outcome on Linux with seccomp and Landlock), also (other acceptable outcomes), value (source of the
honest result, where there is one), canary (a path that must not exist afterwards), why. An "ok" on an attack
means that it is harmless, and that the value, if given, is the honest one.
"""

from typing import Any

ITEMS: list[dict[str, Any]] = [
    {
        "name": "loop_while",
        "kind": "attack",
        "code": """\
def f(x):
    while True:
        x ^= 1""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "plain infinite loop",
    },
    {
        "name": "loop_toplevel",
        "kind": "attack",
        "code": """\
while True: pass
def f(x): return x""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "loops before f exists",
    },
    {
        "name": "loop_catch_all",
        "kind": "attack",
        "code": """\
def f(x):
    while True:
        try:
            while True: x += 1
        except BaseException:
            continue""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "swallows KeyboardInterrupt/SystemExit/any async exception",
    },
    {
        "name": "loop_finally",
        "kind": "attack",
        "code": """\
def f(x):
    def g():
        try:
            while True: pass
        finally:
            g()
    g()""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "finally re-enters the loop",
    },
    {
        "name": "loop_in_eq",
        "kind": "attack",
        "code": """\
class E:
    def __eq__(self, o):
        while True: pass
    __hash__ = None
def f(x): return E()""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "__eq__ never returns if the harness compares",
    },
    {
        "name": "loop_in_del",
        "kind": "attack",
        "code": """\
class D:
    def __del__(self):
        while True: pass
keep = D()
def f(x):
    global keep
    keep = None
    return x""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "finaliser hangs during teardown; exit must not run finalisers, or the wall limit must hold",
    },
    {
        "name": "pow_huge",
        "kind": "attack",
        "code": "def f(x): return 10 ** (10 ** 8)",
        "input": "1",
        "expect": "timeout",
        "also": ["output_too_large", "oom"],
        "value": None,
        "canary": None,
        "why": "one C-level bignum operation (CPython polls signals in multiplication but not in every long C call)",
    },
    {
        "name": "str_of_bigint",
        "kind": "attack",
        "code": "def f(x): return len(str(1 << 40000))",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "int->str conversion limit (4300 digits) must not be raised by us",
    },
    {
        "name": "str_of_bigint_unlimited",
        "kind": "attack",
        "code": """\
import sys
def f(x):
    sys.set_int_max_str_digits(0)
    return len(str(3 ** 9_000_000))""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "turns the digit limit off, then quadratic conversion in C",
    },
    {
        "name": "regex_nested_quant",
        "kind": "attack",
        "code": 'import re\ndef f(x): return re.sub(r"(\\w*\\w*)*\\.", "", "w" * 40 + "!")',
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "second shape of backtracking",
    },
    {
        "name": "sum_range_c",
        "kind": "attack",
        "code": "def f(x): return sum(range(10 ** 11))",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "C loop over a lazy range",
    },
    {
        "name": "select_forever",
        "kind": "attack",
        "code": """\
import select
def f(x):
    select.select([], [], [])
    return x""",
        "input": "1",
        "expect": "timeout",
        "also": ["banned", "exception"],
        "value": None,
        "canary": None,
        "why": "blocks in a syscall",
    },
    {
        "name": "ignore_signals",
        "kind": "attack",
        "code": """\
import signal
def f(x):
    for s in range(1, 65):
        try: signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True: pass""",
        "input": "1",
        "expect": "timeout",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "ignores every catchable signal, then spins",
    },
    {
        "name": "block_signals",
        "kind": "attack",
        "code": """\
import signal
def f(x):
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True: pass""",
        "input": "1",
        "expect": "timeout",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "pthread_sigmask blocks SIGALRM/SIGTERM based timeouts",
    },
    {
        "name": "cancel_alarm",
        "kind": "attack",
        "code": """\
import signal
def f(x):
    signal.alarm(0); signal.setitimer(signal.ITIMER_REAL, 0)
    while True: pass""",
        "input": "1",
        "expect": "timeout",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "cancels in-process alarm timers",
    },
    {
        "name": "eager_list_of_count",
        "kind": "attack",
        "code": """\
import itertools
def f(x): return list(itertools.count())""",
        "input": "1",
        "expect": "timeout",
        "also": ["oom"],
        "value": None,
        "canary": None,
        "why": "list() over an infinite C iterator (may hit memory first)",
    },
    {
        "name": "deque_drain",
        "kind": "attack",
        "code": """\
import itertools, collections
def f(x):
    collections.deque(itertools.repeat(0), maxlen=0)""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "C consumer of an infinite iterator with constant memory",
    },
    {
        "name": "compile_bomb",
        "kind": "attack",
        "code": 'def f(x): return eval("+".join(["(1<<60)**60"] * 40000)) % 5',
        "input": "1",
        "expect": "timeout",
        "also": ["exception", "crashed", "oom", "ok"],
        "value": None,
        "canary": None,
        "why": "constant folding / compile-time work before any line runs",
    },
    {
        "name": "sort_with_slow_key",
        "kind": "attack",
        "code": "def f(x): return sorted(range(20000), key=lambda i: sum(range(i)))[0]",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "quadratic work hidden in key",
    },
    {
        "name": "mem_list",
        "kind": "attack",
        "code": "def f(x): return len([0] * (10 ** 10))",
        "input": "1",
        "expect": "oom",
        "also": [],
        "value": None,
        "canary": None,
        "why": "one big allocation",
    },
    {
        "name": "mem_str_double",
        "kind": "attack",
        "code": """\
def f(x):
    s = "ab"
    while True: s += s""",
        "input": "1",
        "expect": "oom",
        "also": ["timeout"],
        "value": None,
        "canary": None,
        "why": "doubling string; where fresh pages are slow its CPU time is over first",
    },
    {
        "name": "mem_dict_growth",
        "kind": "attack",
        "code": """\
def f(x):
    d = {}
    i = 0
    while True:
        d[i] = [i] * 50
        i += 1""",
        "input": "1",
        "expect": "oom",
        "also": ["timeout", "crashed"],
        "value": None,
        "canary": None,
        "why": "many small objects",
    },
    {
        "name": "mem_mmap",
        "kind": "attack",
        "code": """\
import mmap
def f(x):
    m = [mmap.mmap(-1, 1 << 30) for _ in range(64)]
    return len(m)""",
        "input": "1",
        "expect": "oom",
        "also": ["exception", "banned"],
        "value": None,
        "canary": None,
        "why": "anonymous mmap outside the Python allocator",
    },
    {
        "name": "mem_bytes_mult",
        "kind": "attack",
        "code": 'def f(x): return len(b"x" * (1 << 40))',
        "input": "1",
        "expect": "oom",
        "also": [],
        "value": None,
        "canary": None,
        "why": "bytes repetition overflow/size",
    },
    {
        "name": "mem_format_width",
        "kind": "attack",
        "code": 'def f(x): return len(format(x, "0>9999999999"))',
        "input": "1",
        "expect": "oom",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "format width makes a giant string",
    },
    {
        "name": "recursion_plain",
        "kind": "attack",
        "code": "def f(x): return f(x + 1)",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "RecursionError",
    },
    {
        "name": "recursion_c_stack",
        "kind": "attack",
        "code": """\
import sys
def f(x):
    sys.setrecursionlimit(10 ** 8)
    a, b = [], []
    for _ in range(3_000_000): a, b = [a], [b]
    return a == b""",
        "input": "1",
        "expect": "crashed",
        "also": ["oom", "exception", "timeout"],
        "value": None,
        "canary": None,
        "why": "C recursion through comparison of nested lists with the limit raised",
    },
    {
        "name": "recursion_deep_value",
        "kind": "attack",
        "code": """\
def f(x):
    a = 0
    for _ in range(5000): a = [a]
    return a""",
        "input": "1",
        "expect": "output_too_large",
        "also": ["bad_type", "crashed"],
        "value": None,
        "canary": None,
        "why": "return value nested deeper than any parser wants",
    },
    {
        "name": "recursion_self_ref",
        "kind": "attack",
        "code": """\
def f(x):
    a = [x]
    a.append(a)
    return a""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "value contains itself",
    },
    {
        "name": "shared_ref_blowup",
        "kind": "attack",
        "code": """\
def f(x):
    a = [0]
    for _ in range(40): a = [a, a]
    return a""",
        "input": "1",
        "expect": "output_too_large",
        "also": [],
        "value": None,
        "canary": None,
        "why": "40-level shared DAG = 2**40 nodes when serialised as a tree",
    },
    {
        "name": "fork_bomb",
        "kind": "attack",
        "code": """\
import os
def f(x):
    while True: os.fork()""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "classic",
    },
    {
        "name": "fork_orphan",
        "kind": "attack",
        "code": """\
import os, time
def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(600)
        os._exit(0)
    return x""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "child double-forks and outlives the task",
    },
    {
        "name": "thread_daemon",
        "kind": "attack",
        "code": """\
import threading
def f(x):
    def g():
        while True: pass
    threading.Thread(target=g, daemon=True).start()
    return x""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "daemon thread keeps running",
    },
    {
        "name": "multiprocessing",
        "kind": "attack",
        "code": """\
import multiprocessing
def f(x):
    p = multiprocessing.Process(target=print)
    p.start(); p.join()
    return x""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "starts a helper process",
    },
    {
        "name": "subprocess_run",
        "kind": "attack",
        "code": """\
import subprocess
def f(x): return subprocess.run("id", shell=True, capture_output=True).stdout.decode()""",
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "spawns a shell",
    },
    {
        "name": "os_system",
        "kind": "attack",
        "code": """\
import os
def f(x): return os.system("touch /tmp/tz_canary_system")""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": "/tmp/tz_canary_system",
        "why": "system(3)",
    },
    {
        "name": "exec_replace",
        "kind": "attack",
        "code": """\
import os
def f(x): os.execv("/bin/sh", ["sh", "-c", "echo hi >&3"])""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "replaces the process image; result pipe inherited by the new image",
    },
    {
        "name": "posix_spawn",
        "kind": "attack",
        "code": """\
import os
def f(x): return os.posix_spawn("/bin/true", ["true"], {})""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "posix_spawn uses clone(CLONE_VFORK)",
    },
    {
        "name": "kill_self_sigkill",
        "kind": "attack",
        "code": """\
import os
def f(x): os.kill(os.getpid(), 9)""",
        "input": "1",
        "expect": "banned",
        "also": ["crashed", "exception"],
        "value": None,
        "canary": None,
        "why": "dies by SIGKILL to look like an OOM kill",
    },
    {
        "name": "stop_self",
        "kind": "attack",
        "code": """\
import os, signal
def f(x):
    os.kill(os.getpid(), signal.SIGSTOP)
    return x""",
        "input": "1",
        "expect": "banned",
        "also": ["timeout", "exception"],
        "value": None,
        "canary": None,
        "why": "SIGSTOP: process neither exits nor burns CPU",
    },
    {
        "name": "setsid_escape",
        "kind": "attack",
        "code": """\
import os
def f(x):
    os.setsid()
    while True: pass""",
        "input": "1",
        "expect": "exception",
        "also": ["timeout", "banned"],
        "value": None,
        "canary": None,
        "why": "leaves the process group so killpg misses it",
    },
    {
        "name": "ptrace_parent",
        "kind": "attack",
        "code": """\
import ctypes
def f(x): return ctypes.CDLL(None).ptrace(16, __import__("os").getppid(), 0, 0)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "ptrace attach to the supervisor",
    },
    {
        "name": "raise_system_exit_top",
        "kind": "attack",
        "code": """\
raise SystemExit(0)
def f(x): return x""",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "at import",
    },
    {
        "name": "generator_exit",
        "kind": "attack",
        "code": "def f(x): raise GeneratorExit",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "odd BaseException",
    },
    {
        "name": "raise_non_exception_str",
        "kind": "attack",
        "code": """\
class X(Exception):
    def __str__(self):
        while True: pass
    __repr__ = __str__
def f(x): raise X()""",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "exception whose __str__ loops; the harness must only use the type name",
    },
    {
        "name": "exception_huge_message",
        "kind": "attack",
        "code": 'def f(x): raise ValueError("A" * 100_000_000)',
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "100 MB message must not travel",
    },
    {
        "name": "exception_fake_name",
        "kind": "attack",
        "code": 'def f(x):\n    raise type("TimeoutError\\n[\\"ok\\", 1]", (Exception,), {})()',
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "class name forged to look like another category",
    },
    {
        "name": "null_deref",
        "kind": "attack",
        "code": """\
import ctypes
def f(x): return ctypes.string_at(0)""",
        "input": "1",
        "expect": "crashed",
        "also": ["exception", "banned"],
        "value": None,
        "canary": None,
        "why": "segfault",
    },
    {
        "name": "faulthandler_segv",
        "kind": "attack",
        "code": """\
import faulthandler
def f(x): faulthandler._sigsegv()""",
        "input": "1",
        "expect": "crashed",
        "also": ["exception", "banned"],
        "value": None,
        "canary": None,
        "why": "segfault without ctypes",
    },
    {
        "name": "bytecode_crash",
        "kind": "attack",
        "code": """\
def f(x):
    c = f.__code__.replace(co_code=bytes([100, 255] * 4), co_consts=())
    return type(f)(c, {})()""",
        "input": "1",
        "expect": "crashed",
        "also": ["exception", "timeout", "banned"],
        "value": None,
        "canary": None,
        "why": "hand-made code object with a bad stack",
    },
    {
        "name": "print_gigabytes",
        "kind": "attack",
        "code": """\
def f(x):
    while True: print("A" * 65536)""",
        "input": "1",
        "expect": "timeout",
        "also": [],
        "value": None,
        "canary": None,
        "why": "endless stdout; must not be buffered by the parent",
    },
    {
        "name": "result_big_int",
        "kind": "attack",
        "code": "def f(x): return 1 << 1_000_000",
        "input": "1",
        "expect": "output_too_large",
        "also": [],
        "value": None,
        "canary": None,
        "why": "1 Mbit integer",
    },
    {
        "name": "fake_result_stdout",
        "kind": "attack",
        "code": """\
def f(x):
    print('["ok", ["i", "0x3e7"], ""]')
    print("Done"); print("passed"); print(True)
    return x""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "1",
        "canary": None,
        "why": "prints what a stdout-parsing harness would take for a verdict",
    },
    {
        "name": "forge_fd_scan",
        "kind": "attack",
        "code": """\
import os
def f(x):
    for fd in range(64):
        try: os.write(fd, b'["ok", ["i", "0x3e7"], ""]')
        except OSError: pass
    os._exit(0)""",
        "input": "1",
        "expect": "crashed",
        "also": [],
        "value": None,
        "canary": None,
        "why": "writes a plausible frame to every descriptor, then leaves",
    },
    {
        "name": "close_all_fds",
        "kind": "attack",
        "code": """\
import os
def f(x):
    os.closerange(0, 256)
    return x""",
        "input": "1",
        "expect": "crashed",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "closes the result pipe and keeps going",
    },
    {
        "name": "close_fds_and_spin",
        "kind": "attack",
        "code": """\
import os
def f(x):
    os.closerange(0, 256)
    while True: pass""",
        "input": "1",
        "expect": "timeout",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "EOF on the pipe while the process lives",
    },
    {
        "name": "frame_walk_locals",
        "kind": "attack",
        "code": """\
import sys
def f(x):
    fr, seen = sys._getframe(), []
    while fr:
        seen += [k for k in fr.f_locals if k in ("gold", "expected", "answer", "gold_output")]
        fr = fr.f_back
    return seen""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "[]",
        "canary": None,
        "why": "walks to the harness frame looking for a gold answer; there must be none, and globals must not be reachable for writing verdicts",
    },
    {
        "name": "gc_scan_for_gold",
        "kind": "attack",
        "code": """\
import gc
def f(x):
    m = "".join(["TZ_SECRET", "_MARKER"])
    return any(type(o) is str and m in o for c in gc.get_objects() if type(c) in (list, tuple) for o in c)""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "False",
        "canary": None,
        "why": "looks for other tasks' data in the heap (marker string is put in the next task by the test)",
    },
    {
        "name": "patch_json",
        "kind": "attack",
        "code": """\
import json
json.dumps = lambda *a, **k: '["ok", ["i", "0x3e7"], ""]'
import json.encoder as e
e.JSONEncoder.encode = lambda self, o: "999"
def f(x): return x""",
        "input": "1",
        "expect": "ok",
        "also": ["crashed", "bad_type"],
        "value": "1",
        "canary": None,
        "why": "monkeypatches the encoder the harness uses",
    },
    {
        "name": "patch_os_write",
        "kind": "attack",
        "code": """\
import os
os.write = lambda *a: 0
os._exit = lambda *a: None
def f(x): return x""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "1",
        "canary": None,
        "why": "monkeypatches os.write/_exit",
    },
    {
        "name": "patch_builtins",
        "kind": "attack",
        "code": """\
import builtins
builtins.repr = lambda o: "999"
builtins.len = lambda o: 0
builtins.sorted = lambda *a, **k: []
builtins.type = lambda o: int
builtins.isinstance = lambda *a: True
def f(x): return x""",
        "input": "1",
        "expect": "ok",
        "also": ["bad_type"],
        "value": "1",
        "canary": None,
        "why": "repr/len/type/isinstance/sorted replaced for whoever runs next",
    },
    {
        "name": "eq_always_true",
        "kind": "attack",
        "code": """\
class Any:
    def __eq__(self, o): return True
    def __ne__(self, o): return False
    def __hash__(self): return 0
def f(x): return Any()""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "answer that equals everything",
    },
    {
        "name": "int_subclass",
        "kind": "attack",
        "code": """\
class I(int):
    def __eq__(self, o): return True
    def __repr__(self): return "42"
    __hash__ = int.__hash__
def f(x): return I(7)""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "int subclass with a lying __eq__/__repr__",
    },
    {
        "name": "str_subclass_in_list",
        "kind": "attack",
        "code": """\
class S(str):
    def __eq__(self, o): return True
    __hash__ = str.__hash__
def f(x): return ["a", {"k": S("b")}]""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "subclass hidden one level down",
    },
    {
        "name": "metaclass_name_lie",
        "kind": "attack",
        "code": """\
M = type("int", (), {"__repr__": lambda s: "5"})
def f(x): return M()""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": 'type whose __name__ is "int"',
    },
    {
        "name": "class_attr_lie",
        "kind": "attack",
        "code": """\
class P:
    @property
    def __class__(self): return list
    def __iter__(self): return iter([1])
def f(x): return P()""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "__class__ property pretends to be list",
    },
    {
        "name": "return_generator",
        "kind": "attack",
        "code": "def f(x): return (i for i in range(x))",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "generator result",
    },
    {
        "name": "reduce_gadget",
        "kind": "attack",
        "code": """\
import os
class R:
    def __reduce__(self): return (os.system, ("touch /tmp/tz_canary_pickle",))
def f(x): return R()""",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": "/tmp/tz_canary_pickle",
        "why": "pickle gadget: runs code in whoever unpickles",
    },
    {
        "name": "fill_disk",
        "kind": "attack",
        "code": """\
def f(x):
    with open("/tmp/tz_canary_fill", "wb") as h:
        while True: h.write(b"0" * (1 << 20))""",
        "input": "1",
        "expect": "exception",
        "also": ["banned", "timeout"],
        "value": None,
        "canary": "/tmp/tz_canary_fill",
        "why": "fills /tmp",
    },
    {
        "name": "read_passwd",
        "kind": "attack",
        "code": 'def f(x): return open("/etc/passwd").read()',
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "reads host files",
    },
    {
        "name": "read_home",
        "kind": "attack",
        "code": """\
import os, glob
def f(x): return [open(p).read() for p in glob.glob(os.path.expanduser("~/.ssh/*"))] + os.listdir("/root")""",
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "reads keys",
    },
    {
        "name": "read_own_source",
        "kind": "attack",
        "code": """\
import sys
def f(x): return open(sys.argv[0]).read()""",
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "reads the program/harness file to find data",
    },
    {
        "name": "read_proc_parent",
        "kind": "attack",
        "code": """\
import os
def f(x): return open("/proc/%d/environ" % os.getppid(), "rb").read()""",
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "looks into the supervisor",
    },
    {
        "name": "env_secrets",
        "kind": "attack",
        "code": """\
import os
def f(x): return sorted(k for k in os.environ if "TOKEN" in k or "KEY" in k or "SECRET" in k)""",
        "input": "1",
        "expect": "ok",
        "also": ["exception"],
        "value": "[]",
        "canary": None,
        "why": "environment must be scrubbed: no tokens",
    },
    {
        "name": "unlink_files",
        "kind": "attack",
        "code": """\
import os
def f(x):
    os.unlink("/tmp/tz_victim")""",
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "deletes host files",
    },
    {
        "name": "socket_out",
        "kind": "attack",
        "code": """\
import socket
def f(x): return socket.create_connection(("192.0.2.1", 80), 1)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "network",
    },
    {
        "name": "urllib",
        "kind": "attack",
        "code": """\
import urllib.request
def f(x): return urllib.request.urlopen("http://192.0.2.1/").status""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "high-level network",
    },
    {
        "name": "stdin_read",
        "kind": "attack",
        "code": "def f(x): return input()",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "input() must see EOF at once",
    },
    {
        "name": "ctypes_syscall",
        "kind": "attack",
        "code": """\
import ctypes
def f(x): return ctypes.CDLL(None).syscall(41, 2, 1, 0)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "raw syscall by number",
    },
    {
        "name": "x32_syscall",
        "kind": "attack",
        "code": """\
import ctypes
def f(x): return ctypes.CDLL(None).syscall(0x40000000 | 57)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception", "crashed"],
        "value": None,
        "canary": None,
        "why": "x32 ABI bit to slip past a filter on numbers",
    },
    {
        "name": "io_uring",
        "kind": "attack",
        "code": """\
import ctypes
def f(x): return ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120))""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "io_uring does I/O without the filtered syscalls",
    },
    {
        "name": "raise_rlimits",
        "kind": "attack",
        "code": """\
import resource
def f(x):
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return x""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "lifts limits",
    },
    {
        "name": "module_attr_path",
        "kind": "attack",
        "code": """\
import random
def f(x): return random._os.listdir("/")""",
        "input": "1",
        "expect": "exception",
        "also": ["banned"],
        "value": None,
        "canary": None,
        "why": "random._os style",
    },
    {
        "name": "settrace_watch",
        "kind": "attack",
        "code": """\
import sys
hits = []
def tr(fr, ev, arg):
    hits.append(fr.f_code.co_name)
    return tr
def f(x):
    sys.settrace(tr); sys.setprofile(lambda *a: None)
    return x""",
        "input": "1",
        "expect": "ok",
        "also": ["banned", "exception"],
        "value": "1",
        "canary": None,
        "why": "tracer inspects the harness after f returns",
    },
    {
        "name": "audit_hook",
        "kind": "attack",
        "code": """\
import sys
def hook(ev, a):
    if ev.startswith("os.") or ev == "object.__getattr__": raise RuntimeError(ev)
def f(x):
    sys.addaudithook(hook)
    return x""",
        "input": "1",
        "expect": "ok",
        "also": ["crashed"],
        "value": "1",
        "canary": None,
        "why": "hook that raises for the harness's own calls",
    },
    {
        "name": "builtins_none",
        "kind": "attack",
        "code": """\
def f(x):
    import builtins
    for k in list(vars(builtins)):
        if k not in ("vars", "list"): vars(builtins).pop(k, None)
    return x""",
        "input": "1",
        "expect": "exception",
        "also": ["ok", "crashed"],
        "value": None,
        "canary": None,
        "why": "removes builtins under the harness",
    },
    {
        "name": "nd_set_order",
        "kind": "attack",
        "code": 'def f(x): return list({"alpha", "beta", "gamma", "delta", "eps", "zeta", "eta"})',
        "input": "1",
        "expect": "nondeterministic",
        "also": [],
        "value": None,
        "canary": None,
        "why": "set iteration order of strings",
    },
    {
        "name": "nd_time",
        "kind": "attack",
        "code": """\
import time
def f(x): return time.time()""",
        "input": "1",
        "expect": "nondeterministic",
        "also": [],
        "value": None,
        "canary": None,
        "why": "clock",
    },
    {
        "name": "nd_date_today",
        "kind": "attack",
        "code": """\
import datetime
def f(x): return datetime.date.today().isoformat()""",
        "input": "1",
        "expect": "nondeterministic",
        "also": ["banned", "exception"],
        "value": None,
        "canary": None,
        "why": "stable within a day; needs clock skew or a ban",
    },
    {
        "name": "nd_pid",
        "kind": "attack",
        "code": """\
import os
def f(x): return os.getpid()""",
        "input": "1",
        "expect": "nondeterministic",
        "also": ["banned", "ok"],
        "value": "-1",
        "canary": None,
        "why": "pid; beware: two PID namespaces in lockstep give equal pids; answering -1 to every process in every run is fine too",
    },
    {
        "name": "nd_gc_counts",
        "kind": "attack",
        "code": """\
import gc
def f(x): return len(gc.get_objects()) > 0""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "True",
        "canary": None,
        "why": "interpreter internals; may be equal",
    },
    {
        "name": "nd_global_counter",
        "kind": "attack",
        "code": """\
n = 0
def f(x):
    global n
    n += 1
    return n""",
        "input": "1",
        "expect": "nondeterministic",
        "also": ["ok"],
        "value": "1",
        "canary": None,
        "why": "second call differs from the first in one process; each run calls f once, so a double-call probe is needed",
    },
    {
        "name": "nd_thread_race",
        "kind": "attack",
        "code": """\
import threading
def f(x):
    out = []
    ts = [threading.Thread(target=out.append, args=(i,)) for i in range(8)]
    [t.start() for t in ts]; [t.join() for t in ts]
    return out""",
        "input": "1",
        "expect": "banned",
        "also": ["exception", "nondeterministic", "ok"],
        "value": None,
        "canary": None,
        "why": "race result",
    },
    {
        "name": "nd_hashseed_detect",
        "kind": "attack",
        "code": """\
import sys
def f(x): return hash("a") == 0 or hash("a") & 1023""",
        "input": "1",
        "expect": "nondeterministic",
        "also": [],
        "value": None,
        "canary": None,
        "why": "behaves only under the known seed 0",
    },
    {
        "name": "nd_memory_pressure",
        "kind": "attack",
        "code": 'def f(x):\n    try:\n        b = bytearray(1 << 33); return "big"\n    except MemoryError: return "small"',
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": '"small"',
        "canary": None,
        "why": "answer depends on free memory; the limit must be the same in every run",
    },
    {
        "name": "nd_speed_probe",
        "kind": "attack",
        "code": """\
import time
def f(x):
    t = time.perf_counter(); n = 0
    while time.perf_counter() - t < 0.02: n += 1
    return n""",
        "input": "1",
        "expect": "nondeterministic",
        "also": [],
        "value": None,
        "canary": None,
        "why": "answer depends on how fast the machine is",
    },
    {
        "name": "libc_fork",
        "kind": "attack",
        "code": """\
import sys, gc
def find():
    fr = sys._getframe()
    while fr:
        for v in list(fr.f_globals.values()):
            if type(v).__name__ == "CDLL": return v
        fr = fr.f_back
    for v in gc.get_objects():
        if type(v).__name__ == "CDLL": return v
    raise LookupError("no libc in reach")
def f(x): return find().syscall(57)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "raw fork through a CDLL object found in a caller frame; only the kernel filter can stop it",
    },
    {
        "name": "libc_socket",
        "kind": "attack",
        "code": """\
import sys, gc
def find():
    fr = sys._getframe()
    while fr:
        for v in list(fr.f_globals.values()):
            if type(v).__name__ == "CDLL": return v
        fr = fr.f_back
    for v in gc.get_objects():
        if type(v).__name__ == "CDLL": return v
    raise LookupError("no libc in reach")
def f(x): return find().syscall(41, 2, 1, 0)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "raw socket",
    },
    {
        "name": "libc_io_uring",
        "kind": "attack",
        "code": 'import sys, gc\ndef find():\n    fr = sys._getframe()\n    while fr:\n        for v in list(fr.f_globals.values()):\n            if type(v).__name__ == "CDLL": return v\n        fr = fr.f_back\n    for v in gc.get_objects():\n        if type(v).__name__ == "CDLL": return v\n    raise LookupError("no libc in reach")\ndef f(x): return find().syscall(425, 8, b"\\0" * 120)',
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "io_uring_setup",
    },
    {
        "name": "libc_prctl_undo",
        "kind": "attack",
        "code": """\
import sys, gc
def find():
    fr = sys._getframe()
    while fr:
        for v in list(fr.f_globals.values()):
            if type(v).__name__ == "CDLL": return v
        fr = fr.f_back
    for v in gc.get_objects():
        if type(v).__name__ == "CDLL": return v
    raise LookupError("no libc in reach")
def f(x): return find().syscall(157, 1, 0, 0, 0, 0)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "asks to clear PDEATHSIG / no_new_privs",
    },
    {
        "name": "libc_vm_readv",
        "kind": "attack",
        "code": """\
import sys, gc
def find():
    fr = sys._getframe()
    while fr:
        for v in list(fr.f_globals.values()):
            if type(v).__name__ == "CDLL": return v
        fr = fr.f_back
    for v in gc.get_objects():
        if type(v).__name__ == "CDLL": return v
    raise LookupError("no libc in reach")
def f(x): return find().syscall(310, 1, 0, 0, 0, 0, 0)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "process_vm_readv of the supervisor",
    },
    {
        "name": "libc_pidfd",
        "kind": "attack",
        "code": """\
import sys, gc
def find():
    fr = sys._getframe()
    while fr:
        for v in list(fr.f_globals.values()):
            if type(v).__name__ == "CDLL": return v
        fr = fr.f_back
    for v in gc.get_objects():
        if type(v).__name__ == "CDLL": return v
    raise LookupError("no libc in reach")
def f(x): return find().syscall(434, 1, 0)""",
        "input": "1",
        "expect": "banned",
        "also": ["exception"],
        "value": None,
        "canary": None,
        "why": "pidfd_open + pidfd_getfd to steal descriptors",
    },
    {
        "name": "libc_int80",
        "kind": "attack",
        "code": 'import sys, gc\ndef find():\n    fr = sys._getframe()\n    while fr:\n        for v in list(fr.f_globals.values()):\n            if type(v).__name__ == "CDLL": return v\n        fr = fr.f_back\n    for v in gc.get_objects():\n        if type(v).__name__ == "CDLL": return v\n    raise LookupError("no libc in reach")\ndef f(x):\n    g = type(find()).__init__.__globals__\n    p = g["PyDLL"](None) if False else find()\n    p.mmap.restype = g["c_void_p"]; p.mmap.argtypes = [g["c_void_p"], g["c_size_t"]] + [g["c_int"]] * 3 + [g["c_long"]]\n    a = p.mmap(None, 4096, 7, 0x22, -1, 0)\n    g["memmove"](a, b"\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\xc3", 8)\n    return g["CFUNCTYPE"](g["c_int"])(a)()',
        "input": "1",
        "expect": "banned",
        "also": ["exception", "crashed"],
        "value": None,
        "canary": None,
        "why": "32-bit system call gate from a writable+executable page: another numbering, so the filter must check the architecture (x86_64 only)",
    },
    {
        "name": "forge_with_nonce",
        "kind": "attack",
        "code": """\
import sys, os
def f(x):
    fr = sys._getframe(1)
    n = fr.f_locals.get("nonce", "")
    os.write(3, (n + '["ok",["i","0x3e7"],""]').encode())
    os._exit(0)""",
        "input": "1",
        "expect": "ok",
        "also": ["crashed"],
        "value": "999",
        "canary": None,
        "why": "reads the nonce in the harness frame and forges its own frame: allowed to succeed, because it is the same as returning that value; must not leak anything else",
    },
    {
        "name": "forge_bad_status",
        "kind": "attack",
        "code": """\
import sys, os
def f(x):
    n = sys._getframe(1).f_locals.get("nonce", "")
    os.write(3, (n + '["setup_failed",null,""]').encode())
    os._exit(0)""",
        "input": "1",
        "expect": "crashed",
        "also": [],
        "value": None,
        "canary": None,
        "why": "correct nonce, status outside the grammar (an infrastructure status must not be forgeable)",
    },
    {
        "name": "forge_deep_json",
        "kind": "attack",
        "code": """\
import sys, os
def f(x):
    n = sys._getframe(1).f_locals.get("nonce", "")
    os.write(3, (n + '["ok",' + '[' * 30000 + ']' * 30000 + ',""]').encode())
    os._exit(0)""",
        "input": "1",
        "expect": "crashed",
        "also": ["output_too_large"],
        "value": None,
        "canary": None,
        "why": "30,000 nested arrays aimed at the parent parser",
    },
    {
        "name": "syntax_error",
        "kind": "attack",
        "code": "def f(x) return x",
        "input": "1",
        "expect": "syntax_error",
        "also": [],
        "value": None,
        "canary": None,
        "why": "not Python",
    },
    {
        "name": "bad_encoding_cookie",
        "kind": "attack",
        "code": """\
# -*- coding: rot13 -*-
def f(x): return x""",
        "input": "1",
        "expect": "ok",
        "also": ["syntax_error"],
        "value": "1",
        "canary": None,
        "why": "encoding cookie in a str source is ignored",
    },
    {
        "name": "wrong_arity",
        "kind": "attack",
        "code": "def f(a, b, c): return a",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "TypeError",
    },
    {
        "name": "input_is_code",
        "kind": "attack",
        "code": "def f(x): return x",
        "input": '__import__("os").system("touch /tmp/tz_canary_input")',
        "expect": "bad_input",
        "also": [],
        "value": None,
        "canary": "/tmp/tz_canary_input",
        "why": "the input text is an expression with effects, not a literal",
    },
    {
        "name": "input_injection",
        "kind": "attack",
        "code": "def f(x): return x",
        "input": '1) or __import__("os").system("touch /tmp/tz_canary_inj"',
        "expect": "bad_input",
        "also": [],
        "value": None,
        "canary": "/tmp/tz_canary_inj",
        "why": "closes the call and appends code",
    },
    {
        "name": "input_huge_nest",
        "kind": "attack",
        "code": "def f(x): return x",
        "input": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "expect": "bad_input",
        "also": [],
        "value": None,
        "canary": None,
        "why": "deep literal crashes the literal parser",
    },
    {
        "name": "input_pow_literal",
        "kind": "attack",
        "code": "def f(x): return x",
        "input": "9**9**9",
        "expect": "bad_input",
        "also": [],
        "value": None,
        "canary": None,
        "why": "literal_eval takes only + and - of numbers",
    },
    {
        "name": "async_f",
        "kind": "attack",
        "code": "async def f(x): return x",
        "input": "1",
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "returns a coroutine",
    },
    {
        "name": "star_import_future",
        "kind": "attack",
        "code": """\
from __future__ import annotations
def f(x: Undefined): return x""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "1",
        "canary": None,
        "why": "__future__ flags must not leak between harness and task",
    },
    {
        "name": "fib_rec",
        "kind": "benign",
        "code": "def f(n): return n if n < 2 else f(n-1) + f(n-2)",
        "input": "15",
        "expect": "ok",
        "also": [],
        "value": "610",
        "canary": None,
        "why": "plain recursion",
    },
    {
        "name": "recursion_900",
        "kind": "benign",
        "code": "def f(n): return 0 if n == 0 else 1 + f(n - 1)",
        "input": "900",
        "expect": "ok",
        "also": [],
        "value": "900",
        "canary": None,
        "why": "depth close to the default limit",
    },
    {
        "name": "mutual",
        "kind": "benign",
        "code": """\
def ev(n): return n == 0 or od(n-1)
def od(n): return n != 0 and ev(n-1)
def f(n): return ev(n), od(n)""",
        "input": "10",
        "expect": "ok",
        "also": [],
        "value": "(True, False)",
        "canary": None,
        "why": "mutual recursion",
    },
    {
        "name": "lru_cache",
        "kind": "benign",
        "code": """\
from functools import lru_cache
@lru_cache(None)
def g(n): return n if n < 2 else g(n-1) + g(n-2)
def f(n): return g(n)""",
        "input": "90",
        "expect": "ok",
        "also": [],
        "value": "2880067194370816120",
        "canary": None,
        "why": "functools cache",
    },
    {
        "name": "generator",
        "kind": "benign",
        "code": """\
def f(n):
    def g():
        a = 1
        while True:
            yield a
            a *= 3
    it = g()
    return [next(it) for _ in range(n)]""",
        "input": "5",
        "expect": "ok",
        "also": [],
        "value": "[1, 3, 9, 27, 81]",
        "canary": None,
        "why": "generator consumed",
    },
    {
        "name": "class_inherit",
        "kind": "benign",
        "code": """\
class A:
    def v(self): return 1
class B(A):
    def v(self): return super().v() + 10
def f(n): return [c().v() * n for c in (A, B)]""",
        "input": "3",
        "expect": "ok",
        "also": [],
        "value": "[3, 33]",
        "canary": None,
        "why": "classes and super",
    },
    {
        "name": "dataclass",
        "kind": "benign",
        "code": """\
from dataclasses import dataclass, astuple
@dataclass(order=True)
class P:
    a: int
    b: str = "q"
def f(n): return astuple(max(P(n), P(n - 1, "z")))""",
        "input": "4",
        "expect": "ok",
        "also": [],
        "value": '(4, "q")',
        "canary": None,
        "why": "dataclasses reads sys.modules of the task module",
    },
    {
        "name": "late_binding",
        "kind": "benign",
        "code": "def f(n): return [g() for g in [lambda: i for i in range(n)]]",
        "input": "3",
        "expect": "ok",
        "also": [],
        "value": "[2, 2, 2]",
        "canary": None,
        "why": "closure late binding",
    },
    {
        "name": "mutable_default",
        "kind": "benign",
        "code": """\
def f(x):
    def g(v, acc=[]):
        acc.append(v)
        return list(acc)
    return [g(i) for i in range(x)]""",
        "input": "3",
        "expect": "ok",
        "also": [],
        "value": "[[0], [0, 1], [0, 1, 2]]",
        "canary": None,
        "why": "default argument state",
    },
    {
        "name": "float_sum",
        "kind": "benign",
        "code": "def f(xs): return sum(xs)",
        "input": "[0.1, 0.2]",
        "expect": "ok",
        "also": [],
        "value": "0.30000000000000004",
        "canary": None,
        "why": "binary floats",
    },
    {
        "name": "nan_value",
        "kind": "benign",
        "code": 'def f(x): return [float("nan"), x]',
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": '[float("nan"), 1]',
        "canary": None,
        "why": "nan equals itself here",
    },
    {
        "name": "bool_vs_int",
        "kind": "benign",
        "code": "def f(x): return [x > 0, int(x > 0)]",
        "input": "5",
        "expect": "ok",
        "also": [],
        "value": "[True, 1]",
        "canary": None,
        "why": "True is not 1",
    },
    {
        "name": "int_vs_float",
        "kind": "benign",
        "code": "def f(x): return [x / 1, x // 1]",
        "input": "4",
        "expect": "ok",
        "also": [],
        "value": "[4.0, 4]",
        "canary": None,
        "why": "1.0 is not 1",
    },
    {
        "name": "bigint",
        "kind": "benign",
        "code": "def f(n): return 7 ** n",
        "input": "118",
        "expect": "ok",
        "also": [],
        "value": "7 ** 118",
        "canary": None,
        "why": "100-digit integer",
    },
    {
        "name": "complex",
        "kind": "benign",
        "code": "def f(a): return (a + 2j) * (1 - 1j)",
        "input": "3",
        "expect": "ok",
        "also": [],
        "value": "(5-1j)",
        "canary": None,
        "why": "complex number",
    },
    {
        "name": "unicode",
        "kind": "benign",
        "code": "def f(s): return [s[::-1], len(s), s.casefold()]",
        "input": '"Straße é 👩\u200d🚀"',
        "expect": "ok",
        "also": [],
        "value": '["Straße é 👩\u200d🚀"[::-1], len("Straße é 👩\u200d🚀"), "Straße é 👩\u200d🚀".casefold()]',
        "canary": None,
        "why": "combining marks and emoji stay as they are",
    },
    {
        "name": "set_result",
        "kind": "benign",
        "code": "def f(xs): return set(xs)",
        "input": '["b", "a", 3, (1, 2)]',
        "expect": "ok",
        "also": [],
        "value": '{"a", "b", 3, (1, 2)}',
        "canary": None,
        "why": "set of mixed types is equal whatever the order",
    },
    {
        "name": "dict_order",
        "kind": "benign",
        "code": 'def f(x): return {"b": 1, "a": 2}',
        "input": "0",
        "expect": "ok",
        "also": [],
        "value": '{"a": 2, "b": 1}',
        "canary": None,
        "why": "insertion order is part of list(dict), not of dict equality",
    },
    {
        "name": "counter",
        "kind": "benign",
        "code": """\
from collections import Counter
def f(s): return dict(Counter(s).most_common(2))""",
        "input": '"mississippi"',
        "expect": "ok",
        "also": [],
        "value": '{"i": 4, "s": 4}',
        "canary": None,
        "why": "Counter is a dict subclass: programs return dict(...)",
    },
    {
        "name": "counter_raw",
        "kind": "benign",
        "code": """\
from collections import Counter
def f(s): return Counter(s)""",
        "input": '"aab"',
        "expect": "bad_type",
        "also": [],
        "value": None,
        "canary": None,
        "why": "a dict subclass as result: rejected, told apart from a crash",
    },
    {
        "name": "heap",
        "kind": "benign",
        "code": """\
import heapq
def f(xs):
    h = list(xs); heapq.heapify(h)
    return [heapq.heappop(h) for _ in range(len(h))]""",
        "input": "[5, 1, 4]",
        "expect": "ok",
        "also": [],
        "value": "[1, 4, 5]",
        "canary": None,
        "why": "heapq",
    },
    {
        "name": "bisect",
        "kind": "benign",
        "code": """\
import bisect
def f(xs, v): return [bisect.bisect_left(xs, v), bisect.bisect_right(xs, v)]""",
        "input": "[1, 2, 2, 3], 2",
        "expect": "ok",
        "also": [],
        "value": "[1, 3]",
        "canary": None,
        "why": "bisect",
    },
    {
        "name": "math_funcs",
        "kind": "benign",
        "code": """\
import math
def f(n): return [math.gcd(n, 18), math.isqrt(n), math.comb(n, 3), math.floor(-2.5)]""",
        "input": "24",
        "expect": "ok",
        "also": [],
        "value": "[6, 4, 2024, -3]",
        "canary": None,
        "why": "libm",
    },
    {
        "name": "regex",
        "kind": "benign",
        "code": 'import re\ndef f(s): return [m.groupdict() for m in re.finditer(r"(?P<k>\\w+)=(?P<v>\\d+)", s)]',
        "input": '"a=1, bb=22"',
        "expect": "ok",
        "also": [],
        "value": '[{"k": "a", "v": "1"}, {"k": "bb", "v": "22"}]',
        "canary": None,
        "why": "named groups",
    },
    {
        "name": "decimal_fraction",
        "kind": "benign",
        "code": """\
from decimal import Decimal
from fractions import Fraction
def f(a): return [str(Decimal("0.1") * a), str(Fraction(a, 12))]""",
        "input": "9",
        "expect": "ok",
        "also": [],
        "value": '["0.9", "3/4"]',
        "canary": None,
        "why": "exact numbers as strings",
    },
    {
        "name": "exception_as_result",
        "kind": "benign",
        "code": """\
def f(xs):
    out = []
    for x in xs:
        try: out.append(10 // x)
        except ZeroDivisionError as e: out.append(type(e).__name__)
        except TypeError: out.append(None)
    return out""",
        "input": '[5, 0, "a"]',
        "expect": "ok",
        "also": [],
        "value": '[2, "ZeroDivisionError", None]',
        "canary": None,
        "why": "errors as values",
    },
    {
        "name": "custom_exception",
        "kind": "benign",
        "code": """\
class Boom(Exception): pass
def f(x): raise Boom("no")""",
        "input": "1",
        "expect": "exception",
        "also": [],
        "value": None,
        "canary": None,
        "why": "user exception class",
    },
    {
        "name": "seeded_random",
        "kind": "benign",
        "code": """\
import random
def f(n): 
    r = random.Random(7)
    a = [r.randint(0, 99) for _ in range(n)]
    r = random.Random(7)
    return a == [r.randint(0, 99) for _ in range(n)]""",
        "input": "5",
        "expect": "ok",
        "also": [],
        "value": "True",
        "canary": None,
        "why": "random with an own seed is deterministic",
    },
    {
        "name": "bytes_ops",
        "kind": "benign",
        "code": 'def f(s): return s.encode("utf-8")[::-1]',
        "input": '"añ"',
        "expect": "ok",
        "also": [],
        "value": 'b"\\xb1\\xc3a"',
        "canary": None,
        "why": "bytes result",
    },
    {
        "name": "big_output_ok",
        "kind": "benign",
        "code": "def f(n): return [i * i for i in range(n)]",
        "input": "1500",
        "expect": "ok",
        "also": [],
        "value": "[i * i for i in range(1500)]",
        "canary": None,
        "why": "1,500 items fit",
    },
    {
        "name": "prints_too",
        "kind": "benign",
        "code": """\
def f(x):
    print("debug", x)
    return x * 2""",
        "input": "21",
        "expect": "ok",
        "also": [],
        "value": "42",
        "canary": None,
        "why": "prints are ignored",
    },
    {
        "name": "kwonly_defaults",
        "kind": "benign",
        "code": "def f(a, b=2, *c, d=4): return [a, b, c, d]",
        "input": "1, 5, 6, 7",
        "expect": "ok",
        "also": [],
        "value": "[1, 5, (6, 7), 4]",
        "canary": None,
        "why": "default and keyword-only arguments",
    },
    {
        "name": "walrus_match",
        "kind": "benign",
        "code": 'def f(x):\n    match x:\n        case [a, *r] if (n := len(r)) > 1: return ("many", a, n)\n        case {"k": v}: return ("map", v)\n        case _: return "other"',
        "input": "[1, 2, 3]",
        "expect": "ok",
        "also": [],
        "value": '("many", 1, 2)',
        "canary": None,
        "why": "match statement and walrus",
    },
    {
        "name": "matrix",
        "kind": "benign",
        "code": "def f(m): return [list(r) for r in zip(*m)]",
        "input": "[[1, 2], [3, 4]]",
        "expect": "ok",
        "also": [],
        "value": "[[1, 3], [2, 4]]",
        "canary": None,
        "why": "nested comprehension",
    },
    {
        "name": "dp",
        "kind": "benign",
        "code": """\
def f(a, b):
    d = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        p, d[0] = d[0], i
        for j, y in enumerate(b, 1): p, d[j] = d[j], min(d[j] + 1, d[j-1] + 1, p + (x != y))
    return d[-1]""",
        "input": '"kitten", "sitting"',
        "expect": "ok",
        "also": [],
        "value": "3",
        "canary": None,
        "why": "edit distance",
    },
    {
        "name": "shared_refs",
        "kind": "benign",
        "code": """\
def f(x):
    a = [x]
    return [a, a]""",
        "input": "1",
        "expect": "ok",
        "also": [],
        "value": "[[1], [1]]",
        "canary": None,
        "why": "same list twice is a plain value",
    },
    {
        "name": "json_roundtrip",
        "kind": "benign",
        "code": """\
import json
def f(s): return json.loads(json.dumps({"a": json.loads(s)}, sort_keys=True))""",
        "input": '"[1, 2.5, null]"',
        "expect": "ok",
        "also": [],
        "value": '{"a": [1, 2.5, None]}',
        "canary": None,
        "why": "json in the task",
    },
    {
        "name": "typing_hints",
        "kind": "benign",
        "code": """\
from typing import List, Optional
def f(xs: List[Optional[int]]) -> int: return sum(x or 0 for x in xs)""",
        "input": "[1, None, 3]",
        "expect": "ok",
        "also": [],
        "value": "4",
        "canary": None,
        "why": "typing imports",
    },
    {
        "name": "hashlib_ok",
        "kind": "benign",
        "code": """\
import hashlib
def f(s): return hashlib.sha256(s.encode()).hexdigest()[:8]""",
        "input": '"abc"',
        "expect": "ok",
        "also": [],
        "value": '"ba7816bf"',
        "canary": None,
        "why": "hashing is deterministic",
    },
]
