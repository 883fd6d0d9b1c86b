"""Figures worked out by hand from made-up steps."""

import pytest
from made import made_state, metrics

from tinyzero.watch import figures
from tinyzero.watch.state import News, RunState, fold


def test_the_funnel_adds_kinds_up_and_takes_the_mean_of_late():
    assert figures.funnel(made_state(12)) == {
        "proposed": 24, "parsed": 21, "allowed": 18, "ran": 15, "deterministic": 12, "nontrivial": 9,
        "new": 6,
    }  # fmt: skip
    assert figures.funnel(made_state(12), "deduction")["new"] == 2
    assert figures.funnel(made_state(0))["new"] == 0


def test_speed_and_time_left():
    state = made_state(10)
    assert figures.tokens_per_s(state) == pytest.approx(2000 / 4)
    assert figures.elapsed_s(state) == pytest.approx(100)
    assert figures.left_s(state) == pytest.approx(800)
    assert figures.phase_seconds(state) == {
        "propose": 1.0, "verify": 0.5, "solve": 3.0, "judge": 0.5, "learn": 4.0, "other": 1.0,
    }  # fmt: skip
    assert figures.left_s(made_state(0)) is None
    config = {"run": {"max_steps": 90, "max_minutes": 5}}
    assert figures.left_s(made_state(10, config=config, last_step_at=1100.0)) == pytest.approx(200)


def test_change_compares_the_last_ten_steps_with_the_first_ten():
    assert figures.change(made_state(20), "solver/accuracy") == pytest.approx(0.05)
    assert figures.change(made_state(5), "solver/accuracy") is None


def test_charts_come_with_the_curves_that_have_data():
    charts = {chart.key: chart for chart in figures.charts(made_state(3))}
    assert [series.name for series in charts["accuracy"].series] == ["deduction", "abduction", "induction"]
    assert charts["accuracy"].series[0].points[-1] == (3, pytest.approx(0.015))
    assert [series.name for series in charts["entropy"].series] == ["shared"]
    assert "heldout" not in charts
    assert figures.charts(made_state(0)) == []


def test_held_out_figures_of_some_steps_are_a_curve_and_have_a_best():
    lines = [metrics(step) for step in range(1, 7)]
    for line, value in zip(lines[1::2], (0.2, 0.5, 0.4), strict=True):
        line |= {"heldout/mean/sampled": value, "heldout/deduction/sampled": value / 2}
    state = fold(made_state(0), News(metrics=lines))
    chart = next(chart for chart in figures.charts(state) if chart.key == "heldout")
    assert [series.name for series in chart.series] == ["deduction", "mean"]
    assert chart.series[1].points == ((2, 0.2), (4, 0.5), (6, 0.4))
    assert figures.best_heldout(state) == 0.5
    assert figures.best_heldout(made_state(3)) is None


def test_the_held_out_curve_begins_with_the_base_model():
    base = {"event": "measured", "step": 0, "heldout/mean/sampled": 0.1}
    news = News(metrics=[metrics(1), metrics(2) | {"heldout/mean/sampled": 0.3}], events=[base])
    state = fold(made_state(0), news)
    chart = next(chart for chart in figures.charts(state) if chart.key == "heldout")
    assert [series.points for series in chart.series] == [((0, 0.1), (2, 0.3))]


def test_smoothing_keeps_the_mean_and_the_number_of_points_bounded():
    points = tuple((step, float(step % 2)) for step in range(1, 10_001))
    smooth = figures.smoothed(points, 50)
    assert len(smooth) == 50
    assert all(value == pytest.approx(0.5) for _, value in smooth)
    assert figures.smoothed(points[:3], 50) == [(1.0, 1.0), (2.0, 0.0), (3.0, 1.0)]
    assert figures.trailing_means(((1, 1.0), (2, 3.0), (3, 5.0)), 2) == [(1, 1.0), (2, 2.0), (3, 4.0)]


