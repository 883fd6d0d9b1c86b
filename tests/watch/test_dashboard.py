"""The screen as a pure function: every size, every state, and whatever a model may write."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import CONFIG, KINDS, made_state, metrics, sample, task
from rich.cells import cell_len

from tinyzero.machine.usage import GpuUsage, Usage
from tinyzero.run.lines import comparison_of
from tinyzero.watch import figures
from tinyzero.watch.curves import curves
from tinyzero.watch.dashboard import render
from tinyzero.watch.keys import LEGEND_HELP, press
from tinyzero.watch.painter import Painter
from tinyzero.watch.state import News, RunState, fold
from tinyzero.watch.view import SERIES_COLORS, View, bar, duration

SIZES = [(80, 24), (120, 40), (200, 60)]
PLAIN = Painter(is_plain=True)
USAGE = Usage(
    cpu_percent=88,
    used_gib=3.1,
    total_gib=15.6,
    gpu=GpuUsage(name="RTX 4090", percent=93, used_gib=14.2, total_gib=24, celsius=71, watts=310),
)
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07[bold red]markup[/] [/nonsense] [link=http://evil]x[/link] \r\n\t\u202e\u200b"
    "\ud800 %s {0} \x9b31m </script>"
)
ROW = {"name": "mean", "decoding": "sampled", "tasks": 300, "before": 0.133, "after": 0.204,
       "difference": 0.071, "low": 0.04, "high": 0.102}  # fmt: skip


def shown(state, view=None, size=(120, 40)):
    width, height = size
    lines = PLAIN.lines(render(state, view or View(), width=width, height=height), width, height)
    return "\n".join(lines)


def hostile_state(text=HOSTILE):
    lines = [{**metrics(1), f"solver/{text[:20]}/accuracy": 0.5}]
    tasks = [task(1, name="t", kind=text, program=text, inputs=[text], outputs=[text], message=text)]
    samples = [
        sample(1, task_id="t", kind=text, completion=text, reward_terms={text: 1.0},
               verdict={"status": text, "answer": text, "detail": text}),
        sample(1, role=text, kind=text, task_id="", completion=text, verdict=None, prompt=text),
    ]  # fmt: skip
    events = [{"event": text, "advice": text, "step": 1}]
    state = fold(
        RunState(name=text, is_running=True), News(metrics=lines, samples=samples, tasks=tasks, events=events)
    )
    return fold(state, News())


STATES = {
    "empty": RunState(),
    "before the first step": made_state(0),
    "one step": made_state(1),
    "ninety": made_state(90),
    "hostile": hostile_state(),
    "hostile and long": hostile_state(HOSTILE * 300),
    "wide": hostile_state("中文字\U0001f600漢 " * 200),
    "combining": hostile_state("e\u0301\u0300" * 400),
}


CASES = [
    *((size, "auto", False) for size in SIZES),
    *((size, layout, True) for size in SIZES[:2] for layout in ("compact", "full")),
    *((size, layout, False) for size in ((60, 12), (20, 5), (1, 1), (300, 9)) for layout in ("auto", "full")),
]


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_every_line_fills_the_screen_exactly_and_nothing_steers_it(state):
    for (width, height), layout, is_ascii in CASES:
        view = View(
            is_ascii=is_ascii, has_color=not is_ascii, usage=USAGE, keys=HOSTILE, notice=HOSTILE * (width % 2)
        )
        content = render(state, press_layout(view, layout), width=width, height=height)
        texts = [without_styles(line) for line in Painter().lines(content, width, height)]
        assert len(texts) == height
        assert {cell_len(text) for text in texts} == {width}
        assert all(char.isprintable() for text in texts for char in text)
        assert not is_ascii or all(text.isascii() for text in texts)


def press_layout(view, layout):
    while view.layout != layout:
        view = press(view, "l", KINDS)
    return view


def without_styles(line):
    """A line less the styles that the painter put in: nothing else may begin with an escape."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@settings(max_examples=15, deadline=None)
@given(text=st.text(min_size=1, max_size=60))
def test_whatever_a_model_writes_the_screen_keeps_its_shape(text):
    content = render(hostile_state(text), View(), width=90, height=30)
    for line in Painter().lines(content, 90, 30):
        assert cell_len(without_styles(line)) == 90
        assert without_styles(line).isprintable()


@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.floats() | st.integers(), min_size=1, max_size=6), step=st.integers())
def test_whatever_the_figures_are_they_are_drawn(values, step):
    lines = [dict.fromkeys(metrics(1), value) | {"step": step + at} for at, value in enumerate(values)]
    content = render(fold(RunState(), News(metrics=lines)), View(now=2e9), width=200, height=60)
    assert len(Painter().lines(content, 200, 60)) == 60


