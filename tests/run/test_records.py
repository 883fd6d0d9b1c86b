"""Append-only logs: whole lines only, whatever a kill leaves behind."""

import json
import math
import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.errors import CheckpointError
from tinyzero.run.records import RecordWriter, read, thin, truncate_after


def write(path, records):
    with closing(RecordWriter(path)) as writer:
        for record in records:
            writer.append(record)


def test_a_line_can_be_read_as_soon_as_append_returns(tmp_path):
    writer = RecordWriter(tmp_path / "log.jsonl")
    writer.append({"step": 1, "text": "a\nb\u2028c\x00"})
    assert list(read(tmp_path / "log.jsonl")) == [{"step": 1, "text": "a\nb\u2028c\x00"}]
    assert (tmp_path / "log.jsonl").read_bytes().count(b"\n") == 1
    writer.close()


def test_half_a_surrogate_pair_of_a_model_survives(tmp_path):
    write(tmp_path / "log.jsonl", [{"text": "\ud83d"}])
    assert list(read(tmp_path / "log.jsonl")) == [{"text": "\ud83d"}]


def test_numbers_that_json_cannot_say_become_null(tmp_path):
    write(tmp_path / "log.jsonl", [{"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}}])
    assert list(read(tmp_path / "log.jsonl")) == [{"a": None, "b": [None, 1.5], "c": {"d": None}}]


@given(cut=st.integers(0, 200))
def test_a_log_cut_anywhere_reads_as_its_whole_lines_and_can_be_continued(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "log.jsonl"
    records = [{"step": step, "text": "x" * 20} for step in range(1, 6)]
    write(path, records)
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    whole = records[: content.count(b"\n")]
    assert list(read(path)) == whole
    write(path, [{"step": 9}])
    assert list(read(path)) == [*whole, {"step": 9}]


def test_a_reader_passes_over_lines_that_are_no_objects(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n\xff\xfe\n[1]\n{"step": \n{"step": 2}\n{"step": 3')
    assert [record["step"] for record in read(path)] == [1, 2]


def test_a_missing_log_is_an_empty_one(tmp_path):
    assert list(read(tmp_path / "log.jsonl")) == []
    truncate_after(tmp_path / "log.jsonl", 3)
    assert not (tmp_path / "log.jsonl").exists()


def test_truncating_forgets_the_steps_that_are_played_again(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, [{"step": step, "n": n} for step in (1, 2, 3) for n in (0, 1)])
    with path.open("ab") as file:
        file.write(b'{"step": 4, "n"')
    truncate_after(path, 2)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": step, "n": n} for step in (1, 2) for n in (0, 1)
    ]
    truncate_after(path, 0)
    assert path.read_bytes() == b""


def test_truncating_keeps_lines_without_a_step_and_a_damaged_line_in_the_middle(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event": "x"}\nbroken\n{"step": 1}\n{"step": 2}\n')
    truncate_after(path, 1)
    assert path.read_bytes() == b'{"event": "x"}\nbroken\n{"step": 1}\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        CheckpointError, match=r"cannot write .*log.jsonl: No space left on device .*make room"
    ):
        write(tmp_path / "log.jsonl", [{"step": 1}])


def test_a_disk_that_takes_a_part_is_asked_for_the_rest(tmp_path):
    path = tmp_path / "log.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            write(path, [{"step": 1}, {"text": "x" * 2000}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(read(path)) == [{"step": 1}]


LOG_FOREVER = """
import itertools, sys
from pathlib import Path
from tinyzero.run.records import RecordWriter
writer = RecordWriter(Path(sys.argv[1]))
for step in itertools.count(1):
    writer.append({"step": step, "text": "x" * 5000})
    print(step, flush=True)
"""


def test_kill_9_in_mid_log_loses_no_acknowledged_line(tmp_path):
    path = tmp_path / "log.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", LOG_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        acknowledged = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    steps = [record["step"] for record in read(path)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= int(acknowledged[-1])


def test_a_thinned_log_keeps_the_newest_steps_and_one_in_ten_of_the_others(tmp_path):
    path = tmp_path / "samples.jsonl"
    write(path, [{"step": step, "turn": turn} for step in range(1, 301) for turn in range(3)])
    thin(path, last=200, stride=10)
    steps = [record["step"] for record in read(path)]
    early = steps[: steps.index(201)]
    assert steps[len(early) :] == [step for step in range(201, 301) for _ in range(3)]
    assert len(early) == 3 * 19  # of the first ten steps, step 0 would have been the one
    assert {step // 10 for step in early} == set(range(1, 20))
    assert len({step % 10 for step in early}) > 5
    before = path.read_bytes()
    thin(path, last=200, stride=10)
    assert path.read_bytes() == before


KILLED_THINNER = """
import os, signal, sys
from pathlib import Path
from tinyzero.run import durable, records
name = sys.argv[2]
real = getattr(Path, name)
def killed(self, *rest):
    if self.name == ".samples.jsonl.partial" and (name == "replace" or "wb" in rest):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *rest)
setattr(Path, name, killed)
records.thin(Path(sys.argv[1]), last=50, stride=10)
"""


@pytest.mark.parametrize("moment", ["open", "replace"])
def test_a_kill_while_a_log_is_thinned_loses_nothing(tmp_path, moment):
    path = tmp_path / "samples.jsonl"
    write(path, [{"step": step} for step in range(1, 101)])
    before = path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED_THINNER, str(path), moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    thin(path, last=50, stride=10)
    assert [record["step"] for record in read(path)][-50:] == list(range(51, 101))
    assert [file.name for file in tmp_path.iterdir()] == ["samples.jsonl"]


def test_only_lines_that_mention_a_text_are_read(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, [{"id": 'a"é'}, {"id": "b"}, {"id": 'a"é', "step": 2}])
    assert [record.get("step") for record in read(path, mentioning='a"é')] == [None, 2]


def lines_of(path):
    return [record["step"] for record in read(path)]


def delete(path):
    path.unlink()


def replace_as_an_editor_does(path):
    path.with_name("edited").write_bytes(path.read_bytes())
    path.with_name("edited").replace(path)


def put_a_folder_there(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [delete, replace_as_an_editor_does, put_a_folder_there])
@pytest.mark.parametrize("is_noticed_at", ["the next line", "the end"])
def test_a_log_that_another_program_takes_away_is_there_again_and_its_file_is_kept(
    tmp_path, caplog, change, is_noticed_at
):
    path = tmp_path / "metrics.jsonl"
    writer = RecordWriter(path)
    writer.append({"step": 1})
    change(path)
    if is_noticed_at == "the next line":
        writer.append({"step": 2})
    writer.close()
    assert lines_of(path) == ([1, 2] if is_noticed_at == "the next line" else [1])
    assert (tmp_path / "metrics.jsonl.other-1").exists() is (change is not delete)
    assert f"{path} was deleted or replaced" in caplog.text
    with closing(RecordWriter(path)) as again:
        again.append({"step": 3})
    assert lines_of(path)[-1] == 3


@pytest.mark.parametrize("content", [b"", b'{"step": 1}', b'{"step": 1}\nnotes'])
def test_a_log_that_is_changed_in_place_is_told_and_goes_on_with_a_line_of_its_own(tmp_path, caplog, content):
    path = tmp_path / "metrics.jsonl"
    with closing(RecordWriter(path)) as writer:
        writer.append({"step": 1})
        path.write_bytes(content)
        writer.append({"step": 2})
        writer.append({"step": 3})
    assert lines_of(path) == ([1, 2, 3] if content else [2, 3])
    assert caplog.text.count("was changed by another program") == 1


@pytest.mark.parametrize("is_there_again", [False, True])
def test_a_log_whose_folder_is_gone_grows_on_and_can_be_saved_elsewhere(tmp_path, is_there_again):
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    with closing(RecordWriter(path)) as writer:
        writer.append({"step": 1})
        path.parent.rename(tmp_path / "moved")
        if is_there_again:
            path.parent.mkdir()
        writer.append({"step": 2})
        writer.save_to(tmp_path / "saved.jsonl")
        assert lines_of(tmp_path / "saved.jsonl") == [1, 2]
        assert not path.exists()


@pytest.mark.parametrize("step", ["x", None, [], {}, True])
def test_truncating_passes_over_steps_that_are_no_numbers(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": number}) + "\n" for number in (1, step, 2, 3)))
    truncate_after(path, 2)
    assert lines_of(path) == [1, step, 2]


def test_a_folder_in_the_place_of_a_log_is_one_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"cannot read .*metrics.jsonl: Is a directory; move it out"):
        list(read(path))
    for act in (RecordWriter, lambda path: truncate_after(path, 1)):
        with pytest.raises(CheckpointError, match=r"cannot write .*: Is a directory .*; move that out"):
            act(path)
