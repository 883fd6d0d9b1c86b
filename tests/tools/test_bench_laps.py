"""Laps, medians and ratios against numbers worked out by hand, with a clock that the work itself moves."""

import pytest
from bench.laps import Lap, Race, race


class Course:
    """A clock, and two kinds of work that move it."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def work(self, name, seconds, amount):
        def run(lap):
            self.order.append((name, lap))
            self.now += seconds[lap]
            return amount

        return run


def test_the_two_take_turns_and_the_first_laps_do_not_count():
    course = Course()
    raced = race(
        course.work("ours", [100.0, 2.0, 4.0, 5.0], 10),
        course.work("theirs", [900.0, 8.0, 4.0, 10.0], 20),
        repeats=3,
        clock=lambda: course.now,
    )
    assert course.order == [
        *(("theirs", 0), ("ours", 0), ("ours", 1), ("theirs", 1)),
        *(("theirs", 2), ("ours", 2), ("ours", 3), ("theirs", 3)),
    ]
    assert [lap.seconds for lap in raced.ours] == [2.0, 4.0, 5.0]
    # rates 5, 2.5, 2 and 2.5, 5, 2: medians 2.5 and 2.5; neighbours 5 / 2.5, 2.5 / 5, 2 / 2
    assert raced.speedup == pytest.approx(1.0)
    assert raced.spread == pytest.approx((0.5, 2.0))


def test_the_speedup_compares_rates_and_not_seconds():
    raced = Race(
        ours=(Lap(seconds=2.0, amount=300),) * 3,
        theirs=(Lap(seconds=1.0, amount=100), Lap(seconds=1.0, amount=50), Lap(seconds=4.0, amount=400)),
    )
    assert raced.figures() == pytest.approx(
        {
            "ours_s": 2.0,
            "theirs_s": 1.0,
            "ours_per_s": 150.0,
            "theirs_per_s": 100.0,
            "speedup": 1.5,
            "speedup_min": 1.5,
            "speedup_max": 3.0,
        }
    )
