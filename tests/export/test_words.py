"""Cards, licences, results and curves: what they say, and that nobody else speaks through them."""

import json
from pathlib import Path

import pytest
import yaml
from convert_smollm2 import CARD
from huggingface_hub import ModelCard
from settled import defaults

from tinyzero.config import Config
from tinyzero.errors import ExportError
from tinyzero.export.adapters import Adapter
from tinyzero.export.base import Base, Facts
from tinyzero.export.card import eval_results, write_card
from tinyzero.export.licence import Licence, licence_files, licence_of, origin_of
from tinyzero.export.manifest import public_config, record
from tinyzero.export.merge import Merged, Survival
from tinyzero.export.results import read_evaluation
from tinyzero.export.selftest import Agreement
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import comparison_of
from tinyzero.run.records import RecordWriter
from tinyzero.run.trained import Snapshot
from tinyzero.watch.figures import Chart

ROW = {
    "name": "deduction", "decoding": "sampled", "tasks": 100,
    "before": 0.13, "after": 0.2, "difference": 0.07, "low": 0.04, "high": 0.1,
}  # fmt: skip
TABLE = {
    "set": "nano-heldout", "attempts": 8, "step": 90,
    "rows": [ROW, {**ROW, "name": "longer programs", "decoding": "greedy", "low": -0.02}],
}  # fmt: skip


@pytest.fixture
def facts(tmp_path):
    """Facts of a finished run, some of them changed."""
    run = RunFolder.create(tmp_path, "my run]\n# x", Config())
    writer = RecordWriter(run.metrics)
    writer.append({"step": 1, "time/step_s": 7200.0})
    writer.close()

    def make(**changes):
        given = {
            "what": "merged",
            "run": run,
            "config": defaults(model={"quantization": "nf4"}),
            "snapshot": Snapshot(step=90, adapters=tmp_path, why="the last checkpoint"),
            "base": Base(
                name="some/base", hub_id="some/base", folder=tmp_path, revision="a" * 40,
                licence=Licence(id="apache-2.0"),
            ),
            "adapter": Adapter(
                name="shared", rank=16, alpha=32, scale=2.0, target_modules=("q_proj",), halves={}
            ),
            "roles": "proposes tasks and solves them",
            "evaluation": comparison_of(TABLE),
            "charts": (Chart(key="accuracy", title="solver accuracy", series=()),),
        }  # fmt: skip
        return Facts(**(given | changes))

    return make


def metadata(card):
    return ModelCard(card).data.to_dict()


def test_the_metadata_is_what_the_hub_reads(facts):
    found = metadata(write_card(facts()))
    assert (found["base_model"], found["base_model_relation"]) == ("some/base", "finetune")
    assert (found["library_name"], found["license"]) == ("transformers", "apache-2.0")
    assert "tinyzero" in found["tags"]
    (model,) = found["model-index"]
    assert [(each["dataset"]["type"], each["metrics"][0]["value"]) for each in model["results"]] == [
        ("nano-heldout", 0.2), ("nano-heldout", 0.2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "relation", "library"),
    [("adapter", "adapter", "peft"), ("merged", "finetune", "transformers"), ("gguf", "quantized", "gguf")],
)
def test_the_relation_to_the_base_is_told_by_what_it_is(facts, what, relation, library):
    found = metadata(write_card(facts(what=what)))
    assert (found["base_model_relation"], found["library_name"]) == (relation, library)


def test_the_table_has_intervals_and_says_where_it_may_be_noise(facts):
    card = write_card(facts())
    assert "| deduction | sampled | 100 | 0.130 | 0.200 | +0.070 | +0.040 to +0.100 |" in card
    assert (
        "| longer programs | greedy | 100 | 0.130 | 0.200 | +0.070 | -0.020 to +0.100 (may be noise) |"
        in card
    )


def test_an_evaluation_of_another_step_stays_out_of_the_metadata(facts):
    other = facts(snapshot=Snapshot(step=60, adapters=Path(), why="chosen by its step"))
    card = write_card(other)
    assert "at step 90 (this is step 60)" in card
    assert "model-index" not in card
    assert record(other, {})["evaluation"] is None


def test_what_was_not_measured_is_said(facts):
    assert "## Results\n\nNot measured." in write_card(facts(evaluation=None))