def test_markup_of_a_model_is_text():
    state = made_state(1, tasks=[task(1, program="[bold]x[/bold]")], samples=[sample(1)])
    assert "[bold]x[/bold]" in shown(state)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_what_a_person_wants_at_a_glance_is_there(size):
    events = [{"event": "nothing_to_learn", "step": 5, "advice": "read samples.jsonl"}]
    screen = shown(made_state(30, events=events), View(usage=USAGE, keys="q quit"), size)
    for words in (
        "first", "training", "step 30/90", "33%", "elapsed 5 min 00 s", "cpu 88 %",
        "RTX 4090 93 % 14.2/24.0 GiB", "accuracy 0.23 +0.10", "solver accuracy", "proposed",
        "nothing_to_learn at step 5: read samples.jsonl", "propose", "expected", "def f(a, b):", "+1.00",
        "q quit",
    ):  # fmt: skip
        assert words in screen
    assert re.search(r"step 30 · solver · deduction · correct", screen)


def test_larger_screens_show_more():
    compact, full, large = (shown(made_state(30), size=size) for size in SIZES)
    assert "newest tasks" not in compact
    assert "newest tasks" in full
    assert "solver reward, means" in full
    assert "policy entropy" not in full
    assert "policy entropy" in large


def test_ten_thousand_steps_are_drawn():
    screen = shown(made_state(10_000))
    assert "step 10000/90" in screen
    assert "means of 1250 steps" in screen


def test_a_run_without_a_step_says_what_it_waits_for():
    screen = shown(made_state(0))
    assert "waiting for the first step" in screen
    assert "no sample yet" in screen
    assert "left" not in screen


def test_a_run_that_is_measured_says_so():
    events = ({"event": "start", "step": 0}, {"event": "measuring", "step": 0, "tasks": 375})
    screen = shown(made_state(0, events=events, is_running=True))
    assert "measuring on 375 held-out tasks, as of step 0" in screen
    assert "waiting for the first step" not in screen


def test_a_measurement_says_how_long_it_takes_beside_how_long_the_last_one_took():
    events = (
        {"event": "measuring", "step": 0, "tasks": 375, "time": 1000.0},
        {"event": "measured", "step": 0, "time": 1085.0, "heldout/mean/sampled": 0.15},
        {"event": "measuring", "step": 10, "tasks": 375, "time": 1200.0},
    )
    state, view = made_state(10, events=events, is_running=True), View(now=1235.0)
    assert "measuring on 375 held-out tasks, as of step 10, for 35 s (the last took 1 min 25 s)" in shown(
        state, view
    )
    assert "elapsed 3 min 40 s" in shown(state, view)  # ten steps of 10 s, 85 s and 35 s
    assert "measuring for 35 s (last: 1 min 25 s)" in shown(state, view, (40, 20))


def test_without_colour_letters_tell_the_curves_apart():
    view = View(has_color=False)
    screen = shown(made_state(30), view)
    assert "d deduction" in screen
    assert re.search(r"│.*ddd", screen)
    lines = Painter(color_system=None).lines(render(made_state(30), view, width=120, height=40), 120, 40)
    assert not any(re.search(r"\x1b\[[0-9;]*[34][0-9]", line) for line in lines)


def test_the_table_before_and_after_is_shown_where_there_is_one():
    comparison = comparison_of(
        {"set": "nano-heldout", "step": 90, "rows": [ROW, {**ROW, "name": "longer programs"}]}
    )
    screen = shown(made_state(90, comparison=comparison), size=(200, 60))
    assert "before and after, nano-heldout, step 90" in screen
    assert re.search(r"mean sampled +0\.133 +0\.204 \+0\.071 +\[\+0\.040, \+0\.102\]", screen)
    assert "longer programs sam" in screen


@pytest.mark.parametrize("size", [(100, 34), (120, 40), (150, 50), (200, 60)], ids=str)
def test_the_table_is_whole_in_every_full_layout_with_the_sampled_mean_on_top(size):
    decodings = [
        {**ROW, "name": name, "decoding": d} for d in ("greedy", "sampled") for name in (*KINDS, "mean")
    ]
    screen = shown(made_state(90, comparison=comparison_of({"set": "s", "rows": decodings})), size=size)
    table = [line for line in screen.splitlines() if "[+0.040, +0.102]" in line]
    assert len(table) >= 6
    assert "mean sampled" in table[0]
    assert "deduction sampled" in table[1]


def test_held_out_accuracy_gets_a_chart_beside_the_solvers():
    state = fold(made_state(3), News(metrics=[{**metrics(4), "heldout/mean/sampled": 0.31}]))
    assert "held-out accuracy" in shown(state)
    assert "held-out 0.31" in shown(state)