def test_every_line_with_advice_is_an_alarm_once_and_the_newest_first():
    events = [
        {"event": "one", "step": 2, "advice": "a"},
        {"event": "two", "step": 3, "advice": "b"},
        {"event": "one", "step": 9, "advice": "c"},
        {"event": "checkpoint", "step": 9},
    ]
    found = figures.alarms(made_state(9, events=events))
    assert [(event.alarm, event.step, event.advice) for event in found] == [("one", 9, "c"), ("two", 3, "b")]


def alarm(name, step):
    return {"event": name, "step": step, "advice": "look"}


def over(name, step):
    return {"event": "alarm_over", "alarm": name, "step": step}


def test_an_alarm_that_is_over_is_shown_no_more_and_is_a_spell_of_the_run():
    events = [alarm("one", 2), alarm("two", 3), over("one", 4), alarm("one", 6), over("two", 7), over("x", 8)]
    state = made_state(9, events=events)
    assert [(event.alarm, event.step) for event in figures.alarms(state)] == [("one", 6)]
    spells = [(spell.begin.alarm, spell.begin.step, spell.over_at) for spell in figures.alarm_spells(state)]
    assert spells == [("one", 2, 4), ("two", 3, 7), ("one", 6, None)]
    shown = [[event.alarm for event in figures.alarms(state.until(step))] for step in range(1, 8)]
    assert shown == [[], ["one"], ["two", "one"], ["two"], ["two"], ["one", "two"], ["one"]]


def test_alarms_of_steps_that_a_kill_undid_never_were():
    resumed = {"event": "start", "step": 5}
    begun = made_state(9, events=[alarm("kept", 4), alarm("undone", 7), resumed])
    assert [event.alarm for event in figures.alarms(begun)] == ["kept"]
    ended = made_state(9, events=[alarm("kept", 4), over("kept", 7), resumed])
    assert [event.alarm for event in figures.alarms(ended)] == ["kept"]


def test_an_alarm_that_was_switched_off_since_is_not_shown():
    config = {"watch": {"silent": ["one"]}}
    state = made_state(9, events=[alarm("one", 2), alarm("two", 3), alarm("three", 4)], config=config)
    assert [event.alarm for event in figures.alarms(state)] == ["three", "two"]


@pytest.mark.parametrize(
    ("events", "steps", "is_running", "life"),
    [
        (["start"], 3, True, "training"),
        (["start", "paused"], 3, True, "paused"),
        (["start", "paused", "resumed"], 3, True, "training"),
        (["start", "measuring"], 0, True, "measuring"),
        (["start", "measuring", "measured"], 0, True, "training"),
        (["start", "end"], 3, False, "stopped"),
        (["start", "end"], 90, False, "finished"),
        (["start", "end", "start"], 3, True, "training"),
        (["start"], 3, False, "interrupted"),
        (["start", "paused"], 3, False, "interrupted"),
        ([], 0, True, "loading"),
        ([], 0, False, "never started"),
    ],
)
def test_what_a_run_is_doing(events, steps, is_running, life):
    news = News(
        metrics=[metrics(step) for step in range(1, steps + 1)], events=[{"event": e} for e in events]
    )
    state = fold(RunState(config={"run": {"max_steps": 90}}, is_running=is_running), news)
    assert figures.phase_of_life(state) == life


R_ZERO = {"selfplay": {"game": "r-zero", "kinds": ["deduction"]}, "run": {"max_steps": 90}}


def turns():
    """A challenger's step between two of the solver's, the first of which was prepared for."""
    challenge = {"proposed": 8, "parsed": 6, "allowed": 4}
    return [
        {
            "step": 1,
            "solver/question/accuracy": 0.5,
            "time/step_s": 10,
            "time/solve_s": 8,
            "time/prepare_s": 30,
        },
        {
            "step": 2,
            **{f"proposer/question/{stage}": number for stage, number in challenge.items()},
            "time/step_s": 10,
            "time/propose_s": 6,
        },
        {"step": 3, "solver/question/accuracy": 0.75, "time/step_s": 10, "time/solve_s": 8},
    ]


