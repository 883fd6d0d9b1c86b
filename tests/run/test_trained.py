"""Which checkpoint is meant, and how a run was trained."""

import shutil

import pytest
import torch
from settled import CARD, defaults

from tinyzero.config import Config
from tinyzero.errors import CheckpointError
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import RecordWriter
from tinyzero.run.trained import choose_snapshot, opened_here


class Part:
    def save(self, folder):
        (folder / "state").write_text("x")

    def load(self, folder):
        pass


@pytest.fixture
def make_run(tmp_path):
    def make(steps=(20, 40, 60), scores=None, **model):
        run = RunFolder.create(tmp_path, "run", Config.model_validate({"model": model}))
        for step in steps:
            checkpoints.write(run, step, {"policy": Part()})
        writer = RecordWriter(run.metrics)
        for step in range(1, 61):
            measured = {"heldout/mean/sampled": scores[step]} if scores and step in scores else {}
            writer.append({"step": step, **measured})
        writer.close()
        return run

    return make


def test_the_last_checkpoint_and_one_by_its_step(make_run):
    run = make_run()
    assert choose_snapshot(run).step == 60
    chosen = choose_snapshot(run, "40")
    assert (chosen.step, chosen.adapters) == (40, run.checkpoints / "step-000040" / "policy")


def test_the_best_checkpoint_is_the_one_with_the_highest_held_out_rate_that_is_kept(make_run):
    run = make_run(scores={10: 0.9, 20: 0.2, 40: 0.3, 50: 0.8, 60: 0.1})
    best = choose_snapshot(run, "best")
    assert best.step == 40
    assert best.why == "the best of 3 by heldout/mean/sampled, 0.300"


def test_of_equal_checkpoints_the_later_is_the_best(make_run):
    assert choose_snapshot(make_run(scores={20: 0.3, 40: 0.3}), "best").step == 40


@pytest.mark.parametrize("scores", [None, {10: 0.9}, {20: "0.9"}])
def test_without_a_measurement_the_last_is_taken_and_that_is_said(make_run, scores):
    chosen = choose_snapshot(make_run(scores=scores), "best")
    assert chosen.step == 60
    assert "was measured at none that is kept" in chosen.why


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("30", "has no checkpoint of step 30; there are 20, 40, 60"),
        ("newest", "must be best, last or the number"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(make_run, wanted, said):
    with pytest.raises(CheckpointError, match=said):
        choose_snapshot(make_run(), wanted)


def test_a_damaged_checkpoint_is_not_the_last_and_cannot_be_chosen(make_run, caplog):
    run = make_run()
    (run.checkpoints / "step-000060" / "policy" / "state").write_text("y")
    chosen = choose_snapshot(run)
    assert (chosen.step, chosen.why) == (40, "the last intact checkpoint, for step-000060 is damaged")
    damage = "step-000060 is damaged (policy/state is missing or changed); step 40 is used instead"
    assert damage in caplog.text
    with pytest.raises(CheckpointError, match="is damaged"):
        choose_snapshot(run, "60")


def test_a_run_without_checkpoints(make_run):
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        choose_snapshot(make_run(steps=()))


@pytest.mark.parametrize(
    ("quantization", "device", "is_4_bit"),
    [("auto", "cuda:0", True), ("auto", "cpu", False), ("nf4", "cpu", True), ("none", "cuda", False)],
)
def test_a_run_opens_as_it_was_quantised_in_training(make_run, quantization, device, is_4_bit):
    run = make_run(quantization=quantization, gradient_checkpointing=True)
    run.write_environment({"device": device})
    opened = opened_here(run.config()).model
    assert opened.is_4_bit is is_4_bit
    assert not opened.gradient_checkpointing


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_a_run_of_a_card_opens_on_a_cpu_in_float32():
    trained = defaults(CARD, model={"loader": "unsloth"})
    opened = opened_here(trained)
    assert (opened.hardware.device, opened.model.dtype) == ("cpu", "float32")
    assert (opened.model.loader, opened.model.quantization) == ("transformers", "nf4")


def test_a_run_of_a_cpu_opens_in_its_own_type():
    trained = defaults(model={"dtype": "bfloat16"}, hardware={"device": "cpu"})
    assert opened_here(trained).model.dtype == "bfloat16"


def test_a_run_whose_checkpoints_are_gone_is_not_said_to_have_none_yet(make_run):
    run = make_run()
    shutil.rmtree(run.checkpoints)
    with pytest.raises(
        CheckpointError, match=r"there is no checkpoint in .*; put it back, or play the run anew"
    ):
        choose_snapshot(run)
