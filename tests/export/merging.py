"""Merging by another road: float64 sums, and what a 4-bit model computes with."""

import shutil

import torch
from safetensors.torch import load_file, save_file

from tinyzero.export.adapters import read_adapter
from tinyzero.export.merge import merge
from tinyzero.export.weights import weight_files
from tinyzero.run.trained import choose_snapshot


def adapter_of(run, name="shared"):
    return read_adapter(choose_snapshot(run).adapters / name)


def merged_weights(folder):
    return {name: tensor for path in weight_files(folder) for name, tensor in load_file(path).items()}


def float64_reference(base, adapter):
    """W + s B A in float64, for every weight that the adapter changes."""
    return {
        f"{module}.weight": base[f"{module}.weight"].double()
        + adapter.scale * (torch.tensor(second).double() @ torch.tensor(first).double())
        for module, (first, second) in adapter.halves.items()
    }


def run_merge(folder, adapter, target, merge_base="bf16", dtype=None, trained=torch.float32, **options):
    target.mkdir()
    return merge(
        folder, adapter, target, merge_base=merge_base, dtype=dtype, trained_dtype=trained, **options
    )


def as_bfloat16(folder, target):
    shutil.copytree(folder, target)
    weights = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def within_half_a_step(stored, exact):
    """Whether each number is as near as its type allows, as far as a relative bound can tell."""
    half_a_step = exact.abs() * torch.finfo(stored.dtype).eps / 2
    slack = (
        exact.abs() * 2e-7 + 2e-7
    )  # the sum itself is made in float32, and the smallest numbers are coarse
    return bool(((stored.double() - exact).abs() <= half_a_step + slack).all())


def dequantised(policy):
    from bitsandbytes.functional import dequantize_4bit

    layers = {
        name.removeprefix("base_model.model.").removesuffix(".base_layer"): module.weight
        for name, module in policy.model.named_modules()
        if name.endswith(".base_layer")
    }
    return {
        f"{name}.weight": dequantize_4bit(weight.data, weight.quant_state) for name, weight in layers.items()
    }