def test_the_merge_tells_what_survived(facts):
    survival = {name: Survival(along=kept, written=1, wanted=1, changed=3, elements=4) for name, kept in
                (("bf16", 0.53), ("fp16", 0.99), ("fp32", 1.0))}  # fmt: skip
    merged = Merged(merge_base="bf16", dtype="bf16", survival=survival, weight_norm=1e6)
    agreement = Agreement(num_prompts=64, num_positions=500, mean_kl=0.00123, max_kl=0.1, greedy=0.99)
    card = write_card(facts(merged=merged, agreement=agreement))
    assert "It is 1.0e-03 of the weights' size." in card
    assert "Rounding keeps 0.530 of it (cosine 0.530, 75% of the weights changed)" in card
    assert "--dtype fp16 would keep it" in card
    assert "mean KL 1.23e-03 nats" in card
    merged.dtype = "fp16"
    assert "Loaded as bfloat16 it is rounded once more, and keeps 0.530." in write_card(facts(merged=merged))


def test_a_local_base_is_named_without_its_path_and_not_claimed_to_be_on_the_hub(facts, tmp_path):
    base = Base(name="smollm2`\n# evil", folder=tmp_path, licence=Licence())
    card = write_card(facts(base=base))
    assert "base_model" not in card
    assert str(tmp_path) not in card
    assert "\n# evil" not in card
    assert "> **Licence.** The licence of the base model is unknown" in card


def test_what_is_published_names_no_folder_and_no_address_of_ones_own(facts):
    mine = {
        "run": {"output": "/home/me/runs"},
        "model": {"base": "/home/me/base"},
        "evaluation": {"heldout": "/home/me/set.jsonl"},
        "sampling": {
            "engine": "vllm",
            "server_url": "http://me.internal:8000",
            "server_adapters": "/home/me/adapters",
            "server_key_file": "/home/me/key",
        },
    }
    published = public_config(Config.model_validate(mine), facts().base)
    text = json.dumps(published)
    assert "/home/me" not in text
    assert "me.internal" not in text
    assert published["evaluation"]["heldout"] == "set.jsonl"
    assert public_config(defaults(), facts().base)["evaluation"]["heldout"] == "nano"


def test_a_card_names_its_game_and_says_that_nobody_verified_answers_to_questions(facts):
    assert "([Absolute Zero](https://arxiv.org/abs/2505.03335))" in write_card(facts())
    config = defaults(selfplay={"game": "r-zero"})
    card = write_card(facts(config=config))
    assert "Nobody verified these answers." in card
    assert "in turns: 5 of 24 questions, 15 of 8 attempts at each of 16" in card
    tags = metadata(card)["tags"]
    assert "r-zero" in tags
    assert "absolute-zero" not in tags


def test_the_card_of_a_control_says_that_its_rewards_were_dealt_out_at_random(facts):
    assert "**This is a control:**" in write_card(facts(config=defaults(rewards={"control": "shuffled"})))
    assert "control" not in write_card(facts())


def test_a_run_cannot_put_headings_or_markup_into_its_card(facts):
    lines = write_card(facts()).splitlines()
    assert [line for line in lines if line.startswith("# ")] == ["# myrunx"]


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("license: apache-2.0", None),
        ("license: mit", None),
        ("license: cc-by-nc-4.0", "NON-COMMERCIAL"),
        ("license: other\nlicense_name: qwen-research\nlicense_link: https://x/LICENSE", "NON-COMMERCIAL"),
        ("license: llama3.2", "has conditions"),
        ("license: other", "has conditions"),
        ("tags: [x]", "unknown"),
        ("license: [a, b]", "unknown"),
        ('license: "a\\nb"', "unknown"),
        ("license: !!python/object/apply:os.system ['false']", "unknown"),
        ("{", "unknown"),
    ],
)
def test_the_licence_is_inherited_and_said_loudly_where_it_binds(tmp_path, front, said):
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# model\n")
    warning = licence_of(tmp_path).warning
    assert warning is None if said is None else said in warning


