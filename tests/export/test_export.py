"""From a run to a folder: complete, the same model, whole or not at all, and nobody else's files."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from tinyzero.config import SamplingConfig
from tinyzero.errors import CheckpointError, ExportError
from tinyzero.export import folders as exporting
from tinyzero.export.folders import NO_CURVES, ExportRequest, export
from tinyzero.run.trained import choose_snapshot, load_trained
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Prompt, Role, SamplingRequest
from tinyzero.watch.report import png

ROW = {
    "name": "mean", "decoding": "sampled", "tasks": 100,
    "before": 0.1, "after": 0.2, "difference": 0.1, "low": 0.05, "high": 0.15,
}  # fmt: skip
EVALUATION = {"set": "nano-heldout", "attempts": 8, "step": 4, "rows": [ROW]}
PROMPT = Prompt(kind="deduction", text="solve deduction\ndef f(x):\n    return x + 1\nin: 41")


@pytest.fixture(scope="session")
def merged_nano(nano_original, tmp_path_factory):
    """nano, merged once for all who look at it."""
    (exported,) = export(nano_original, ExportRequest(), tmp_path_factory.mktemp("merged") / "model")
    return exported


def live_logits(run, role=Role.SOLVER):
    policy = load_trained(run, choose_snapshot(run))
    policy.activate(role)
    ids = torch.tensor([policy.encode(PROMPT)])
    with torch.no_grad():
        return ids, policy.model(input_ids=ids).logits


def test_a_merged_folder_is_an_ordinary_model(merged_nano, nano_original):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(merged_nano.folder)
    tokenizer = AutoTokenizer.from_pretrained(merged_nano.folder)
    turn = [{"role": "user", "content": PROMPT.text}]
    frame = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    ids, expected = live_logits(nano_original)
    assert tokenizer(frame, return_tensors="pt").input_ids.tolist() == ids.tolist()
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-4, rtol=0)
    assert written_greedily(model, ids) == list(greedy_answer(nano_original))


def test_a_merged_folder_is_complete(merged_nano):
    names = {path.relative_to(merged_nano.folder).as_posix() for path in merged_nano.folder.rglob("*")}
    assert names == {
        "README.md", "chat_template.jinja", "config.json", "curves.png", "generation_config.json",
        "model.safetensors", "tinyzero.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    config = json.loads((merged_nano.folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    generation = json.loads((merged_nano.folder / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["temperature"], generation["top_k"]) == (3, 1.0, 0)


def test_the_record_says_where_it_came_from_without_paths(merged_nano, nano_original):
    text = (merged_nano.folder / "tinyzero.json").read_text()
    record = json.loads(text)
    assert record["base"] == {"name": "nano", "hub_id": None, "revision": None, "licence": "apache-2.0"}
    assert (record["step"], record["seed"], record["environment"]["packages"]) == (4, 0, {"torch": "2.13.0"})
    assert record["self_test"]["num_prompts"] == 64
    assert record["self_test"]["greedy"] > 0.99
    assert record["self_test"]["mean_kl"] < 1e-5
    assert 0.999 < record["merge"]["kept"]["fp32"] < 1.001
    for path in merged_nano.folder.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert str(nano_original.path.parent) not in path.read_text()
            assert "/nano" not in path.read_text()


def written_greedily(model, ids, count=12):
    """The likeliest tokens one after the other, up to the end token that the folder names."""
    tokens = []
    with torch.no_grad():
        while len(tokens) < count and model.generation_config.eos_token_id not in tokens:
            tokens.append(
                int(model(torch.cat([ids, torch.tensor([tokens]).long()], dim=1)).logits[0, -1].argmax())
            )
    return tokens


def greedy_answer(run):
    policy = load_trained(run, choose_snapshot(run))
    request = SamplingRequest(
        role=Role.SOLVER, prompts=(PROMPT,), num_samples=1, max_tokens=12, stream="s", temperature=0.0
    )
    ((completion,),) = BuiltinSampler(policy, SamplingConfig(), seed=0).sample(request)
    return completion.token_ids


def test_results_stand_in_the_card_its_metadata_and_the_hubs_newer_form(nano_run, tmp_path):
    (nano_run.path / "evaluation.json").write_text(json.dumps(EVALUATION))
    export(nano_run, ExportRequest(what="adapter"), tmp_path / "out")
    assert "+0.050 to +0.150" in (tmp_path / "out" / "README.md").read_text()
    (entry,) = yaml.safe_load((tmp_path / "out" / ".eval_results" / "tinyzero.yaml").read_text())
    assert (entry["dataset"], entry["value"]) == ({"id": "nano-heldout", "task_id": "mean"}, 0.2)
    assert ModelCard.load(tmp_path / "out" / "README.md").data.eval_results[0].metric_value == 0.2


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's own
@pytest.mark.parametrize("name", ["proposer", "solver"])
def test_each_adapter_loads_in_plain_peft_with_the_same_logits(tiny_run, tmp_path, tiny_model_folder, name):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run = tiny_run(adapters="per-role")
    exported = export(run, ExportRequest(what="adapter"), tmp_path / "out")
    assert [each.folder.name for each in exported] == ["proposer", "solver"]
    ids, expected = live_logits(run, Role(name))
    base = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    model = PeftModel.from_pretrained(base, tmp_path / "out" / name)
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, expected)
    config = json.loads((tmp_path / "out" / name / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == tiny_model_folder.name


def test_one_of_several_adapters_is_the_folder_itself(tiny_run, tmp_path):
    (exported,) = export(
        tiny_run(adapters="per-role"), ExportRequest(what="adapter", role=Role.PROPOSER), tmp_path / "out"
    )
    assert exported.folder == tmp_path / "out"
    assert json.loads((tmp_path / "out" / "tinyzero.json").read_text())["adapter"]["name"] == "proposer"


@pytest.mark.slow
def test_a_four_bit_run_is_merged_into_what_is_closer(tiny_run, tmp_path):
    run = tiny_run(quantization="nf4")
    (exported,) = export(run, ExportRequest(merge_base="auto"), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "tinyzero.json").read_text())
    assert record["merge"]["base"] == "dequant"  # training saw nothing else, and the files are float32
    assert record["self_test"]["mean_kl"] < 1e-4
    (exported,) = export(run, ExportRequest(), tmp_path / "other")
    other = json.loads((exported.folder / "tinyzero.json").read_text())
    assert other["self_test"]["mean_kl"] > 10 * record["self_test"]["mean_kl"]
    assert not list((tmp_path / "out").glob(".try*"))


def test_an_export_can_be_taken_again_as_it_was_written(nano_run):
    request = ExportRequest(what="adapter")
    (first,) = export(nano_run, request)
    assert first.folder == nano_run.path / "export" / "adapter-shared-step-000004"
    (first.folder / "README.md").write_text("my own words")
    (again,) = export(nano_run, ExportRequest(what="adapter", role=Role.SOLVER), reuse=True)
    assert (again.folder, again.is_new, again.remarks) == (first.folder, False, ())
    (nano_run.path / "evaluation.json").write_text(json.dumps(EVALUATION))
    (again,) = export(nano_run, request, reuse=True)
    assert "the card does not have the newest results" in again.remarks[0]
    (first.folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ExportError, match="exists and was not written by this command; remove it"):
        export(nano_run, request, reuse=True)


def test_the_unknown_licence_of_a_local_model_is_said_loudly(tiny_run, tmp_path):
    (exported,) = export(tiny_run(), ExportRequest(what="adapter"), tmp_path / "out")
    assert "warning: the licence of the base model is unknown" in exported.remarks[-1]
    assert (
        "> **Licence.** The licence of the base model is unknown" in (tmp_path / "out/README.md").read_text()
    )


def test_the_licence_text_travels_with_the_weights(tiny_run, tiny_model_folder, tmp_path):
    import shutil

    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    (base / "LICENSE").write_text("You may.")
    (base / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    (exported,) = export(tiny_run(base=base), ExportRequest(what="adapter"), tmp_path / "out")
    assert (tmp_path / "out" / "LICENSE").read_text() == "You may."
    assert "NON-COMMERCIAL" in exported.remarks[-1]


def test_a_base_folder_that_links_to_secrets_is_not_exported(tiny_run, tiny_model_folder, tmp_path):
    import shutil

    secret = tmp_path / "secret"
    secret.write_text("hf_secret")
    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    run = tiny_run(base=base)
    (base / "LICENSE").symlink_to(secret)
    with pytest.raises(ExportError, match="LICENSE is a link to a place outside of its folder"):
        export(run, ExportRequest(what="adapter"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_has_diverged_is_named(tiny_run, tmp_path):
    from tinyzero.export.adapters import read_adapter

    folder = choose_snapshot(tiny_run()).adapters / "shared"
    weights = load_file(folder / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, folder / "adapter_model.safetensors")
    with pytest.raises(ExportError, match="holds numbers that are not finite; the run has diverged"):
        read_adapter(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "IA3"}, "peft_type"),
        ({"bias": "all"}, "bias"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"r": 3}, "not of rank 3"),
    ],
)
def test_what_the_merge_does_not_know_is_refused(tiny_run, change, complaint):
    from tinyzero.export.adapters import read_adapter

    folder = choose_snapshot(tiny_run()).adapters / "shared"
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ExportError, match=complaint) as caught:
        read_adapter(folder)
    assert "\n" not in str(caught.value)


def test_an_export_that_fails_in_the_middle_leaves_nothing(nano_run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "write_card", lambda _: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        export(nano_run, ExportRequest(what="adapter"), tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(nano_run, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_adapter", full)
    with pytest.raises(
        CheckpointError, match=r"No space left .*make room or choose another --output"
    ) as caught:
        export(nano_run, ExportRequest(what="adapter"), tmp_path / "new" / "out")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "new").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tinyzero.export.aside import written_aside
with written_aside(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_left_is_cleared_away_by_the_next_try(tmp_path):
    from tinyzero.export.aside import written_aside

    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")], check=False, env={**os.environ})
    assert [path.name for path in tmp_path.iterdir()] == [".out.partial"]
    with written_aside(tmp_path / "out") as folder:
        assert list(folder.iterdir()) == []
        with pytest.raises(ExportError, match="another process is writing"), written_aside(tmp_path / "out"):
            pass
        (folder / "whole").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]


def test_without_matplotlib_there_is_a_card_without_curves(nano_run, tmp_path, monkeypatch):
    monkeypatch.setattr(png, "can_draw", lambda: False)
    (exported,) = export(nano_run, ExportRequest(what="adapter"), tmp_path / "out")
    assert NO_CURVES in exported.remarks
    assert not (tmp_path / "out" / "curves.png").exists()
    assert "curves.png" not in (tmp_path / "out" / "README.md").read_text()
