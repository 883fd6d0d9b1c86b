"""Confines a process through the kernel: seccomp, Landlock, limits, namespaces, an unprivileged user.

Runs in the zygote and its children, so it imports only the standard library and nothing of
TinyZero. The tier is not decided here: the parent observes it (`selftest`).
"""

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from resource import RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_NPROC, setrlimit

_IS_LINUX = sys.platform == "linux"
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)
if _IS_LINUX:
    _libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]

# prctl(2), unshare(2), capset(2) and seccomp(2), from the kernel's uapi headers.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_CAPABILITY_VERSION_3 = 0x20080522

# System calls that a program needs to compute, print and answer.
_ALLOWED = """
    write read munmap brk madvise mremap rt_sigaction rt_sigprocmask rt_sigreturn clock_gettime
    close fstat lseek exit_group exit getrandom sched_yield gettimeofday getrusage times time
    clock_getres restart_syscall sigaltstack rseq set_robust_list getcwd dup close_range
""".split()  # noqa: SIM905
# Interrupted at once (EINTR): a lone process has nothing to wait for, so a waiting program repeats the
# call and uses CPU time until its deadline or its limit. No program holds a slot without computing.
_WAITING = "poll ppoll select pselect6 nanosleep clock_nanosleep".split()  # noqa: SIM905
# Allowed for waking, interrupted for waiting.
_FUTEX, _FUTEX_WAKE, _FUTEX_PRIVATE = "futex", 1, 128
# Answered with EPERM: opening a file raises an exception but does not kill; process ids are -1 in every run.
_REFUSED = """
    open openat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents64
    ioctl fcntl pread64 getpid gettid getppid getuid geteuid getgid getegid uname sysinfo
    sched_getaffinity
""".split()  # noqa: SIM905
# Allowed except for executable memory. Every call outside these lists kills the process.
_MAPPING = ("mmap", "mprotect")

_X86_64 = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "access": 21, "select": 23, "sched_yield": 24,
    "mremap": 25, "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "exit": 60, "uname": 63,
    "fcntl": 72, "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99,
    "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
    "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64":
    217, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6":
    270, "ppoll": 271, "set_robust_list": 273, "getrandom": 318, "statx": 332, "rseq": 334, "close_range":
    436, "faccessat2": 439,
}  # fmt: skip
_AARCH64 = {
    "getcwd": 17, "dup": 23, "fcntl": 25, "ioctl": 29, "faccessat": 48, "openat": 56, "close": 57,
    "getdents64": 61, "lseek": 62, "read": 63, "write": 64, "pread64": 67, "pselect6": 72, "ppoll": 73,
    "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98,
    "set_robust_list": 99, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep":
    115, "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132,
    "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153, "uname": 160,
    "getrusage": 165, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175,
    "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179, "brk": 214, "munmap": 215, "mremap":
    216, "mmap": 222, "mprotect": 226, "madvise": 233, "getrandom": 278, "statx": 291, "rseq": 293,
    "close_range": 436, "faccessat2": 439,
}  # fmt: skip
# machine -> (AUDIT_ARCH_*, numbers, first number of a second ABI behind the same architecture, or 0)
MACHINES = {"x86_64": (0xC000003E, _X86_64, 0x40000000), "aarch64": (0xC00000B7, _AARCH64, 0)}

# Classic BPF opcodes and the offsets in struct seccomp_data.
_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCH, _AT_SECOND_ARGUMENT, _AT_THIRD_ARGUMENT = 0, 4, 24, 32
_KILL, _EPERM, _EINTR, _ALLOW = 0x80000000, 0x00050001, 0x00050004, 0x7FFF0000
_PROT_EXEC = 4


def seccomp_filter(machine: str) -> bytes:
    """The filter as a classic BPF program, 8 bytes an instruction.

    The number of the call is found by binary search: the kernel tries the filter on every number when a child
    installs it, which takes longer than all else that confines it if the filter is a list.

    Raises:
        KeyError: there is no table for this machine.
    """
    arch, numbers, second_abi = MACHINES[machine]
    program = [
        _step(_LOAD, _AT_ARCH),
        _step(_JUMP_EQ, arch, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _AT_NUMBER),
    ]
    if second_abi:
        program += [_step(_JUMP_GE, second_abi, 0, 1), _step(_RETURN, _KILL)]
    named = [
        *((name, [_step(_RETURN, _ALLOW)]) for name in _ALLOWED),
        *((name, [_step(_RETURN, _EPERM)]) for name in _REFUSED),
        *((name, [_step(_RETURN, _EINTR)]) for name in _WAITING),
        *((name, _UNLESS_EXECUTABLE) for name in _MAPPING),
        (_FUTEX, _IF_IT_WAKES),
    ]
    return b"".join(program + _search(_ranges({numbers[name]: to for name, to in named if name in numbers})))


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


_UNLESS_EXECUTABLE = [
    _step(_LOAD, _AT_THIRD_ARGUMENT),
    _step(_JUMP_SET, _PROT_EXEC, 0, 1),
    _step(_RETURN, _KILL),
    _step(_RETURN, _ALLOW),
]
_IF_IT_WAKES = [
    _step(_LOAD, _AT_SECOND_ARGUMENT),
    _step(_JUMP_EQ, _FUTEX_WAKE, 1, 0),
    _step(_JUMP_EQ, _FUTEX_WAKE | _FUTEX_PRIVATE, 0, 1),
    _step(_RETURN, _ALLOW),
    _step(_RETURN, _EINTR),
]


