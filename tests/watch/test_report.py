"""The report: one file that needs nothing else, and in which nothing that a model wrote is markup."""

import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import CONFIG, KINDS, made_state, metrics, sample, task

from tinyzero.errors import ConfigError
from tinyzero.run.lines import comparison_of
from tinyzero.watch import figures
from tinyzero.watch.report.curves import chart_svg, legend_html, limits, ticks
from tinyzero.watch.report.page import report
from tinyzero.watch.report.png import write_png
from tinyzero.watch.report.style import DARK, DASHES, LIGHT, STYLE
from tinyzero.watch.state import News, RunState, fold

HOSTILE = (
    "</pre></script><script>document.title='owned'</script><img src=http://evil/x onerror=alert(1)>\x1b[2J\"'"
)
VOID = {"meta", "img", "br", "line", "circle", "polyline", "input"}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """What is in a page: tags, attributes, text; and whether every tag is closed where it should be."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def hostile_state(text=HOSTILE):
    lines = [{**metrics(step), f"learner/{text.replace('/', '')}/entropy": 0.5} for step in (1, 2, 3)]
    tasks = [task(1, name=text, kind=text, program=text, inputs=[text], outputs=[text], message=text)]
    answer = {"status": text, "answer": text, "detail": text}
    samples = [sample(1, kind=text, role=text, prompt=text, completion=text, verdict=answer)]
    events = [{"event": text, "advice": text, "step": 1}]
    news = News(metrics=lines, samples=samples, tasks=tasks, events=events)
    config = {"model": {"base": text}, "selfplay": {"kinds": [text]}}
    return fold(RunState(name=text, config=config, environment={"preset": text}), news)


def full_state(name="first"):
    row = {"name": "mean", "decoding": "greedy", "tasks": 300, "before": 0.133, "after": 0.204}
    clear = {**row, "difference": 0.071, "low": 0.04, "high": 0.102}
    noise = {**row, "name": "abduction", "difference": 0.01, "low": -0.04, "high": 0.06}
    events = [{"event": "nothing_to_learn", "step": 5, "advice": "read samples.jsonl"}]
    comparison = comparison_of({"set": "nano-heldout", "rows": [clear, noise]})
    return made_state(30, events=events, comparison=comparison, name=name)


def test_a_report_holds_everything_there_is_about_a_run():
    page = Page(report([full_state()], made_at="2026-01-01 12:00"))
    for words in (
        "first", "nano-cpu", "30/90", "nothing_to_learn at step 5: read samples.jsonl", "solver accuracy",
        "proposer reward", "deterministic", "propose", "Before and after", "+0.040 to +0.102",
        "not distinguishable from noise", "better by 7.1 points", "Best tasks",
        "Oddest tasks", "solved by 25% of 8 attempts",
        "return a * 2 + b", "Newest samples", "Configuration", '"max_steps": 90', "2026-01-01 12:00",
    ):  # fmt: skip
        assert words in page.text
    assert page.tags.count("figure") == len(figures.charts(full_state()))


def test_a_report_keeps_the_alarms_that_are_over():
    events = [
        {"event": "duplicates", "step": 5, "advice": "look"},
        {"event": "alarm_over", "step": 9, "alarm": "duplicates"},
    ]
    page = Page(report([made_state(9, events=events)], made_at="now"))
    assert "duplicates at step 5, over at step 9: look" in page.text


@pytest.mark.parametrize("states", [[hostile_state()], [hostile_state(), full_state()]], ids=["one", "two"])
def test_nothing_in_a_report_runs_loads_or_escapes(states):
    html = report(states, made_at=HOSTILE)
    page = Page(html)
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert "document.title='owned'" in page.text
    assert "\x1b" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


@pytest.mark.parametrize("steps", [0, 1, 2, 10_000])
def test_runs_of_every_length_can_be_reported(steps):
    html = report([made_state(steps)], made_at="now")
    Page(html)
    assert len(html) < 1_000_000
    assert ("<svg" in html) is (steps > 0)


@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.floats() | st.integers(), min_size=1, max_size=6), step=st.integers())
@example(values=[4.2e-303, -4978], step=0)
def test_whatever_the_figures_are_they_are_reported(values, step):
    lines = [dict.fromkeys(metrics(1), value) | {"step": step + at} for at, value in enumerate(values)]
    html = report([fold(RunState(name="x"), News(metrics=lines))], made_at="now")
    Page(html)
    places = re.findall(r' (?:points|c[xy]|[xy][12]?)="([^"]*)"', html)
    assert all(math.isfinite(float(place)) for place in re.findall(r"[^\s,]+", " ".join(places)))


def test_several_runs_are_compared_curve_by_curve():
    page = Page(report([full_state("first"), full_state("second")], made_at="now"))
    assert "Side by side" in page.text
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert labels[0].startswith("solver accuracy: first 0.1")
    assert page.text.count("second") >= 3
    assert "Side by side" not in report([full_state()], made_at="now")


def measured_state(name, now, gain_low, **fields):
    """A run that was measured before its first step and at its third."""
    lines = [metrics(step) for step in (1, 2, 3)]
    lines[-1] |= {"heldout/mean/sampled": now, "heldout/mean/gain_low": gain_low}
    base = {"event": "measured", "step": 0, "heldout/mean/sampled": 0.1}
    state = made_state(0, name=name, events=[base, *fields.pop("events", ())], **fields)
    return fold(state, News(metrics=lines))


def rows_of(page):
    """The cells of the first table, row by row, by their titles."""
    table = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    return [
        dict(re.findall(r'<td data-label="([^"]*)">([^<]*)</td>', row)) for row in table.split("</tr>")[:-1]
    ]


def test_a_report_begins_with_a_sentence():
    page = report([measured_state("first", 0.3, 0.1)], made_at="now")
    sentence = re.search(r'</header><section><p class="verdict">([^<]*)</p>', page)[1]
    assert sentence == (
        "Learned: better at tasks that it never saw, above noise: held-out accuracy 0.100 before, "
        "0.300 after 3 steps (+0.200, 95 % +0.100 to +0.300)."
    )
    assert page.count(sentence) == 1
    none = report([made_state(3)], made_at="now")
    assert "Not measured on held-out tasks before and after" in none


def test_a_table_over_runs_has_before_now_difference_and_interval_of_each_and_their_mean():
    states = [measured_state("a", 0.3, 0.1), measured_state("b", 0.14, -0.02), made_state(3, name="c")]
    page = report(states, made_at="now")
    a, b, c, mean = rows_of(page)
    assert (a["held-out before"], a["now"], a["difference"]) == ("0.100", "0.300", "+0.200")
    assert (a["95 % interval"], a["noise"]) == ("+0.100 to +0.300", "above noise")
    assert (b["95 % interval"], b["noise"]) == ("-0.020 to +0.100", "within noise")
    assert (c["held-out before"], c["noise"]) == ("-", "not measured")
    assert (mean["run"], mean["now"], mean["difference"]) == ("mean of 2", "0.220", "+0.120")
    assert mean["95 % interval"] == "runs: +0.040 to +0.200"
    assert (
        "Held-out accuracy rose above noise in 1 of 2 runs: +0.120 on average, +0.040 to +0.200; "
        "1 of 3 were not measured before and after."
    ) in Page(page).text


def test_a_comparison_of_runs_begins_with_the_measurement_before_the_first_step():
    page = Page(report([measured_state("a", 0.3, 0.1), measured_state("b", 0.14, -0.02)], made_at="now"))
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert labels[0] == ("held-out accuracy: a 0.1 at step 0, 0.3 at step 3; b 0.1 at step 0, 0.14 at step 3")


def test_settings_that_differ_between_runs_are_named_and_no_others():
    other = {**CONFIG, "run": {**CONFIG["run"], "seed": 7, "output": "x"}, "pool": {"dedup": None}}
    page = report([made_state(1, name="a"), made_state(1, name="b", config=other)], made_at="now")
    differing = page[page.index("Settings that differ") : page.index("Side by side")]
    assert re.findall(r'data-label="setting">([^<]*)<', differing) == ["run.seed", "pool.dedup"]
    same = Page(report([made_state(1, name="a"), made_state(1, name="b")], made_at="now"))
    assert "Settings that differNone." in same.text


def test_curves_differ_in_dashes_and_in_marks_not_only_in_hue():
    series = tuple(
        figures.Series(name=f"curve {at}", points=((1, 0.1 * at), (2, 0.1 * at))) for at in range(8)
    )
    svg = chart_svg(figures.Chart(key="x", title="x", series=series))
    assert len({STYLE.partition(f"svg .c{at}{{")[2].partition("}")[0] for at in range(6)}) == 6
    assert len(set(DASHES)) == len(LIGHT) == len(DARK) == 6
    curves = re.findall(r"<g>(.*?)</g>", svg)
    assert ["circle" in curve for curve in curves] == [False] * 6 + [True] * 2


def luminance(color):
    """Source: WCAG 2.2, relative luminance."""
    channels = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_curves_stand_out_from_the_page_light_and_dark():
    light, dark = re.findall(r"--paper:(#\w+);--tile:(#\w+)", STYLE)
    for colors, grounds in ((LIGHT, [f"#{light[0][1:] * 2}", light[1]]), (DARK, dark)):
        assert min(contrast(color, ground) for color in colors for ground in grounds) >= 4.5


def test_the_legend_says_where_the_smooth_line_ends():
    values = [0.2] * 44 + [0.5]  # the mean of the last three is 0.3
    points = tuple((step, value) for step, value in enumerate(values, 1))
    chart = figures.Chart(key="x", title="x", series=(figures.Series(name="a", points=points),))
    assert "a <b>0.3</b>" in legend_html(chart)


def test_a_kind_is_not_read_from_a_reward_term_and_bars_leave_room_for_figures():
    state = fold(made_state(1), News(metrics=[{**metrics(2), "reward/solver/accuracy": 0.5}]))
    page = report([state], made_at="now")
    funnel = page[page.index("Proposals a step") : page.index("A step&#x27;s time")]
    assert re.findall("<th>([a-z]+)</th>", funnel)[:4] == ["all", *KINDS]
    assert '<td class="bar"><span style="width:100.0%"></span></td><td>100%</td>' in funnel


def test_on_a_phone_rows_become_lists_and_nothing_is_wider_than_the_screen():
    assert "minmax(340px" not in STYLE
    phone = STYLE.partition("@media(max-width:640px){")[2]
    assert ".stack td::before{content:attr(data-label)" in phone
    page = report([full_state()], made_at="now")
    assert page.count('<table class="stack">') == 2


def test_the_family_of_the_best_task_is_shown_down_to_the_seeds():
    tasks = [
        task(1, name="old", program="def f(a):\n    return a", rate=1.0, parents=["seed"]),
        task(2, name="mid", program="def f(a):\n    return a + 1", rate=0.5, parents=["old", "gone"]),
        task(3, name="best", program="def f(a):\n    return a + 12345", rate=0.125, parents=["mid"]),
    ]
    page = report([made_state(3, tasks=tasks)], made_at="now")
    family = page[page.index("Family of the best task") : page.index("Oddest tasks")]
    assert re.findall(r"<code>(\w+)</code>", family) == ["best", "mid", "old"]
    assert re.findall(r"margin-left:(\d+)px", family) == ["16", "32"]
    alone = report([made_state(3, tasks=[task(3, rate=0.1)])], made_at="now")
    assert "Family of the best task" not in alone


def answered(step, answer, *, is_correct, name="h1"):
    record = {"id": name, "kind": "deduction", "prompt": "what is f(3)?", "answer": answer, "tokens": 3}
    return {"event": "answered", "step": step, "answers": [{**record, "is_correct": is_correct}]}


def test_one_held_out_task_is_asked_again_over_the_run():
    events = [
        answered(0, "41", is_correct=False),
        answered(10, "41", is_correct=False),
        answered(20, "42", is_correct=True),
        answered(30, "42", is_correct=True),
    ]
    text = Page(report([made_state(3, events=events)], made_at="now")).text
    story = text[text.index("One held-out task, asked again") : text.index("Proposals a step")]
    assert re.findall(r"after (\d+) steps ([a-z ]+), (\w+):(\d+)", story) == [
        ("0", "it said", "wrong", "41"),
        ("20", "now it says", "right", "42"),
        ("30", "it still says", "right", "42"),
    ]
    same = [answered(0, "42", is_correct=True), answered(10, "42", is_correct=True)]
    assert "asked again" not in report([made_state(3, events=same)], made_at="now")


def test_a_curve_is_where_its_figures_are():
    chart = figures.Chart(
        key="x", title="x", series=(figures.Series(name="a", points=((1, 0.0), (3, 1.0))),), bounds=None
    )
    assert limits(chart) == (-0.05, 1.05)
    # 44 to 448 across, 186 down to 10; the limits leave a 22nd of the height on both sides
    assert 'points="44.0,178.0 448.0,18.0"' in chart_svg(chart)


def test_ticks_are_round_and_within_the_limits():
    assert ticks(0.0, 1.0) == [0.0, 0.5, 1.0]
    assert ticks(-0.32, 0.41) == [-0.2, 0.0, 0.2, 0.4]
    assert ticks(0, 95) == [0, 50]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_report_and_runs_nothing_in_it(tmp_path):
    path = tmp_path / "report.html"
    path.write_text(report([hostile_state(), full_state()], made_at="now"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [CHROMIUM, *options, "--window-size=1200,900", "--virtual-time-budget=2000"]
    result = subprocess.run(
        [*command, "--dump-dom", f"file://{path}"], capture_output=True, text=True, timeout=120
    )
    assert "<title>TinyZero: " in result.stdout
    assert "<title>owned" not in result.stdout
    assert result.stdout.count("<svg") > 10
    picture = tmp_path / "report.png"
    subprocess.run([*command, f"--screenshot={picture}", f"file://{path}"], capture_output=True, timeout=120)
    assert picture.stat().st_size > 20_000  # an empty page of this size has some 5000 bytes


def test_curves_become_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    write_png(figures.charts(hostile_state()), tmp_path / "curves.png")
    content = (tmp_path / "curves.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    write_png(figures.charts(hostile_state()), tmp_path / "again.png")
    assert content == (tmp_path / "again.png").read_bytes()  # an export is known again by its bytes
    assert len(content) > 10_000
    with pytest.raises(ConfigError, match="no step"):
        write_png([], tmp_path / "none.png")


def control_state(name="other"):
    return made_state(3, config={**CONFIG, "rewards": {"control": "shuffled"}}, name=name)


def test_a_control_is_named_and_its_curves_are_grey_beside_those_of_a_run():
    html = report([full_state(), control_state()], made_at="now")
    page = Page(html)
    assert "other (control: shuffled rewards)" in page.text
    assert "first (control" not in page.text
    side_by_side = html[html.index("Side by side") : html.index("<article>")]
    legend = re.findall(r'<polyline class="([^"]*)" points="0,4 30,4"/></svg>([^<]*) <b>', side_by_side)
    assert set(legend) == {("c0", "first"), ("c1 control", "other (control: shuffled rewards)")}
    own = html[html.rindex("<article>") :]
    assert 'class="c0 control"' in own
    assert 'class="c0"' not in own


def test_the_report_says_what_became_of_the_claim():
    config = {**CONFIG, "run": {**CONFIG["run"], "expect": "greedy+3"}}
    page = Page(report([replace(full_state(), config=config)], made_at="now"))
    assert "claim greedy+3, written before the first step: held (+7.1 points, 95 % +4.0" in page.text
    assert "claim" not in Page(report([full_state()], made_at="now")).text