def measured_state(steps=30, gain_low=0.1, now=0.34, **fields):
    """A run that was measured before its first step and at its last; accuracy on its own tasks falls."""
    own = {step: 0.5 - 0.01 * step for step in range(1, steps + 1)}
    lines = [{**metrics(step), "solver/accuracy": value} for step, value in own.items()]
    kinds = {f"heldout/{kind}/sampled": 0.2 for kind in KINDS}
    heldout = {"heldout/mean/sampled": now, "heldout/mean/greedy": 0.4, "heldout/mean/gain_low": gain_low}
    lines[-1] |= {**kinds, **heldout}
    before = {**kinds, "heldout/mean/sampled": 0.15, "heldout/mean/greedy": 0.24}
    events = [{"event": "measured", "step": 0, **before}]
    state = made_state(0, samples=[sample(steps)], tasks=[task(steps)], events=events, **fields)
    return fold(state, News(metrics=lines))


@pytest.mark.parametrize("size", [(40, 12), (40, 20), (60, 16), (80, 24), (100, 34), (120, 40)], ids=str)
@pytest.mark.parametrize("is_ascii", [False, True])
def test_held_out_before_now_difference_and_noise_lead_in_every_layout_from_forty_columns(size, is_ascii):
    lines = shown(measured_state(), View(is_ascii=is_ascii), size).splitlines()
    arrow = ">" if is_ascii else "→"
    assert lines[2].startswith(f" held-out 0.15 {arrow} 0.34 +0.19 above noise")
    assert lines[3].startswith(" Learning: better at ")
    for gain_low, now, words in ((-0.02, 0.16, "+0.01 within noise"), (-0.12, 0.05, "-0.10 below noise")):
        worse = shown(measured_state(gain_low=gain_low, now=now), View(is_ascii=is_ascii), size)
        assert words in worse


def test_a_sentence_says_why_accuracy_on_own_tasks_may_fall():
    assert (
        "Learning: better at tasks it never saw, above noise. "
        "Its own tasks get harder, so accuracy on them falls."
    ) in shown(measured_state())


def test_only_the_held_out_difference_is_coloured():
    state, view = measured_state(), View()
    line = Painter().lines(render(state, view, width=120, height=40), 120, 40)[2]
    colours = re.findall(r"38;2;[0-9;]*m([^\x1b]*)", line)
    assert "".join(colours).strip() == "+0.19 above noise"
    assert "accuracy 0.25 -0.20" in without_styles(line)


def test_a_small_screen_shows_the_means_and_a_sample_with_its_answer():
    screen = shown(measured_state(), View(keys="q quit  h help  p pause  s save now  n next"), (40, 20))
    for words in (
        "● mean 0.34  ● greedy mean 0.40",
        "solver · deduction · correct",
        "return a * 2 + b",
        "✓ 10",
    ):
        assert words in screen
    assert screen.splitlines()[-1].rstrip() == " q quit  h help  p pause  s save now"


@pytest.mark.parametrize("size", [(80, 24), (99, 33), (100, 34), (120, 40), (150, 50), (200, 60)], ids=str)
def test_legends_are_complete_with_every_name_and_value(size):
    screen = shown(measured_state(), size=size)
    for name in (*(f"{kind} 0.20" for kind in KINDS), "● mean 0.34", "● greedy mean 0.40"):
        assert name in screen


@pytest.mark.parametrize("size", [(40, 12), (40, 16), (60, 14), (100, 16), (40, 20), (80, 24)], ids=str)
def test_a_small_chart_has_a_curve_or_is_not_there(size):
    rows = shown(measured_state(), size=size).splitlines()
    axes = [row for row in rows if "┤" in row]
    assert ("held-out accuracy" in "\n".join(rows)) is bool(axes)
    assert len(axes) != 1
    assert not axes or re.search(r"[\u2801-\u28ff]", "".join(axes))


def test_the_parts_of_the_full_layout_survive_a_hundred_columns():
    table = comparison_of({"set": "s", "step": 30, "rows": [ROW]})
    for comparison in (None, table):
        screen = shown(measured_state(comparison=comparison), size=(100, 34))
        for words in ("held-out accuracy", "solver accuracy", "proposals a step", "learn", "newest tasks"):
            assert words in screen
        assert ("before and after" in screen) is (comparison is not None)


def test_a_narrow_sample_shows_its_program():
    assert "return a * 2 + b" in shown(measured_state(), size=(40, 20))


def test_before_the_first_step_no_box_is_full_of_zeros():
    screen = shown(made_state(0))
    assert "0.00 s" not in screen
    assert "proposals a step" not in screen


@pytest.mark.parametrize("width", [40, 80])
def test_the_help_page_wraps_and_explains_the_words(width):
    view = View(help=("p         pause", *LEGEND_HELP))
    screen = shown(made_state(1), view, (width, 60))
    for words in ("held-out", "entropy", "advantage", "induction", "these teach", "always says the same"):
        assert words in " ".join(re.sub("[│╭╮╰╯─]", " ", screen).split())