def test_a_game_of_turns_has_the_funnel_of_the_steps_that_propose_and_its_own_stages():
    state = fold(RunState(config=R_ZERO), News(metrics=turns()))
    assert state.kinds == ("question",)
    assert figures.funnel(state) == {"proposed": 8, "parsed": 6, "allowed": 4}


def test_what_a_vote_decides_is_called_agreement():
    state = fold(RunState(config=R_ZERO), News(metrics=turns()))
    assert figures.charts(state)[0].title == "agreement with the majority"
    other = fold(RunState(), News(metrics=[{"step": 1, "solver/deduction/accuracy": 0.5}]))
    assert figures.charts(other)[0].title == "solver accuracy"


def test_what_some_steps_alone_take_time_for_is_shared_among_all():
    state = fold(RunState(config=R_ZERO), News(metrics=turns()))
    assert figures.phase_seconds(state) == pytest.approx(
        {"propose": 2, "verify": 0, "solve": 16 / 3, "judge": 0, "learn": 0, "other": 10 - 2 - 16 / 3}
    )
    assert figures.elapsed_s(state) == 60


@pytest.mark.parametrize(("prepared", "a_step"), [((3, 6), 30), ((1,), 10)])
def test_the_time_left_counts_what_later_turns_will_have_to_prepare(prepared, a_step):
    lines = [
        {"step": step, "time/step_s": 10.0, **({"time/prepare_s": 100.0} if step in prepared else {})}
        for step in range(1, 11)
    ]
    state = fold(RunState(config=R_ZERO), News(metrics=lines))
    assert figures.left_s(state) == pytest.approx(80 * a_step)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"event": "seeding", "tasks": 3, "wanted": 9, "what": "questions"}, "writing questions: 3 of 9"),
        ({"event": "seeding", "tasks": 3, "wanted": 9, "what": "tasks"}, "filling the pool: 3 of 9 tasks"),
        ({"event": "seeding", "tasks": 3, "wanted": 9}, "filling the pool: 3 of 9 tasks"),  # an older run
        ({"event": "measuring", "step": 4, "tasks": 9}, "measuring on 9 held-out tasks, as of step 4"),
        ({"event": "paused"}, ""),
    ],
)
def test_a_run_says_what_it_does_before_it_plays_on(line, words):
    state = fold(RunState(is_running=True), News(events=[line, {"event": "checkpoint"}]))
    assert figures.waiting_in_words(state) == words


def thinned_state():
    """Ten steps; every fourth of steps 11 to 110, which stands for four; then eight steps."""
    numbers = [*range(1, 11), *range(14, 111, 4), *range(111, 119)]
    lines = [
        {"step": step, "time/step_s": 2.0, "solver/deduction/accuracy": float(step)}
        | ({"span": 4} if 10 < step <= 110 else {})
        | ({"heldout/mean/sampled": 0.5} if step > 108 else {})
        for step in numbers
    ]
    return fold(RunState(config={"selfplay": {"kinds": ["deduction"]}}), News(metrics=lines))


def test_the_time_of_steps_that_were_left_out_is_counted():
    assert figures.elapsed_s(thinned_state()) == 2.0 * 118


def test_curves_have_the_same_spacing_where_steps_were_left_out_and_where_not():
    heldout, accuracy, *_ = figures.charts(thinned_state())
    points = accuracy.series[0].points
    assert accuracy.spacing == 3  # 110 steps are 35 points
    assert points[:11] == (*((step, float(step)) for step in range(1, 11)), (14, 14.0))
    assert points[35:] == ((112.0, 112.0), (114.5, 114.5), (117.0, 117.0))
    assert heldout.spacing == 1
    assert [step for step, _ in heldout.series[0].points] == [110, *range(111, 119)]


def test_many_alarms_take_time_in_proportion():
    events = [
        {"event": name, "step": step, **({"advice": "look"} if name == "one" else {"alarm": "one"})}
        for step in range(20_000)
        for name in ("one", "alarm_over")
    ]
    spells = figures.alarm_spells(fold(RunState(), News(events=events)))
    assert [spell.over_at for spell in spells] == list(range(20_000))
