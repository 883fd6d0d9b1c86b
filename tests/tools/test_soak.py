"""Slopes of the soak against numbers worked out by hand."""

import pytest
import soak


def test_a_line_has_its_slope_and_no_doubt():
    slope, half = soak.growth([(step, 3.0 + 0.5 * step) for step in range(100)])
    assert slope == pytest.approx(0.5)
    assert half == pytest.approx(0.0, abs=1e-9)


def test_noise_has_an_interval_that_holds_no_slope():
    # Ten blocks at 0 to 9 whose means are by turns 1 and -1: slope -5 / 82.5, residuals 10 - 25 / 82.5.
    slope, half = soak.growth([(step, (-1.0) ** step) for step in range(10)])
    assert slope == pytest.approx(-5 / 82.5)
    assert half == pytest.approx(2.306 * ((10 - 25 / 82.5) / 8 / 82.5) ** 0.5)
    assert abs(slope) < half


def test_the_table_has_a_row_a_figure():
    looks = [
        (step, soak.Look(trainer_mib=600 + step, others_mib=9.0, descriptors=30, threads=4, processes=5,
                         temporary_files=0, run_kib=13.0 * step))
        for step in range(1, 81)
    ]  # fmt: skip
    rows = soak.table(looks, [2.0] * 80)
    assert len(rows) == 2 + 8
    assert rows[2].startswith("| trainer_mib | 650.50 | +1000.00 | +1000.00 to")
    assert rows[-1] == "| step_s | 2.00 | +0.00 | +0.00 to +0.00 |"