def _ranges(actions: dict[int, list[bytes]]) -> list[tuple[int, list[bytes]]]:
    """Each action with the first number that it is for, up to the next one's. Other numbers kill."""
    kill = [_step(_RETURN, _KILL)]
    ranges = [(0, kill)]
    for number in range(max(actions) + 2):
        action = actions.get(number, kill)
        if action != ranges[-1][1]:
            ranges.append((number, action))
    return ranges


def _search(ranges: list[tuple[int, list[bytes]]]) -> list[bytes]:
    """A program that finds the range of a number by halves, and ends with its action."""
    if len(ranges) == 1:
        return ranges[0][1]
    half = len(ranges) // 2
    lower, upper = _search(ranges[:half]), _search(ranges[half:])
    return [_step(_JUMP_GE, ranges[half][0], len(lower), 0), *lower, *upper]


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def prepared_filter() -> _FilterProgram | None:
    """The filter in the kernel's form; None without seccomp or without a table for this machine."""
    if not _IS_LINUX or platform.machine() not in MACHINES or not _has_seccomp():
        return None
    program = seccomp_filter(platform.machine())
    buffer = ctypes.create_string_buffer(program, len(program))
    prepared = _FilterProgram(len(program) // 8, ctypes.addressof(buffer))
    prepared.buffer = buffer  # keeps it alive
    return prepared


def _has_seccomp() -> bool:
    """Whether the kernel supports seccomp filters: it tries to read the filter, here from address 0."""
    _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, 0, 0, 0)
    return ctypes.get_errno() in (errno.EFAULT, errno.EACCES)  # EACCES: before no_new_privs


def install_filter(prepared: _FilterProgram) -> None:
    """Restrict this process and its descendants to the allowed system calls; needs no_new_privs."""
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(prepared))


def die_with_parent(parent_pid: int) -> None:
    """Have this process killed when the thread that forked it ends; exit now if it has ended already.

    A change of user clears this setting, so call this afterwards. `parent_pid` 0 means that the parent
    is outside this process's namespace and cannot be checked.
    """
    if _IS_LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid and os.getppid() != parent_pid:
        os._exit(1)


def refuse_new_privileges() -> None:
    if _IS_LINUX:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def landlock_abi() -> int:
    """Landlock's version in this kernel, 0 for none. Asks by system call, since its file may be absent."""
    version_flag = 1
    return max(0, _syscall(444, None, 0, version_flag)) if _IS_LINUX else 0


def go_first_for_memory() -> int:
    """Make the kernel kill this process and its children first when memory runs out.

    Returns the kernel's score (1000 is the maximum), or 0 if unsupported. Call this before files close.
    """
    path = "/proc/self/oom_score_adj"
    try:
        with open(path, "w") as file:  # noqa: PTH123
            file.write("1000")
        with open(path) as file:  # noqa: PTH123
            return int(file.read())
    except (OSError, ValueError):
        return 0


def forbid_files() -> int:
    """Deny every right that this Landlock knows, for this process and its children. Returns its ABI."""
    abi = landlock_abi()
    if not abi:
        return 0
    files = (1 << 13) - 1 | (abi >= 2) << 13 | (abi >= 3) << 14 | (abi >= 5) << 15  # + refer, truncate, ioctl
    tcp = 0b11 if abi >= 4 else 0
    scopes = 0b11 if abi >= 6 else 0  # abstract sockets and signals
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _syscall(444, struct.pack("QQQ", files, tcp, scopes)[:size], size, 0)
    restricted = _syscall(446, ruleset, 0) if ruleset >= 0 else -1
    if ruleset >= 0:
        os.close(ruleset)
    return abi if restricted == 0 else 0


def enter_namespaces() -> bool:
    """Enter new user, process, network, mount, IPC and host name namespaces, with all children.

    Process ids change from the next fork on. False if the system refuses (default Docker, Ubuntu
    24.04).
    """
    others = _NEWNET | _NEWPID | _NEWNS | _NEWIPC | _NEWUTS
    if not _IS_LINUX or (os.geteuid() == 0 and _unshare(others)):
        return _IS_LINUX
    user, group = os.geteuid(), os.getegid()
    if not _unshare(_NEWUSER | others):
        return False
    with contextlib.suppress(OSError):  # unmapped ids are harmless
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    return True


def drop_privileges() -> None:
    """Drop root and every capability, and hide this process from others of the same user."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a container without other users
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    if _IS_LINUX:
        _libc.capset(struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
        _prctl(_PR_SET_DUMPABLE, 0)


def limit_family(memory_mib: int, max_fds: int) -> None:
    """Set the limits that apply to the zygote and its children."""
    limits = {"CORE": 0, "FSIZE": 0, "MEMLOCK": 0, "MSGQUEUE": 0, "STACK": 8 << 20, "NOFILE": max_fds}
    limits["AS"] = memory_mib << 20
    for name, value in limits.items():
        _limit(name, value)


def limit_child(cpu_s: int) -> None:
    """Set the limits of one run: CPU seconds as a backstop, no further process, eight descriptors."""
    setrlimit(RLIMIT_CPU, (cpu_s, cpu_s))
    setrlimit(RLIMIT_NPROC, (0, 0))
    setrlimit(RLIMIT_NOFILE, (8, 8))


def _limit(name: str, value: int) -> None:
    kind = getattr(resource, f"RLIMIT_{name}", None)
    if kind is None:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS refuses some; the self-test shows the effect
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _prctl(option: int, argument: int, further: int = 0) -> None:
    if _libc.prctl(option, argument, further, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _unshare(flags: int) -> bool:
    return bool(_libc.unshare(flags) == 0)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    words = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *words))
