"""Reading a log that is being written: whole lines only, each once, and again after a resume."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tinyzero.run.lines import SPAN
from tinyzero.watch.follow import Tail


def line(step, text="x"):
    return json.dumps({"step": step, "text": text}).encode() + b"\n"


@given(pieces=st.lists(st.integers(1, 40), max_size=12))
def test_a_log_written_in_any_pieces_is_read_once_and_whole(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    content, seen = b"".join(line(step) for step in range(1, 6)), []
    tail, written = Tail(path), 0
    for size in [*pieces, len(content)]:
        with path.open("ab") as file:
            file.write(content[written : written + size])
        written += size
        records, is_void = tail.read()
        assert not is_void
        seen += [record["step"] for record in records]
    assert seen == [1, 2, 3, 4, 5]


def test_a_log_that_was_cut_back_and_written_again_is_read_again(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + line(2) + line(3))
    tail = Tail(path)
    assert len(tail.read()[0]) == 3
    path.write_bytes(line(1))
    assert tail.read() == ([{"step": 1, "text": "x"}], True)
    assert tail.read() == ([], False)


def test_a_log_that_grew_beyond_its_old_end_after_a_cut_is_noticed_as_well(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + line(2, "first"))
    tail = Tail(path)
    tail.read()
    path.write_bytes(line(1) + line(2, "other") + line(3))
    records, is_void = tail.read()
    assert is_void
    assert [record["text"] for record in records] == ["x", "other", "x"]


def test_a_missing_or_vanished_log_is_an_empty_one(tmp_path):
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    assert tail.read() == ([], False)
    path.write_bytes(line(1))
    assert len(tail.read()[0]) == 1
    path.unlink()
    assert tail.read() == ([], True)


def test_damage_in_the_middle_is_passed_over(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + b"\xff\xfe{\n[1]\n" + b"[" * 100_000 + b"\n" + line(2))
    assert [record["step"] for record in Tail(path).read()[0]] == [1, 2]


def test_only_the_last_pages_of_a_long_log_are_read(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(step, "x" * 80) for step in range(100)))
    steps = [record["step"] for record in Tail(path, last_bytes=1000).read()[0]]
    assert steps == list(range(100 - len(steps), 100))
    assert 5 < len(steps) < 11


def test_of_the_early_lines_of_a_long_log_some_stand_for_all(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(step, "rare" if step % 100 == 7 else "x" * 50) for step in range(1, 2001)))
    size = path.stat().st_size
    tail = Tail(path, last_bytes=size // 10, early_bytes=size // 10, always=[b'"rare"'])
    records, _ = tail.read()
    steps = [record["step"] for record in records]
    assert steps == sorted(set(steps))
    assert steps[:20] == list(range(1, 21))
    assert steps[-190:] == list(range(1811, 2001))
    assert set(range(7, 2000, 100)) <= set(steps)
    assert 400 < len(steps) < 460
    assert sum(record.get(SPAN, 1) for record in records) == 2000
    assert len({step % 9 for step in steps[20:-250]}) == 9  # no rhythm that a game could share
    with path.open("ab") as file:
        file.write(line(2001))
    assert tail.read() == ([{"step": 2001, "text": "x"}], False)


def test_a_log_that_is_not_long_is_read_as_it_is(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(step) for step in range(100)) + b"[1]\n" + line(100) + b"{")
    size = path.stat().st_size
    for last_bytes, early_bytes in ((size, 1), (1, size), (size // 2, size)):
        records, _ = Tail(path, last_bytes=last_bytes, early_bytes=early_bytes).read()
        assert records == [{"step": step, "text": "x"} for step in range(101)]