def test_a_kind_is_not_read_from_a_reward_term():
    state = fold(made_state(1), News(metrics=[{**metrics(2), "reward/solver/accuracy": 0.5}]))
    assert state.kinds == KINDS


def test_more_alarms_than_lines_are_all_named():
    events = [{"event": f"alarm_{at}", "step": at, "advice": "look"} for at in range(6)]
    assert shown(made_state(9, events=events)).count("alarm_") == 6
    assert shown(made_state(9, events=events), size=(80, 24)).count("alarm_") == 6


def test_an_alarm_that_is_over_leaves_the_screen():
    events = [{"event": "duplicates", "step": 3, "advice": "look"}]
    assert "duplicates at step 3: look" in shown(made_state(9, events=events))
    events += [{"event": "alarm_over", "step": 5, "alarm": "duplicates", "value": 0.2, "threshold": 0.5}]
    assert "duplicates" not in shown(made_state(9, events=events))


def test_samples_can_be_stepped_through_and_filtered_by_kind():
    samples = [sample(step, kind=KINDS[step % 3], completion=f"answer {step}") for step in range(1, 10)]
    state, view = made_state(9, samples=samples), View()
    assert "step 9 · solver" in shown(state, view)
    view = press(view, "n", KINDS)
    assert "step 8 · solver" in shown(state, view)
    view = press(view, "k", KINDS)
    assert view.kind == "deduction"
    assert "step 9 · solver · deduction" in shown(state, view)
    for _ in range(3):
        view = press(view, "k", KINDS)
    assert view.kind is None
    assert press(view, "N", KINDS).sample == 0
    assert press(view, "x", KINDS) is None


def test_with_every_step_another_sample_of_it_comes_first():
    kinds = set()
    for step in range(1, 4):
        samples = [sample(step, kind=kind) for kind in KINDS]
        kinds.add(re.search(r"solver · (\w+) ·", shown(made_state(step, samples=samples)))[1])
    assert kinds == set(KINDS)


def test_a_proposal_is_shown_with_what_became_of_it():
    refused = sample(1, role="proposer", task_id="", completion="def f(x): return y", verdict=None,
                     rejection={"stage": "ran", "detail": "NameError"}, reward=-0.5)  # fmt: skip
    screen = shown(made_state(1, samples=[refused]))
    assert "refused: did not run" in screen
    assert "NameError" in screen
    assert "def f(x): return y" in screen
    became = sample(1, role="proposer", verdict=None)
    assert "solved   25% of 8 attempts" in shown(made_state(1, samples=[became]))


@pytest.mark.parametrize("size", [(80, 12), (60, 9), (100, 20), (30, 8), (120, 34)], ids=str)
@pytest.mark.parametrize("layout", ["compact", "full"])
def test_the_line_of_keys_is_the_last_one_whatever_the_size(size, layout):
    events = [{"event": f"alarm_{at}", "step": at, "advice": "look"} for at in range(6)]
    view = press_layout(View(keys="q quit"), layout)
    assert shown(made_state(9, events=events), view, size).splitlines()[-1] == " q quit"


def test_help_covers_the_screen_and_fits_a_small_one():
    view = View(help=("p  pause", *["more"] * 99))
    assert "p  pause" in shown(made_state(1), view, (80, 24))
    assert "solver accuracy" not in shown(made_state(1), view)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min"), (273600, "3 d 4 h")],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_a_bar_is_as_long_as_its_share():
    assert bar(0.5, 8, View()) == "████    "
    assert bar(0.5, 9, View()) == "████▌    "
    assert bar(1.7, 4, View(is_ascii=True)) == "####"
    assert bar(0.0, 4, View()) == "    "
    assert bar(0.5, -3, View()) == ""


def test_answers_that_could_not_be_compared_are_among_the_key_figures():
    undecided = fold(made_state(1), News(metrics=[{**metrics(2), "questions/undecided": 3.0}]))
    assert re.search(r"undecided answers 3(\.00)? ", shown(undecided, size=(80, 24)))
    assert "undecided" not in shown(made_state(2), size=(80, 24))


def test_a_control_is_named_and_drawn_in_grey():
    config = {**CONFIG, "rewards": {"control": "shuffled"}}
    assert "control: shuffled rewards" in shown(made_state(30, config=config))

    def colors_in(state):
        chart = next(iter(figures.charts(state)))
        drawn = curves(chart, 60, 10, is_ascii=False, has_color=True)
        return {span.style.color.get_truecolor().hex for span in drawn.spans if span.style.color}

    assert set(SERIES_COLORS[:3]) <= colors_in(made_state(30))
    greys = colors_in(made_state(30, config=config))
    assert len(greys) >= 3
    assert all(max(parts) - min(parts) <= 20 for parts in map(rgb, greys))


def rgb(color):
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]
