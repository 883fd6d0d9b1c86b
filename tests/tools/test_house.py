"""Figures of a tiny checkout, counted by hand."""

import house
import pytest

FIRST = '''\
"""A module."""
import logging

log = logging.getLogger(__name__)
LIMIT = 3
_hidden = 4
size: int = 5


def used() -> int:
    return LIMIT


class Thing:
    def method(self) -> int:
        def inner() -> int:
            return size

        return inner()
'''
SECOND = "from tinyzero.first import used\n\n\ndef alone():\n    return used()\n"


@pytest.fixture
def checkout(tmp_path):
    for name, text in {
        "tinyzero/first.py": FIRST,
        "tinyzero/room/second.py": SECOND,
        "tests/test_first.py": "from tinyzero.first import LIMIT\n" * 6,
        "tools/tool.py": "print(size)\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_files_functions_names_and_tests_are_counted(checkout):
    assert house.figures(house.read_house(checkout)) == {
        "files": "2",
        "lines": "24",  # 19 and 5
        "lines of a file, median / p90 / max": "12 / 19 / 19",
        "functions": "4",  # used 2, method 5, inner 2, alone 2
        "lines of a function, median / p90 / max": "2 / 5 / 5",
        "functions over 40 lines": "0",
        "public names": "5",  # LIMIT, size, used, Thing, alone
        "of these, used in their own file only": "4, untested 2",
        "test lines a line": "0.25",
    }


def test_names_that_nobody_else_mentions_are_told_with_their_place(checkout):
    read = house.read_house(checkout)
    first, second = "tinyzero/first.py", "tinyzero/room/second.py"
    assert read.own_only == [f"{first}:LIMIT", f"{first}:size", f"{first}:Thing", f"{second}:alone"]
    assert read.untested == [f"{first}:Thing", f"{second}:alone"]  # a test names LIMIT, a tool size


def test_the_largest_files_come_first(checkout):
    assert house.largest(house.read_house(checkout), count=1) == ["    19 tinyzero/first.py"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_this_checkout_can_be_walked():
    told = house.walked(house._PROBE.parents[1])
    assert "learner.lr" in told["knobs"]
    assert "trainer.py" in told["modules of one nano step"]
    assert 10 < len(told["modules of one nano step"]) < 60
    assert any(name.endswith("merge.py") for name in told["modules of a merged export"])
