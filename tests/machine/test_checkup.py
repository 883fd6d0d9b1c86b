"""What `doctor` makes of machines that these tests do not run on."""

from dataclasses import replace
from pathlib import Path

import pytest

from tinyzero.machine import checkup
from tinyzero.machine.checkup import Status
from tinyzero.machine.evidence import claims, never_run, read_reports
from tinyzero.machine.inspection import Cuda, Disk, Inspection, Package, Sandbox
from tinyzero.machine.programs import ProgramMemory

NO_GPU = Cuda(torch="2.13.0+cpu")
T4 = Cuda(
    torch="2.13.0", built_for="CUDA 13.0", driver="580.1", has_driver=True, card="Tesla T4",
    capability=(7, 5), total_gib=14.6, free_gib=14.5,
)  # fmt: skip
ADA = Cuda(
    torch="2.13.0", built_for="CUDA 13.0", driver="580.1", has_driver=True, card="RTX 4090",
    capability=(8, 9), total_gib=23.5, free_gib=9.0, has_bf16=True,
)  # fmt: skip


def test_a_python_that_is_too_new_or_too_old_is_in_the_way():
    assert checkup.check_python((3, 11, 0)).status is Status.OK
    assert checkup.check_python((3, 13, 9)).status is Status.OK
    for found in ((3, 10, 4), (3, 14, 0)):
        check = checkup.check_python(found)
        assert check.status is Status.BROKEN
        assert "3.11 to 3.13" in check.remedy


def package(name, version, *, is_right=True):
    return Package(name=name, version=version, needed=f"{name}>=2,<3", is_right=is_right)


def test_packages_that_are_missing_or_other_versions_are_named_with_the_command():
    check = checkup.check_packages(
        [package("trl", "1.1", is_right=False), package("peft", None, is_right=False), package("x", "2.5")]
    )
    assert (check.status, check.found) == (Status.BROKEN, "trl 1.1, peft is missing")
    assert check.remedy == "pip install 'trl>=2,<3' 'peft>=2,<3'"
    assert checkup.check_packages([package("trl", "2.5"), package("x", "2.5")]).found == "trl 2.5"


def test_a_torch_that_does_not_import_is_in_the_way():
    check = checkup.check_torch(Cuda(error="libcudart.so: no such file"))
    assert (check.status, check.found) == (Status.BROKEN, "does not import: libcudart.so: no such file")


def test_a_torch_without_cuda_beside_a_driver_is_in_the_way():
    assert checkup.check_torch(NO_GPU).status is Status.OK
    check = checkup.check_torch(Cuda(torch="2.13.0+cpu", has_driver=True))
    assert check.status is Status.BROKEN
    assert "build for this GPU" in check.remedy


def test_a_gpu_that_torch_does_not_see_is_told_the_driver_or_the_variable():
    unseen = {"torch": "2.13.0", "built_for": "CUDA 13.0", "has_driver": True, "driver": "470.1"}
    check = checkup.check_driver(Cuda(**unseen))
    assert (check.status, check.found) == (Status.BROKEN, "470.1; torch sees no GPU")
    assert check.remedy.endswith("update the driver to one for CUDA 13.0")
    assert "CUDA_VISIBLE_DEVICES is ''" in checkup.check_driver(Cuda(**unseen, visible="")).remedy
    assert checkup.check_driver(T4).status is Status.OK
    assert checkup.check_driver(NO_GPU).found == "none"


def test_a_card_that_others_use_is_worth_a_note():
    check = checkup.check_card(ADA)
    assert (check.status, check.found) == (Status.NOTE, "RTX 4090, 9.0 of 23.5 GiB free")
    assert checkup.check_card(T4).status is Status.OK


def test_several_cards_are_told_with_the_command_that_uses_them():
    check = checkup.check_card(replace(T4, count=4))
    assert check.found.endswith("; the first of 4: torchrun --nproc_per_node 4 uses all of them")


def test_the_compute_type_is_told_with_its_reason():
    assert checkup.check_dtype(ADA).found == "bfloat16: the card has it"
    assert checkup.check_dtype(T4).found == (
        "float16 with a gradient scaler: compute capability 7.5 has no bfloat16"
    )
    assert checkup.check_dtype(NO_GPU).found.startswith("float32: ")


def test_broken_4_bit_kernels_are_in_the_way_of_a_gpu_only():
    faults = ["no kernel image is available"]
    on_gpu = checkup.check_kernels("0.50.2", faults, T4)
    assert (on_gpu.status, on_gpu.found) == (
        Status.BROKEN,
        "bitsandbytes 0.50.2 fails on CUDA: no kernel image is available",
    )
    assert checkup.check_kernels("0.50.2", faults, NO_GPU).status is Status.NOTE
    assert checkup.check_kernels("0.50.2", [], T4).status is Status.OK


def test_an_lm_head_that_needs_another_trl_says_which():
    check = checkup.check_head("trl 1.15 needs CUDA, and this run is on cpu; pip install 'trl>=1.16'")
    assert (check.status, check.remedy) == (Status.BROKEN, "pip install 'trl>=1.16'")
    assert checkup.check_head("").status is Status.OK
    check = checkup.check_head("", "the kernels cannot be used here; install gcc")
    assert (check.status, check.found, check.remedy) == (
        Status.NOTE,
        "the kernels cannot be used here",
        "install gcc",
    )


