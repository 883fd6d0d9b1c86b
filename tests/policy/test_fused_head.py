"""What comes of kernels that cannot be launched: trl's own torch operators, and one line."""

import subprocess

import pytest
import torch
import trl.kernels.chunked_logprob as kernels

from tinyzero.errors import HardwareError
from tinyzero.policy import loading
from tinyzero.policy.fused_head import prepare_fused_head

CPU = torch.device("cpu")


class Kernel:
    """Stands in for a Triton kernel, which fails where its launcher is compiled."""

    def __init__(self, error):
        self.error = error

    def __getitem__(self, grid):
        raise self.error


@pytest.fixture
def triton_that(monkeypatch):
    """Has trl take this device for one with Triton, on which its kernels fail with an error."""

    def use(error):
        monkeypatch.setattr(kernels, "_TRITON_AVAILABLE", True)
        monkeypatch.setattr(kernels, "_use_triton", lambda device: kernels._TRITON_AVAILABLE)
        for name in ("_forward_kernel", "_backward_kernel"):
            monkeypatch.setattr(kernels, name, Kernel(error))

    return use


ERRORS = [
    RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore"),
    subprocess.CalledProcessError(1, ["gcc", "main.c"]),
    FileNotFoundError(2, "No such file or directory", "ptxas"),
    ImportError("cannot import name 'driver'"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_without_a_c_compiler_torch_scores_and_a_line_says_what_to_install(triton_that, error):
    triton_that(error)
    line = prepare_fused_head(CPU, torch.float32)
    assert "install gcc" in line
    assert "\n" not in line
    assert not kernels._TRITON_AVAILABLE
    assert prepare_fused_head(CPU, torch.float32) == ""


def test_a_run_begins_without_a_c_compiler(triton_that, make_policy):
    triton_that(ERRORS[0])
    said = []
    policy = make_policy(progress=said.append)
    assert any("install gcc" in line for line in said)
    ids = torch.tensor([[5, 6, 7]])
    scored = policy.model.get_base_model()(input_ids=ids, labels=ids, fused_lm_head=True)
    assert scored.log_probs.isfinite().all()


def test_kernels_that_answer_wrongly_are_not_used(triton_that):
    triton_that(None)
    assert "0.2 nats off" in prepare_fused_head(CPU, torch.float32, lambda *_: 0.2)
    assert not kernels._TRITON_AVAILABLE


def test_no_memory_is_no_fault_of_the_kernels(triton_that):
    triton_that(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        prepare_fused_head(CPU, torch.float32)
    assert kernels._TRITON_AVAILABLE


def test_a_trl_that_has_nothing_else_is_refused(triton_that, monkeypatch):
    triton_that(ERRORS[0])
    monkeypatch.setattr(kernels, "_use_triton", lambda device: True)
    monkeypatch.delattr(kernels, "_TRITON_AVAILABLE")
    with pytest.raises(HardwareError, match="install gcc"):
        prepare_fused_head(CPU, torch.float32)


def test_the_trial_launch_agrees_with_whole_logits():
    from tinyzero.policy.fused_head import _launch

    assert _launch(CPU, torch.float32) < 1e-5
    assert _launch(CPU, torch.bfloat16) < 0.05


def test_loading_tries_the_head(triton_that, make_policy, monkeypatch):
    tried = []
    monkeypatch.setattr(loading, "prepare_fused_head", lambda *given: tried.append(given) or "")
    make_policy()
    assert tried == [(CPU, torch.float32)]
