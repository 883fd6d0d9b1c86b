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
from made import CONFIG, made_state, metrics, sample, task

from tinyzero.errors import ConfigError
from tinyzero.run.lines import comparison_of
from tinyzero.watch import figures
from tinyzero.watch.report.curves import chart_svg, limits, ticks
from tinyzero.watch.report.page import report
from tinyzero.watch.report.png import write_png
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
        "not distinguishable from noise", "Best tasks", "Oddest tasks", "solved by 25% of 8 attempts",
        "return a * 2 + b", "Newest samples", "Configuration", '"max_steps": 90', "2026-01-01 12:00",
    ):  # fmt: skip
        assert words in page.text
    assert page.tags.count("svg") == len(figures.charts(full_state()))


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
    assert labels[0] == "solver accuracy"
    assert page.text.count("second") >= 3
    assert "Side by side" not in report([full_state()], made_at="now")


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
    assert 'class="dot c0"></span>first' in side_by_side
    assert 'class="dot g1"></span>other (control: shuffled rewards)' in side_by_side
    assert 'class="dot g0"></span>other' not in side_by_side
    own = html[html.rindex("<article>") :]
    assert "g0" in own
    assert '"c0' not in own


def test_the_report_says_what_became_of_the_claim():
    config = {**CONFIG, "run": {**CONFIG["run"], "expect": "greedy+3"}}
    page = Page(report([replace(full_state(), config=config)], made_at="now"))
    assert "claim greedy+3, written before the first step: held (+7.1 points, 95 % +4.0" in page.text
    assert "claim" not in Page(report([full_state()], made_at="now")).text