def test_unsloth_and_vllm_are_found_or_not_and_why():
    assert checkup.check_unsloth(None, NO_GPU).found == "not installed; of no use without CUDA"
    assert checkup.check_unsloth(None, NO_GPU).remedy == ""
    assert checkup.check_unsloth(None, ADA).remedy.startswith("pip install -e '.[unsloth]'")
    assert checkup.check_unsloth("2026.10.6", NO_GPU).found == "2026.10.6, not used: it has no CPU mode"
    assert checkup.check_unsloth("2026.10.6", ADA).found == "2026.10.6"


def test_vllm_is_found_or_not_and_what_it_lacks():
    assert "built-in sampler" in checkup.check_vllm(None, None, ADA).found
    assert checkup.check_vllm("0.31.0", "0.0.3", NO_GPU).found == "0.31.0, of no use without CUDA"
    newer = checkup.check_vllm("0.33.0", "0.0.3", ADA)
    assert (newer.found, newer.status) == ("0.33.0, which is not known", Status.NOTE)
    assert newer.remedy == "pip install -e '.[vllm]' in TinyZero's folder"
    assert "vllm-bnb-plugin: it cannot read" in checkup.check_vllm("0.31.0", None, ADA).found
    there = checkup.check_vllm("0.31.0", "0.0.3", ADA)
    assert (there.status, there.remedy) == (Status.OK, "")
    assert "0.31.0, with vllm-bnb-plugin 0.0.3" in there.found


def test_a_weak_or_broken_sandbox_is_in_the_way():
    assert checkup.check_sandbox(Sandbox(tier=2, description="fine")).status is Status.OK
    assert "--allow-weak-sandbox" in checkup.check_sandbox(Sandbox(tier=1, description="weak")).remedy
    assert checkup.check_sandbox(Sandbox(error="no fork")).found == "does not start: no fork"


def test_a_disk_without_room_for_the_run_is_in_the_way():
    disk = Disk(folder=Path("runs"), free_gib=2.0, total_gib=100.0)
    assert checkup.check_disk("disk", disk, 1.9, "a run").status is Status.OK
    check = checkup.check_disk("disk", disk, 2.9, "a run of x")
    assert (check.status, check.found) == (Status.BROKEN, "2.0 of 100.0 GiB free; a run of x takes 2.9")
    assert "--output" in check.remedy
    assert "HF_HOME" in checkup.check_disk("cache", disk, 2.9, "its model").remedy


def test_whatever_is_broken_comes_with_a_remedy():
    disk = Disk(folder=Path(), free_gib=0.0, total_gib=1.0)
    seen = Inspection(
        python=(3, 9, 0),
        packages=[package("trl", None, is_right=False)],
        cuda=Cuda(error="no torch", has_driver=True, built_for="CUDA 13.0"),
        extras={"unsloth": None, "vllm": None},
        sandbox=Sandbox(error="no"),
        runs=disk,
        downloads=disk,
    )
    checks = checkup.check_all(
        seen,
        kernel_faults=["no"],
        head_fault="x; y",
        programs=ProgramMemory(workers=2, memory_mib=512, free_gib=None),
        preset="p",
        run_gib=1.0,
        download_gib=1.0,
    )
    broken = [check for check in checks if check.status is Status.BROKEN]
    assert len(broken) == 8
    assert all(check.remedy for check in broken)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs" / "measurements").mkdir(parents=True)
    return tmp_path


def test_what_no_report_names_was_never_run_on_a_gpu(folder):
    assert read_reports(folder / "tinyzero") == []
    assert never_run([]) == claims()
    (folder / "docs" / "measurements" / "gpu-t4.json").write_text(
        '{"card": "T4", "date": "2026-12-01", "ran": ["float16", "preset:qwen1.5b-16gb-t4"]}'
    )
    (folder / "docs" / "measurements" / "other.json").write_text("{}")
    left = never_run(read_reports(folder / "tinyzero"))
    assert claims().keys() - left.keys() == {"float16", "preset:qwen1.5b-16gb-t4"}


def test_a_wheel_brings_the_reports_it_was_built_with(tmp_path):
    measurements = tmp_path / "tinyzero" / "measurements"
    measurements.mkdir(parents=True)
    (measurements / "gpu-a.json").write_text('{"card": "A", "date": "2026-12-01", "ran": ["nf4"]}')
    assert "nf4" not in never_run(read_reports(tmp_path / "tinyzero"))


def test_the_reports_of_this_repository_name_what_there_is():
    for report in read_reports():
        assert report.keys() >= {"card", "date", "ran"}
        assert set(report["ran"]) <= claims().keys()


def test_a_card_that_cannot_train_is_noted_with_the_reason():
    pascal = Cuda(
        torch="2.13.0", card="NVIDIA GeForce GTX 1080 Ti", capability=(6, 1), total_gib=11, free_gib=11
    )
    check = checkup.check_card(pascal)
    assert check.status is Status.NOTE
    assert "it is Pascal" in check.found
    amd = checkup.check_card(Cuda(torch="2.13.0+cpu", other="AMD's cards are not supported: ..."))
    assert (amd.status, amd.found) == (Status.OK, "none; AMD's cards are not supported: ...")
    assert "on the CPU" in check.remedy
