"""The memory of all programs that run at once, against what is free."""

import os

from settled import defaults

from tinyzero.machine.checkup import Status, check_memory
from tinyzero.machine.hardware import _available_bytes, free_memory_gib, memory_here_gib
from tinyzero.machine.programs import program_memory


def test_every_worker_counts_with_its_limit() -> None:
    config = defaults(execution={"workers": 8, "memory_mib": 512})
    programs = program_memory(config, free_gib=6.0, own_gib=2.0)
    assert (programs.at_most_gib, programs.free_gib, programs.fits) == (4.0, 4.0, True)
    programs = program_memory(config, free_gib=6.0, own_gib=2.5)
    assert (programs.free_gib, programs.fits) == (3.5, False)
    assert programs.remedy.startswith("--set execution.workers=7, or")


def test_where_not_even_one_fits_the_limit_is_named() -> None:
    programs = program_memory(defaults(execution={"workers": 2}), free_gib=1.0, own_gib=3.0)
    assert (programs.free_gib, programs.fits) == (0.0, False)
    assert "execution.memory_mib" in programs.remedy


def test_without_a_number_there_are_as_many_as_cores() -> None:
    programs = program_memory(defaults(), free_gib=None, own_gib=0.0)
    assert programs.workers == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    assert programs.fits


def test_doctor_notes_programs_that_may_run_out_of_memory() -> None:
    config = defaults(execution={"workers": 8, "memory_mib": 1024})
    check = check_memory(program_memory(config, free_gib=5.0, own_gib=1.0))
    assert check.status is Status.NOTE
    assert check.found == "4.0 GiB free beside the model; 8 programs at once take 8.0 at most"
    assert "execution.workers=4" in check.remedy
    assert check_memory(program_memory(config, free_gib=9.0, own_gib=1.0)).status is Status.OK


def test_what_is_free_is_part_of_what_is_here() -> None:
    assert _available_bytes("MemTotal: 9 kB\nMemAvailable:    2048 kB\n") == 2 * 2**20
    free = free_memory_gib()
    assert free is None or 0 <= free <= memory_here_gib()
