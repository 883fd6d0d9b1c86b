"""The report's page: one file without scripts or network access; its content policy forbids both."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from tinyzero.evaluation.comparison import Comparison
from tinyzero.run.lines import Sample, TaskRecord
from tinyzero.watch import figures
from tinyzero.watch.figures import Chart, Spell
from tinyzero.watch.report.curves import chart_svg, compared, legend_html
from tinyzero.watch.report.style import STYLE
from tinyzero.watch.state import RunState
from tinyzero.watch.text import as_html, clipped
from tinyzero.watch.view import duration


def best_tasks(tasks: Collection[TaskRecord], count: int) -> list[TaskRecord]:
    """Tasks that are solved, but seldom, since they earn most. Ties: longer programs first. One per shape."""
    solved = [task for task in tasks if task.solve_rate and task.solve_rate < 1]
    ranked = sorted(solved, key=lambda task: (task.solve_rate or 0.0, -len(task.subject), task.id))
    return _of_different_shapes(ranked, count)


def odd_tasks(tasks: Collection[TaskRecord], count: int) -> list[TaskRecord]:
    """Programs of the rarest shapes. Ties: programs with more different characters first."""
    shapes = Counter(task.shape for task in tasks)
    ranked = sorted(tasks, key=lambda task: (shapes[task.shape], -len(set(task.subject)), task.id))
    return _of_different_shapes(ranked, count)


def _of_different_shapes(ranked: list[TaskRecord], count: int) -> list[TaskRecord]:
    return list({task.shape or task.subject: task for task in reversed(ranked)}.values())[::-1][:count]


_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_TASKS, _SAMPLES, _SHOWN_CHARS = 6, 8, 3000


def report(states: Sequence[RunState], *, made_at: str) -> str:
    """The complete page, for one run or several side by side. `made_at`: the time, in words."""
    names = ", ".join(state.name for state in states)
    body = "".join([_overview(states), *_comparison_of_runs(states), *(_run(state) for state in states)])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>TinyZero: {words(names)}</title><style>{STYLE}</style></head>"
        f"<body><header><h1>TinyZero <span>{words(names)}</span></h1>"
        f"<p>made {words(made_at)}</p></header>{body}</body></html>\n"
    )


def words(text: object) -> str:
    """Untrusted text, escaped: no markup and no control characters."""
    return as_html(clipped(str(text), _SHOWN_CHARS))


def _overview(states: Sequence[RunState]) -> str:
    head = ("run", "model", "preset", "steps", "accuracy", "best held-out", "valid", "time", "state")
    rows = [
        (
            state.name,
            state.knob("model", "base", ""),
            state.environment.get("preset", ""),
            f"{state.step}/{state.max_steps}",
            _figure(figures.of_late(state, "solver/accuracy")),
            _figure(figures.best_heldout(state)),
            _figure(figures.of_late(state, "proposer/valid_share")),
            duration(figures.elapsed_s(state)),
            figures.phase_of_life(state),
        )
        for state in states
    ]
    return f"<section>{_table(head, rows)}</section>"


def _comparison_of_runs(states: Sequence[RunState]) -> Iterator[str]:
    """Charts with the curves of all runs; empty for a single run."""
    if len(states) < 2:
        return
    of_runs = [(state.name, chart) for state in states for chart in _overall(state)]
    keys = dict.fromkeys(chart.key for _, chart in of_runs)
    charts = [compared([(name, chart) for name, chart in of_runs if chart.key == key]) for key in keys]
    yield _section("Side by side", _charts([chart for chart in charts if chart is not None]))


def _overall(state: RunState) -> Iterator[Chart]:
    """The few charts that compare runs, with one curve per run."""
    for title, metric, bounds in (
        ("solver accuracy", "solver/accuracy", (0.0, 1.0)),
        ("held-out accuracy", "heldout/mean/sampled", (0.0, 1.0)),
        ("valid share", "proposer/valid_share", (0.0, 1.0)),
        ("proposer reward", "proposer/reward", None),
        ("solver reward", "solver/reward", None),
        ("seconds a step", "time/step_s", None),
    ):
        points = figures.points_of(state.steps, metric)
        if points:
            yield Chart(
                key=metric, title=title, series=(figures.Series(name="", points=points),), bounds=bounds
            )


def _run(state: RunState) -> str:
    tasks = state.tasks.values()
    which = "" if state.has_all_tasks else f", of the newest {len(tasks)} tasks"
    solved = "agreed on" if state.has_votes else "solved"
    parts = [
        _alarms(state),
        _before_and_after(state.comparison),
        _section("Curves", _charts(figures.charts(state))),
        f'<div class="two">{_funnel(state)}{_phases(state)}</div>',
        _section("Best tasks", _tasks(best_tasks(tasks, _TASKS)), f"{solved}, but seldom{which}"),
        _section("Oddest tasks", _tasks(odd_tasks(tasks, _TASKS)), f"programs of the rarest shapes{which}"),
        _section(
            "Newest samples", "".join(_sample(sample) for sample in reversed(state.samples[-_SAMPLES:]))
        ),
        _details("Configuration", state.config),
        _details("Environment", state.environment),
    ]
    return f"<article><h2>{words(state.name)}</h2>{''.join(parts)}</article>"


def _section(title: str, content: str, remark: str = "") -> str:
    if not content:
        return ""
    small = f" <small>{words(remark)}</small>" if remark else ""
    return f"<section><h3>{words(title)}{small}</h3>{content}</section>"


def _charts(charts: Sequence[Chart]) -> str:
    figures_html = (
        f"<figure><figcaption>{words(chart.title)}</figcaption>{chart_svg(chart)}{legend_html(chart)}</figure>"
        for chart in charts
    )
    return f'<div class="charts">{"".join(figures_html)}</div>' if charts else ""


def _alarms(state: RunState) -> str:
    spells = figures.alarm_spells(state)
    if not spells:
        return '<section class="calm"><p>No alarm was raised.</p></section>'
    items = (
        f"<li><b>{words(spell.begin.alarm)}</b> {_when(spell)}: {words(spell.begin.advice)}</li>"
        for spell in spells
    )
    return f'<section class="alarms"><h3>Alarms</h3><ul>{"".join(items)}</ul></section>'


def _when(spell: Spell) -> str:
    over = "" if spell.over_at is None else f", over at step {spell.over_at}"
    return f"at step {spell.begin.step}{over}"


def _before_and_after(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    head = ("tasks of", "decoding", "tasks", "before", "after", "difference", "95 % interval", "")
    rows = [
        (
            row.name,
            row.decoding,
            row.tasks,
            f"{row.before:.3f}",
            f"{row.after:.3f}",
            f"{row.difference:+.3f}",
            f"{row.low:+.3f} to {row.high:+.3f}",
            "" if row.is_beyond_noise else "not distinguishable from noise",
        )
        for row in comparison.rows
    ]
    remark = f"{comparison.set_name}, {comparison.attempts} attempts, step {comparison.step}"
    return _section("Before and after", _table(head, rows), remark)


def _funnel(state: RunState) -> str:
    total = figures.funnel(state)
    kinds = [figures.funnel(state, kind) for kind in state.kinds]
    first = max(total["proposed"], 1e-9)
    rows = "".join(
        f"<tr><th>{words(stage)}</th><td>{count:.1f}</td>{_bar(count / first)}"
        f"{''.join(f'<td>{kind[stage]:.1f}</td>' for kind in kinds)}</tr>"
        for stage, count in total.items()
    )
    head = "".join(f"<th>{words(kind)}</th>" for kind in state.kinds)
    table = f'<table class="bars"><tr><th></th><th>all</th><th></th>{head}</tr>{rows}</table>'
    return _section("Proposals a step", table, "means of the last 10 steps")


def _phases(state: RunState) -> str:
    seconds = figures.phase_seconds(state)
    total = max(sum(seconds.values()), 1e-9)
    rows = "".join(
        f"<tr><th>{words(phase)}</th><td>{spent:.2f} s</td>{_bar(spent / total)}</tr>"
        for phase, spent in seconds.items()
    )
    return _section("A step's time", f'<table class="bars">{rows}</table>', "means of the last 10 steps")


def _bar(share: float) -> str:
    return f'<td class="bar"><span style="width:{min(max(share, 0), 1) * 100:.1f}%"></span> {share:.0%}</td>'


def _tasks(tasks: Sequence[TaskRecord]) -> str:
    return f'<div class="cards">{"".join(_task(task) for task in tasks)}</div>' if tasks else ""


def _task(task: TaskRecord) -> str:
    rate = (
        "never tried"
        if task.solve_rate is None
        else f"solved by {task.solve_rate:.0%} of {task.attempts} attempts"
    )
    if task.kind == "question":
        rate = rate.replace("solved by", "").replace(" attempts", " attempts agree with the majority").strip()
    pairs = "\n".join(f"f({i}) = {o}" for i, o in list(zip(task.inputs, task.outputs, strict=False))[:5])
    if task.kind == "question":
        known = [f"truth: {task.truth}"] if task.truth is not None else []
        called = [f"f({arguments})" for arguments in task.inputs]
        pairs = "\n".join([*called, f"majority: {', '.join(task.outputs)}", *known])
    hint = f"<p>hint: {words(task.hint)}</p>" if task.hint else ""
    return (
        f'<div class="card"><p class="meta">{words(task.kind)}, step {task.step}, {rate}, '
        f"<code>{words(task.id)}</code></p><pre>{words(task.subject)}</pre>"
        f"<pre>{words(pairs)}</pre>{hint}</div>"
    )


def _sample(sample: Sample) -> str:
    reward = "" if sample.reward is None else f", reward {sample.reward:+.2f}"
    detail = f" ({words(sample.detail)})" if sample.detail else ""
    return (
        f"<details><summary>step {sample.step}, {words(sample.role)}, {words(sample.kind)}: "
        f"<b>{words(sample.status)}</b>{detail}{reward}</summary>"
        f"<pre>{words(sample.prompt)}</pre><pre>{words(sample.answer)}</pre></details>"
    )


def _details(title: str, content: object) -> str:
    if not content:
        return ""
    text = as_html(json.dumps(content, indent=2, ensure_ascii=False))
    return (
        f"<section><details><summary><h3>{words(title)}</h3></summary><pre>{text}</pre></details></section>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    titles = "".join(f"<th>{words(title)}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{words(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
