"""A run is saved in its own folder only; what is missing is told, and finished or put aside."""

import json
import shutil
from contextlib import closing

import pytest
from settled import defaults

from tinyzero.errors import CheckpointError, FolderLost
from tinyzero.run import checkpoints
from tinyzero.run.events import Ended
from tinyzero.run.folder import RunFolder
from tinyzero.run.keeping import Keeper, describe_damage, has_results, restore, start_over
from tinyzero.run.records import RecordWriter, append_event


class Part:
    def __init__(self, text="x"):
        self.text = text

    def save(self, folder):
        (folder / "state").write_text(self.text)

    def load(self, folder):
        self.text = (folder / "state").read_text()


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "runs", "x", defaults())


def log(run, *steps):
    with closing(RecordWriter(run.metrics)) as writer:
        for step in steps:
            writer.append({"step": step})


def save(keeper, step=3):
    return keeper.save(step, {"policy": Part()}, keep=2, tell=lambda event: None)


def move(run):
    run.path.rename(run.path.with_name("moved"))


def delete(run):
    shutil.rmtree(run.path)


def replace(run):
    move(run)
    RunFolder.create(run.path.parent, run.name, defaults())


@pytest.mark.parametrize("change", [move, delete, replace])
def test_nothing_is_written_where_the_folder_is_no_longer_that_of_the_run(run, change):
    keeper = Keeper(run, lambda: 0.0)
    change(run)
    with pytest.raises(FolderLost, match="was deleted, moved or replaced while the run trained"):
        save(keeper)
    assert not run.path.exists() or not list(run.checkpoints.iterdir())


def test_a_checkpoint_that_is_gone_or_damaged_is_written_again_though_nothing_has_changed(run):
    keeper = Keeper(run, lambda: 0.0)
    shutil.rmtree(save(keeper))
    assert checkpoints.find_damage(save(keeper)) is None
    (save(keeper) / "policy" / "state").write_text("y")
    assert checkpoints.find_damage(save(keeper)) is None
    shutil.rmtree(run.checkpoints)
    assert checkpoints.find_damage(save(keeper)) is None


def test_settings_that_are_deleted_in_mid_run_are_there_again_with_the_next_checkpoint(run, caplog):
    keeper = Keeper(run, lambda: 0.0)
    run.write_environment({"threads": 2})
    save(keeper)
    for name in ("config.json", "environment.json"):
        (run.path / name).unlink()
    save(keeper)
    assert (run.config(), run.environment()) == (defaults(), {"threads": 2})
    assert caplog.text.count("was deleted; it is there again") == 2


def test_writing_a_checkpoint_is_timed(run):
    told, ticks = [], iter([1.0, 3.5])
    keeper = Keeper(run, lambda: next(ticks))
    keeper.save(3, {"policy": Part()}, keep=2, tell=told.append)
    assert [(event.step, event.seconds) for event in told] == [(3, 2.5)]
    assert keeper.saved_at == 3.5


@pytest.mark.parametrize(
    ("steps", "hole"),
    [((1, 2, 3, 4), None), ((), "1 to 4"), ((1, 3), "2, 4"), ((1, 4, 5, 6), "2 to 3"), ((2, 1, 4), "3")],
)
def test_steps_that_the_log_lacks_are_told(run, caplog, steps, hole):
    checkpoints.write(run, 4, {"policy": Part()})
    log(run, *steps)
    assert restore(run, {"policy": Part()})[0] == 4
    assert caplog.text.count("lacks step(s)") == (hole is not None)
    assert hole is None or f"metrics.jsonl lacks step(s) {hole}: " in caplog.text


def finished(run, *, parts=("policy",)):
    folder = checkpoints.write(run, 3, {name: Part() for name in parts})
    shutil.copytree(folder / "policy", run.adapter)
    append_event(run.events, Ended(step=3, reason="max_steps", seconds=1.0))


def lose_the_adapter(run):
    shutil.rmtree(run.adapter)


def lose_a_part_of_the_adapter(run):
    (run.adapter / "state").unlink()


def keep_an_earlier_adapter(run):
    (run.adapter / "state").write_text("earlier")


def lose_the_end(run):
    run.events.unlink()


@pytest.mark.parametrize(
    "loss", [lose_the_adapter, lose_a_part_of_the_adapter, keep_an_earlier_adapter, lose_the_end]
)
def test_a_run_has_its_results_when_nothing_of_them_is_missing(run, loss):
    finished(run)
    assert has_results(run, 3)
    loss(run)
    assert not has_results(run, 3)


@pytest.mark.parametrize(
    ("evaluation", "expected"), [(None, False), ({"step": 2}, False), ({"step": 3}, True)]
)
def test_a_run_that_is_measured_has_its_results_with_an_evaluation_of_its_last_step(
    run, evaluation, expected
):
    finished(run, parts=("policy", "probe"))
    if evaluation is not None:
        run.write_evaluation(evaluation)
    assert has_results(run, 3) is expected


def test_starting_over_keeps_all_that_was_written(run):
    for number in (1, 2):
        finished(run)
        log(run, 1, 2, 3)
        assert start_over(run) == run.path / f"earlier-{number}"
        assert (run.path / f"earlier-{number}" / "adapter" / "state").read_text() == "x"
        assert restore(run, {"policy": Part()}) == (0, [])
    assert run.config() == defaults()


def test_a_run_that_is_trained_is_not_started_over(run):
    log(run, 1)
    with run.exclusive(), pytest.raises(CheckpointError, match="is being trained by process"):
        start_over(run)
    assert run.metrics.exists()


def test_what_views_leave_out_is_a_line_for_each_file(run):
    assert list(describe_damage(run)) == []
    log(run, 1)
    with run.metrics.open("a") as file:
        file.write("noise\n[]\nnull\n" + json.dumps({"step": 2}) + "\n{unfinished")
    run.tasks.mkdir()
    (run.path / "environment.json").write_text("[")
    assert [line.removeprefix(f"{run.path}/") for line in describe_damage(run)] == [
        "environment.json cannot be read; it is shown as if it were empty",
        "metrics.jsonl has 3 line(s) that no run has written; they are skipped",
        "tasks.jsonl is no file; move it out of the way",
    ]
