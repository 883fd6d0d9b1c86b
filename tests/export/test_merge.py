"""Merges against float64 references, from fp32, bf16 and 4-bit bases; and what rounding leaves of a delta."""

import json
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from merging import (
    adapter_of,
    as_bfloat16,
    dequantised,
    float64_reference,
    merged_weights,
    run_merge,
    within_half_a_step,
)
from safetensors.torch import load_file, save_file

from tinyzero.config import ModelConfig
from tinyzero.errors import ExportError
from tinyzero.export.base import find_base
from tinyzero.export.merge import Merged, Survival, nf4_round_trip
from tinyzero.export.weights import open_weights
from tinyzero.run.trained import choose_snapshot, load_trained


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("stored", ["fp32", "bf16"])
def test_a_merge_is_the_float64_sum_rounded_once(tiny_run, tiny_model_folder, tmp_path, stored, dtype):
    folder = tiny_model_folder if stored == "fp32" else as_bfloat16(tiny_model_folder, tmp_path / "base")
    adapter = adapter_of(tiny_run())
    merged = run_merge(folder, adapter, tmp_path / "merged", dtype=dtype)
    base, made = merged_weights(folder), merged_weights(tmp_path / "merged")
    exact = float64_reference(base, adapter)
    assert made.keys() == base.keys()
    assert len(exact) == 14
    for name, tensor in made.items():
        assert within_half_a_step(tensor, exact.get(name, base[name].double())), name
    assert merged.kept > 0.99


def test_the_type_is_the_bases_own_where_none_is_asked_for(tiny_run, tiny_model_folder, tmp_path):
    adapter = adapter_of(tiny_run())
    folder = as_bfloat16(tiny_model_folder, tmp_path / "base")
    assert run_merge(folder, adapter, tmp_path / "a").dtype == "bf16"
    assert run_merge(tiny_model_folder, adapter, tmp_path / "b").dtype == "fp32"
    assert {tensor.dtype for tensor in merged_weights(tmp_path / "a").values()} == {torch.bfloat16}


def test_a_dequant_merge_adds_to_exactly_what_four_bit_training_saw(tiny_run, tiny_model_folder, tmp_path):
    run = tiny_run(quantization="nf4")
    adapter = adapter_of(run)
    run_merge(tiny_model_folder, adapter, tmp_path / "merged", merge_base="dequant", dtype="fp32")
    made = merged_weights(tmp_path / "merged")
    live = dequantised(load_trained(run, choose_snapshot(run)))
    exact = float64_reference(live, adapter)
    for name, reference in exact.items():
        torch.testing.assert_close(made[name].double(), reference, atol=1e-6, rtol=0)
    untouched = made.keys() - exact.keys()
    base = load_file(tiny_model_folder / "model.safetensors")
    assert untouched
    assert all(torch.equal(made[name], base[name]) for name in untouched)


def test_a_base_that_is_stored_in_four_bit_is_dequantised(tiny_run, tiny_model_folder, tmp_path):
    run = tiny_run(quantization="nf4")
    policy = load_trained(run, choose_snapshot(run))
    live = dequantised(policy)
    packed = packed_folder(tiny_model_folder, tmp_path / "packed", policy)
    adapter = adapter_of(run)
    with pytest.raises(ExportError, match="holds 4-bit weights only; take --merge-base dequant"):
        run_merge(packed, adapter, tmp_path / "refused")
    run_merge(packed, adapter, tmp_path / "merged", merge_base="dequant", dtype="fp32")
    made = merged_weights(tmp_path / "merged")
    assert not [name for name in made if "absmax" in name or "quant" in name]
    for name, reference in float64_reference(live, adapter).items():
        torch.testing.assert_close(made[name].double(), reference, atol=1e-6, rtol=0)


def packed_folder(folder, target, policy):
    """The base as bitsandbytes stores it: packed weights beside their quantisation states."""
    shutil.copytree(folder, target)
    weights = load_file(folder / "model.safetensors")
    for name, module in policy.model.named_modules():
        if name.endswith(".base_layer"):
            plain = f"{name.removeprefix('base_model.model.').removesuffix('.base_layer')}.weight"
            weights[plain] = module.weight.data.contiguous()
            for part, tensor in module.weight.quant_state.as_dict(packed=True).items():
                weights[f"{plain}.{part}"] = tensor.contiguous()
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_nano_merges_like_the_reference(nano_run, tmp_path):
    from tinyzero.config import resolve_base

    folder = tmp_path / "base"
    folder.mkdir()
    shutil.copy(f"{resolve_base('nano')}/model.safetensors", folder)
    adapter = adapter_of(nano_run)
    run_merge(folder, adapter, tmp_path / "merged")
    made = merged_weights(tmp_path / "merged")
    for name, exact in float64_reference(merged_weights(folder), adapter).items():
        assert within_half_a_step(made[name], exact)


def test_shards_hold_what_one_file_holds(tiny_run, tiny_model_folder, tmp_path):
    adapter = adapter_of(tiny_run())
    run_merge(tiny_model_folder, adapter, tmp_path / "whole")
    merged = run_merge(tiny_model_folder, adapter, tmp_path / "shards", shard_bytes=60_000)
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())
    whole, parts = merged_weights(tmp_path / "whole"), merged_weights(tmp_path / "shards")
    assert len(merged.files) > 3
    assert sorted(set(index["weight_map"].values())) == [path.name for path in merged.files]
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in whole.values())
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    # Shards are read as well.
    again = tmp_path / "again"
    run_merge(tmp_path / "shards", adapter, again)
    twice = float64_reference(whole, adapter)
    assert all(within_half_a_step(merged_weights(again)[name], exact) for name, exact in twice.items())