@pytest.mark.parametrize(
    ("front", "metadata"),
    [
        ("license: Apache-2.0", {"license": "apache-2.0"}),
        ("license: apache 2.0", {"license": "apache-2.0"}),
        ("license: Apache License, Version 2.0", {"license": "apache-2.0"}),
        ("license: MIT License", {"license": "mit"}),
        ("license: GPLv3", {"license": "gpl-3.0"}),
        ("license: CC BY-NC 4.0", {"license": "cc-by-nc-4.0"}),
        ("license: Llama 3.2 Community License", {"license": "llama3.2"}),
        ("license: [Apache-2.0, MIT]", {"license": ["apache-2.0", "mit"]}),
        ("license: [mit]", {"license": "mit"}),
        ("license: My Own, v1", {"license": "other", "license_name": "my-own-v1"}),
        ("license: [mit, My Own]", {"license": ["mit", "other"], "license_name": "my-own"}),
        (
            "license: other\nlicense_name: Qwen-Research",
            {"license": "other", "license_name": "Qwen-Research"},
        ),
        ("license: other\nlicense_link: LICENSE", {"license": "other", "license_link": "LICENSE"}),
        ("license: other\nlicense_link: ../LICENSE", {"license": "other"}),
        ("license: other\nlicense_link: NOT_THERE", {"license": "other"}),
    ],
)
def test_a_licence_is_written_as_the_hub_knows_it(tmp_path, front, metadata):
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# model\n")
    (tmp_path / "LICENSE").write_text("You may.")
    assert licence_of(tmp_path).metadata == metadata


@pytest.mark.parametrize(
    "name", ["mrl", "mnpl", "cc-by-nc-4.0", "apple-amlr", "some-non-commercial", "x-nc-1.0"]
)
def test_what_forbids_commercial_use_is_said_loudly(tmp_path, name):
    (tmp_path / "README.md").write_text(f"---\nlicense: other\nlicense_name: {name}\n---\n# model\n")
    assert "NON-COMMERCIAL" in licence_of(tmp_path).warning


def test_several_permissive_licences_bind_nobody_and_one_that_binds_is_said(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: [apache-2.0, mit]\n---\n")
    assert licence_of(tmp_path).warning is None
    (tmp_path / "README.md").write_text("---\nlicense: [apache-2.0, gemma]\n---\n")
    assert "(apache-2.0, gemma) has conditions" in licence_of(tmp_path).warning


def test_all_words_of_the_owner_travel_and_nothing_else(tmp_path):
    words = {"LICENSE", "LICENCE.md", "LICENSE-MIT", "Notice.txt", "COPYRIGHT", "TERMS.md",
             "THIRD_PARTY_NOTICES.txt",
             "USE_POLICY.md", "acceptable_use_policy.pdf", "LICENSE.code"}  # fmt: skip
    for name in (*words, "tokenizer.json", "terms.json", "README.md"):
        (tmp_path / name).write_text("")
    assert {path.name for path in licence_files(tmp_path)} == words


def test_a_card_names_the_origin_of_a_local_base(facts, tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    base = Base(name="smollm2", folder=tmp_path, licence=licence_of(tmp_path), origin=origin_of(tmp_path))
    found = metadata(write_card(facts(base=base)))
    assert (found["base_model"], found["license"]) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
    assert "> **Licence.**" not in write_card(facts(base=base))
    (tmp_path / "README.md").write_text("---\nbase_model: ../secret\n---\n")
    assert origin_of(tmp_path) is None


def test_no_card_is_no_known_licence(tmp_path):
    assert "unknown" in licence_of(tmp_path).warning


def test_a_licence_link_is_a_web_address_or_nothing(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_link: javascript:alert(1)\n---\n")
    assert licence_of(tmp_path).metadata == {"license": "other"}


def test_results_are_read_and_written_in_the_hubs_newer_form(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps(TABLE))
    entries = eval_results(read_evaluation(RunFolder(tmp_path)))
    assert entries[0]["dataset"] == {"id": "nano-heldout", "task_id": "deduction"}
    assert entries[0]["value"] == 0.2
    assert yaml.safe_load(yaml.safe_dump(entries)) == entries


def test_a_run_without_results(tmp_path):
    assert read_evaluation(RunFolder(tmp_path)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": []},
        {"rows": [{**ROW, "name": "a | b\n# c"}]},
        {"rows": [{**ROW, "after": 1.5}]},
        {"rows": [{**ROW, "low": 0.2}]},
        {"rows": [{**ROW, "decoding": "beam"}]},
        {"rows": [{**ROW, "before": float("nan")}]},
        {"set": "<script>"},
        {"attempts": 0},
        {"rows": [ROW, {**ROW, "after": None}]},
        {"rows": [{**ROW, "tasks": "many"}]},
    ],
)
def test_what_is_no_table_of_results_is_one_clear_error(tmp_path, change):
    (tmp_path / "evaluation.json").write_text(json.dumps(TABLE | change))
    with pytest.raises(ExportError, match="is not a table of results: ") as caught:
        read_evaluation(RunFolder(tmp_path))
    assert "\n" not in str(caught.value)
