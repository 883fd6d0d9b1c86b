"""The learning rate over a run, worked by hand."""

import pytest

from tinyzero.learning.learner import lr_factor


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1]),
        ("linear", 0, [1, 0.75, 0.5, 0.25]),
        ("constant", 3, [0.25, 0.5, 0.75, 1]),
        ("linear", 1, [0.5, 0.75, 0.5, 0.25]),
    ],
)
def test_the_factor_rises_and_falls_in_equal_parts(schedule, warmup, expected):
    factors = [lr_factor(done, schedule, warmup=warmup, total=4) for done in range(4)]
    assert factors == pytest.approx(expected)


def test_a_run_beyond_its_length_still_learns_a_little():
    assert lr_factor(10, "linear", warmup=0, total=4) == 0.25