def test_what_rounding_keeps_is_measured_as_it_is():
    """D = (1, 1, 0.25), of which the stored numbers moved by (1, 0, 0.5)."""
    survival = Survival()
    survival.add(torch.tensor([1.0, 0.0, 0.5]), torch.tensor([1.0, 1.0, 0.25]))
    assert survival.kept == pytest.approx(1.125 / 2.0625)
    assert survival.cosine == pytest.approx(1.125 / (2.0625 * 1.25) ** 0.5)
    assert survival.changed_share == pytest.approx(2 / 3)


def test_a_delta_that_bfloat16_loses_is_warned_about_with_the_type_that_keeps_it(
    tiny_run, tiny_model_folder, tmp_path
):
    """Updates a thousandth of the weights' size, as small as reinforcement learning makes them."""
    folder = as_bfloat16(tiny_model_folder, tmp_path / "base")
    adapter = adapter_of(tiny_run(scale=0.005))
    lossy = run_merge(folder, adapter, tmp_path / "bf16", dtype="bf16")
    assert 1e-4 < lossy.relative_size < 2e-3
    assert lossy.kept < 0.9
    assert "--dtype fp16 would keep it" in lossy.warning
    kept = run_merge(folder, adapter, tmp_path / "fp16", dtype="fp16")
    assert kept.kept > 0.9
    assert kept.warning is None
    # The figure is that of the files: measured again, from what was written.
    base, made = merged_weights(folder), merged_weights(tmp_path / "bf16")
    along = wanted = 0.0
    for module in adapter.halves:
        delta = adapter.delta(module).double()
        moved = made[f"{module}.weight"].double() - base[f"{module}.weight"].double()
        along, wanted = along + float((moved * delta).sum()), wanted + float((delta * delta).sum())
    assert lossy.kept == pytest.approx(along / wanted, rel=1e-6)


def test_an_adapter_that_was_never_updated_is_named(tiny_run, tiny_model_folder, tmp_path):
    adapter = adapter_of(tiny_run(scale=0.0))
    assert adapter.is_zero
    merged = run_merge(tiny_model_folder, adapter, tmp_path / "merged")
    assert merged.warning == "the adapter changes nothing: the merged model is the base model"


def test_half_precision_that_overflows_is_refused(tiny_run, tiny_model_folder, tmp_path):
    adapter = adapter_of(tiny_run(scale=300.0))
    with pytest.raises(ExportError, match="too large for fp16"):
        run_merge(tiny_model_folder, adapter, tmp_path / "merged", dtype="fp16")


def test_an_adapter_of_another_base_is_named(tiny_run, tmp_path):
    from tinyzero.config import resolve_base

    adapter = adapter_of(tiny_run())
    with pytest.raises(ExportError, match="this is another base model"):
        run_merge(Path(resolve_base("nano")), adapter, tmp_path / "merged")


def test_an_index_cannot_lead_out_of_the_folder(tiny_model_folder, tmp_path):
    folder = tmp_path / "base"
    shutil.copytree(tiny_model_folder, folder)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ExportError, match="which is no safetensors file beside it"), open_weights(folder):
        pass


def test_memory_holds_a_tensor_and_never_a_shard(tmp_path):
    """When a tensor is asked for, none of those before it is left."""
    from tinyzero.export.shards import write_model
    from tinyzero.export.weights import TensorInfo

    alive = []

    def make(name):
        assert not any(reference() is not None for reference in alive)
        tensor = torch.full((64, 64), float(name))
        alive.append(weakref.ref(tensor))
        return tensor

    infos = [TensorInfo(str(number), (64, 64), torch.float32) for number in range(8)]
    (path,) = write_model(tmp_path, infos, make)
    assert load_file(path)["7"][0, 0] == 7.0


def test_a_round_trip_through_four_bit_changes_weights_a_little():
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    restored = nf4_round_trip(weight)
    assert restored.dtype is torch.float32
    assert 0.01 < float((restored - weight).norm() / weight.norm()) < 0.2


def test_merged_without_a_delta_keeps_nothing():
    merged = Merged(merge_base="bf16", dtype="fp32", survival={"fp32": Survival()})
    assert (merged.kept, merged.relative_size) == (0.0, 0.0)


IN_A_REPOSITORY = [
    "config.json", "tokenizer.json", "merges.txt", "README.md", "LICENSE", "USE_POLICY.md", "Notice.txt",
    "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    "consolidated.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "onnx/model.onnx",
    "onnx/config.json", "original/consolidated.00.pth", "original/tokenizer.model", "fp16/model.safetensors",
    "runs/log.txt", "training.txt",
]  # fmt: skip


@pytest.mark.parametrize("with_weights", [True, False])
def test_of_a_base_on_the_hub_only_what_transformers_reads_is_fetched(tmp_path, monkeypatch, with_weights):
    import huggingface_hub

    fetched = set()

    def download(_, *, revision, allow_patterns, ignore_patterns):
        assert revision == "main"
        for name in huggingface_hub.utils.filter_repo_objects(
            IN_A_REPOSITORY, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        ):
            fetched.add(name)
            (tmp_path / name).write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
        return tmp_path

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    find_base(ModelConfig(base="some/base"), with_weights=with_weights)
    weights = {"model-00001-of-00002.safetensors"} if with_weights else set()
    assert fetched == set(IN_A_REPOSITORY[:8]) | weights
