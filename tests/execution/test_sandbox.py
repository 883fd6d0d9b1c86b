"""The filter, judged by an interpreter of classic BPF written from the kernel's documentation."""

import ast
import platform
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.execution import sandbox

KILL, EPERM, EINTR, ALLOW = 0x80000000, 0x00050001, 0x00050004, 0x7FFF0000
MACHINES = sorted(sandbox.MACHINES)


def verdict(machine: str, number: int, arguments: tuple[int, ...] = (0,) * 6, arch: int | None = None) -> int:
    """The filter's answer to one system call."""
    return steps(machine, number, arguments, arch)[-1]


def steps(
    machine: str, number: int, arguments: tuple[int, ...] = (0,) * 6, arch: int | None = None
) -> list[int]:
    """Run the filter on one system call, as the kernel would: the values of its instructions, in turn."""
    seccomp_data = struct.pack(
        "<IIQ6Q", number, sandbox.MACHINES[machine][0] if arch is None else arch, 0, *arguments
    )
    program = sandbox.seccomp_filter(machine)
    accumulator, at = 0, 0
    values: list[int] = []
    while True:
        code, if_true, if_false, value = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        values.append(value)
        if code == 0x20:
            [accumulator] = struct.unpack_from("<I", seccomp_data, value)
        elif code == 0x06:
            return values
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[
                code
            ]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", MACHINES)
def test_only_named_calls_are_not_fatal(machine: str) -> None:
    numbers = sandbox.MACHINES[machine][1]
    alive = {number for number in range(1024) if verdict(machine, number) != KILL}
    assert alive == set(numbers.values())


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_gets_the_action_of_its_list(machine: str) -> None:
    actions = {
        **dict.fromkeys(sandbox._ALLOWED, ALLOW),
        **dict.fromkeys(sandbox._MAPPING, ALLOW),
        **dict.fromkeys(sandbox._REFUSED, EPERM),
        **dict.fromkeys(sandbox._WAITING, EINTR),
        "futex": EINTR,  # operation 0 waits
    }
    numbers = sandbox.MACHINES[machine][1]
    assert {name: verdict(machine, number) for name, number in numbers.items()} == {
        name: actions[name] for name in numbers
    }
    for operation, action in (
        (1, ALLOW),
        (129, ALLOW),
        (128, EINTR),
        (9, EINTR),
        (1 | 256, EINTR),
        (5, EINTR),
    ):
        assert verdict(machine, numbers["futex"], (0, operation, 0, 0, 0, 0)) == action


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_is_judged_in_few_steps(machine: str) -> None:
    """The kernel tries all numbers whenever a child installs the filter."""
    assert max(len(steps(machine, number)) for number in range(600)) <= 20


@pytest.mark.parametrize(
    ("machine", "name", "number"),
    [
        ("x86_64", "clone", 56),
        ("x86_64", "fork", 57),
        ("x86_64", "execve", 59),
        ("x86_64", "kill", 62),
        ("x86_64", "socket", 41),
        ("x86_64", "ptrace", 101),
        ("x86_64", "prctl", 157),
        ("x86_64", "clone3", 435),
        ("x86_64", "io_uring_setup", 425),
        ("x86_64", "openat2", 437),
        ("x86_64", "memfd_create", 319),
        ("x86_64", "prlimit64", 302),
        ("x86_64", "process_vm_readv", 310),
        ("x86_64", "bpf", 321),
        ("x86_64", "pkey_mprotect", 329),
        ("x86_64", "tgkill", 234),
        ("x86_64", "setitimer", 38),
        ("aarch64", "clone", 220),
        ("aarch64", "execve", 221),
        ("aarch64", "kill", 129),
        ("aarch64", "socket", 198),
        ("aarch64", "ptrace", 117),
        ("aarch64", "prctl", 167),
        ("aarch64", "clone3", 435),
        ("aarch64", "openat2", 437),
        ("aarch64", "pkey_mprotect", 288),
        ("aarch64", "tgkill", 131),
        ("aarch64", "prlimit64", 261),
    ],
)
def test_dangerous_calls_kill(machine: str, name: str, number: int) -> None:
    assert verdict(machine, number) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_looking_for_files_and_ids_is_refused_and_computing_is_allowed(machine: str) -> None:
    numbers = sandbox.MACHINES[machine][1]
    refused = {name for name, number in numbers.items() if verdict(machine, number) == EPERM}
    assert refused >= {"openat", "newfstatat", "getpid", "getppid", "ioctl", "fcntl"}
    assert not refused & {"read", "write", "mmap", "munmap", "futex", "exit_group", "clock_gettime"}


@pytest.mark.parametrize("machine", MACHINES)
@given(protection=st.integers(0, 2**64 - 1))
def test_executable_memory_kills_and_other_memory_does_not(machine: str, protection: int) -> None:
    for name in ("mmap", "mprotect"):
        number = sandbox.MACHINES[machine][1][name]
        expected = KILL if protection & 4 else ALLOW
        assert verdict(machine, number, (0, 4096, protection, 0, 0, 0)) == expected


@given(number=st.integers(0, 2**32 - 1))
def test_no_call_of_another_architecture_or_of_x32_lives(number: int) -> None:
    i386, arm = 0x40000003, 0x40000028
    assert verdict("x86_64", number, arch=i386) == KILL
    assert verdict("aarch64", number, arch=arm) == KILL
    assert verdict("x86_64", number | 0x40000000) == KILL


def test_the_tables_agree_with_the_headers_of_this_machine() -> None:
    """Where the C headers are installed, they are the reference."""
    header = Path(f"/usr/include/{platform.machine()}-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("no kernel headers")
    lines = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    numbers = {words[1].removeprefix("__NR_"): int(words[2]) for words in lines}
    _, table, _ = sandbox.MACHINES[platform.machine()]
    assert table == {name: numbers[name] for name in table}


@pytest.mark.parametrize("name", ["zygote", "nursery", "child", "sandbox", "clock"])
def test_what_runs_in_the_sandbox_imports_the_standard_library_only(name: str) -> None:
    source = Path(sandbox.__file__).with_name(f"{name}.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported <= set(sys.stdlib_module_names)
