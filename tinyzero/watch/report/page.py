"""The report's page: one file without scripts or network access; its content policy forbids both."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tinyzero.evaluation.comparison import MEAN, Comparison
from tinyzero.run.lines import Sample, TaskRecord
from tinyzero.watch import figures
from tinyzero.watch.ancestry import ancestors
from tinyzero.watch.comparison import HeldOutAnswer, answers_by_task, claim_line, in_words, mended
from tinyzero.watch.figures import Spell
from tinyzero.watch.heldout import gain, verdict
from tinyzero.watch.report.html import charts, section, table, words
from tinyzero.watch.report.overview import overview, side_by_side, titled
from tinyzero.watch.report.style import STYLE
from tinyzero.watch.state import RunState
from tinyzero.watch.text import as_html


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
_TASKS, _SAMPLES = 6, 8
_DEEPEST = 4  # ancestors further away are drawn no further to the right


def report(states: Sequence[RunState], *, made_at: str) -> str:
    """The complete page, for one run or several side by side. `made_at`: the time, in words."""
    names = ", ".join(state.name for state in states)
    body = "".join(
        [
            overview(states),
            *side_by_side(states),
            *(_run(state, is_alone=len(states) == 1) for state in states),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>TinyZero: {words(names)}</title><style>{STYLE}</style></head>"
        f"<body><header><h1>TinyZero <span>{words(names)}</span></h1>"
        f"<p>made {words(made_at)}</p></header>{body}</body></html>\n"
    )


def _run(state: RunState, *, is_alone: bool) -> str:
    tasks = state.tasks.values()
    which = "" if state.has_all_tasks else f", of the newest {len(tasks)} tasks"
    solved = "agreed on" if state.has_votes else "solved"
    best = best_tasks(tasks, _TASKS)
    parts = [
        "" if is_alone else f'<p class="verdict">{words(verdict(gain(state)))}</p>',
        _alarms(state),
        _before_and_after(state.comparison),
        _claim(state),
        section("Curves", charts(figures.charts(state))),
        _asked_again(state),
        f'<div class="two">{_funnel(state)}{_phases(state)}</div>',
        section("Best tasks", _tasks(best), f"{solved}, but seldom{which}"),
        _family(best, state.tasks),
        section("Oddest tasks", _tasks(odd_tasks(tasks, _TASKS)), f"programs of the rarest shapes{which}"),
        section("Newest samples", "".join(_sample(sample) for sample in reversed(state.samples[-_SAMPLES:]))),
        _details("Configuration", state.config),
        _details("Environment", state.environment),
    ]
    return f"<article><h2>{words(titled(state))}</h2>{''.join(parts)}</article>"


def _asked_again(state: RunState) -> str:
    """One held-out task with the greedy answers to it over the run, where they differ."""
    answers = answers_by_task(state.events)
    known = [first.task_id for first, _ in mended(answers)]
    known += [task for task, group in answers.items() if len({each.answer for each in group}) > 1]
    if not known:
        return ""
    group = answers[known[0]]
    parts, before = [f"<pre>{words(group[0].prompt)}</pre>"], ""
    for number, each in enumerate(group):
        if each.answer != before or number == len(group) - 1:
            parts.append(_answered(each, is_first=number == 0, is_same=each.answer == before))
        before = each.answer
    return section("One held-out task, asked again", f'<div class="card">{"".join(parts)}</div>')


def _answered(each: HeldOutAnswer, *, is_first: bool, is_same: bool) -> str:
    judged = "right" if each.is_correct else "wrong"
    says = "it said" if is_first else "it still says" if is_same else "now it says"
    return f'<p class="meta">after {each.step} steps {says}, {judged}:</p><pre>{words(each.answer)}</pre>'


def _family(best: Sequence[TaskRecord], tasks: Mapping[str, TaskRecord]) -> str:
    """The best task of which a parent is known, and what its proposer and theirs were shown."""
    for task in best:
        kin = [(depth, parent) for depth, _, parent in ancestors(task, tasks) if parent is not None]
        if kin:
            cards = "".join(
                f'<div style="margin-left:{16 * min(depth, _DEEPEST)}px">{_task(parent)}</div>'
                for depth, parent in kin
            )
            remark = "the task, then what its proposer was shown, and what the proposers of those were"
            return section("Family of the best task", f'<div class="kin">{_task(task)}{cards}</div>', remark)
    return ""


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
    head = ("tasks of", "before", "after", "difference", "95 % interval", "noise")
    rows = [
        (
            f"{row.name}, {row.decoding}",
            f"{row.before:.3f}",
            f"{row.after:.3f}",
            f"{row.difference:+.3f}",
            f"{row.low:+.3f} to {row.high:+.3f}",
            in_words(row),
        )
        for row in sorted(comparison.rows, key=lambda row: row.name != MEAN)
    ]
    remark = f"{comparison.set_name}, {comparison.attempts} attempts, step {comparison.step}"
    return section("Before and after", table(head, rows), remark)


def _claim(state: RunState) -> str:
    line = claim_line(state.knob("run", "expect"), state.comparison)
    return section("Claim", f"<p>{words(line)}</p>") if line else ""


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
    titles = f'<tr><th></th><th>all</th><th class="bar"></th><th></th>{head}</tr>'
    page = f'<div class="wide"><table class="bars">{titles}{rows}</table></div>'
    return section("Proposals a step", page, "means of the last 10 steps")


def _phases(state: RunState) -> str:
    seconds = figures.phase_seconds(state)
    total = max(sum(seconds.values()), 1e-9)
    rows = "".join(
        f"<tr><th>{words(phase)}</th><td>{spent:.2f} s</td>{_bar(spent / total)}</tr>"
        for phase, spent in seconds.items()
    )
    return section("A step's time", f'<table class="bars">{rows}</table>', "means of the last 10 steps")


def _bar(share: float) -> str:
    """Two cells: the bar, and its share in figures."""
    length = min(max(share, 0), 1) * 100
    return f'<td class="bar"><span style="width:{length:.1f}%"></span></td><td>{share:.0%}</td>'


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
