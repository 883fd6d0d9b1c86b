"""The tasks of a run: the same tasks as in a dictionary of all of them, without holding them."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import task

from tinyzero.cli.task_table import matcher
from tinyzero.run.lines import tasks_of
from tinyzero.run.records import parse
from tinyzero.run.task_log import TaskLog

ODD = [
    task(1, name='q"\\u', kind="x\x07[y]", program="return 1"),
    task(2, name="é", program="ß \u017f \u212a"),
    {**task(3, name="r"), "step": "3", "solve_rate": True},
    {"id": "only"},
    {**task(4, name="late"), "imported_from": "other"},
    task(5, name="SS", message='Say "Hi"\n  now', inputs=["'a'", "]"], outputs=["program"]),
]


@pytest.fixture
def write(tmp_path):
    def write_log(records, damage=b""):
        path = tmp_path / "tasks.jsonl"
        lines = [json.dumps(record).encode() + b"\n" for record in records]
        path.write_bytes(damage.join(lines))
        return path

    return write_log


def all_tasks(path):
    """Every task by id, as `TaskLog` must have it."""
    records = [parse(line) for line in path.read_bytes().splitlines(keepends=True)]
    return {one.id: one for one in tasks_of(record for record in records if record)}


RECORDS = [
    *(task(step, rate=step % 5 / 4) for step in range(1, 30)),
    *ODD,
    task(40, name="t3"),
    task(41, name="t3"),
]


@pytest.mark.parametrize("checked_bytes", [0, 10**6])
def test_tasks_and_their_order_are_those_of_a_dictionary(write, checked_bytes):
    path = write(RECORDS, damage=b'{"step": 1, "id": "half\n[1]\n\xff\xfe{\n')
    log, expected = TaskLog(path, checked_bytes=checked_bytes), all_tasks(path)
    assert list(log) == list(expected)
    assert [log[name] for name in log] == list(expected.values())
    assert list(log.fitting) == list(reversed(expected.values()))
    assert (log["t3"].step, log.fitting[-3].id, len(log.fitting[:4])) == (41, "t3", 4)
    assert "nothing" not in log


def test_damage_behind_the_beginning_of_a_line_is_noticed_in_a_small_log_and_never_fatal(write):
    path = write(RECORDS[:3])
    path.write_bytes(path.read_bytes().replace(b'"attempts": 8', b'"attempts": }', 1))
    assert list(TaskLog(path)) == ["t2", "t3"]
    log = TaskLog(path, matcher("zzz", None, None, None, None), checked_bytes=0)
    assert len(log) == 3
    assert list(log.fitting) == []
    assert [one.id for one in TaskLog(path, checked_bytes=0).fitting] == ["t3", "t2"]
    with pytest.raises(KeyError):
        log["t1"]


def test_an_unfinished_line_and_a_missing_log_have_no_task(write, tmp_path):
    path = write(RECORDS[:2])
    path.write_bytes(path.read_bytes()[:-1])
    assert list(TaskLog(path, checked_bytes=0)) == ["t1"]
    assert len(TaskLog(tmp_path / "nowhere")) == 0


@pytest.mark.parametrize("checked_bytes", [0, 10**6])
@pytest.mark.parametrize(
    ("search", "kind", "solved", "rate", "steps", "expected"),
    [
        (None, "x\x07[y]", None, None, None, ['q"\\u']),
        (None, None, "all", None, "5:9", ["t9"]),
        (None, None, "some", "0.5:0.6", ":9", ["t7", "t2"]),
        (None, None, "untried", None, None, ["only", "r"]),
        ("HI", None, None, None, None, ["SS"]),
        ('"hi"', None, None, None, None, ["SS"]),
        ("now", None, None, None, None, ["SS"]),
        ("n", "deduction", None, None, "5", ["SS", "t5"]),
        ("ss", None, None, None, None, ["SS", "é"]),
        ("k", None, None, None, None, ["é"]),
        ("program", None, None, None, None, ["SS"]),
        ("]\nprogram", None, None, None, None, ["SS"]),
        ("deduction", None, None, None, None, []),
    ],
)
def test_filters_find_what_they_say(write, checked_bytes, search, kind, solved, rate, steps, expected):
    log = TaskLog(write(RECORDS), matcher(search, kind, solved, rate, steps), checked_bytes=checked_bytes)
    assert [one.id for one in log.fitting] == expected


ALPHABET = 'nrt\\"\n aé:,[]'


@given(
    texts=st.lists(st.text(ALPHABET, max_size=6), min_size=4, max_size=4),
    search=st.text(ALPHABET, max_size=3),
)
def test_a_search_finds_a_text_wherever_it_is(tmp_path_factory, texts, search):
    path = tmp_path_factory.mktemp("log") / "tasks.jsonl"
    program, given_input, output, message = texts
    record = task(1, name="x", program=program, inputs=[given_input], outputs=[output], message=message)
    path.write_text(json.dumps(record) + "\n")
    log = TaskLog(path, matcher(search, None, None, None, None), checked_bytes=0)
    assert len(log.fitting) == (search.casefold() in "\n".join(["x", *texts]).casefold())


def test_a_log_takes_a_few_hundred_bytes_of_memory_a_task(tmp_path):
    path = tmp_path / "tasks.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps(task(step, program="x" * 2000)) + "\n" for step in range(5000))
    tracemalloc.start()
    log = TaskLog(path, matcher(None, "deduction", None, None, None))
    assert len(log.fitting[:40]) == 40
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5000 * 400
