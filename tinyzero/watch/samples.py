"""Shows samples: the program, the prompt's question, the answer, and the reward."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.console import Console, ConsoleOptions, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tinyzero.run.lines import Sample, TaskRecord
from tinyzero.watch.state import RunState
from tinyzero.watch.text import clipped, inert, one_line
from tinyzero.watch.view import BAD, GOOD, WARN, View, panel

_Fact = tuple[str, Text]
_SHOWN_CHARS = 4000
_SHOWN_PAIRS = 4
_MOST, _LEAST_LINES = 6, 5  # most samples in a box; least lines for a further sample
_TWO_COLUMNS, _NARROW_LINES = 56, 3
_REFUSED = {
    "parsed": "unreadable",
    "allowed": "not allowed",
    "ran": "did not run",
    "deterministic": "not deterministic",
    "nontrivial": "trivial",
    "new": "not new",
}
_STATUS_STYLES = {"correct": GOOD, "task": GOOD, "wrong": BAD}


def chosen(state: RunState, view: View) -> list[Sample]:
    """The samples of the view: the newest step's, then older ones, starting at the chosen sample.

    The role and kind that come first change with every step.
    """
    fitting = [sample for sample in reversed(state.samples) if view.kind in (None, sample.kind)]
    newest = [sample for sample in fitting if sample.step == fitting[0].step]
    turn = state.step % max(1, len(newest))
    in_turn = [*newest[turn:], *newest[:turn], *fitting[len(newest) :]]
    return in_turn[view.sample % len(in_turn) :] if in_turn else []


def samples_panel(
    samples: Sequence[Sample], state: RunState, view: View, *, width: int, height: int
) -> Panel:
    """The first sample, and as many more as fit."""
    is_narrow = width - 4 < _TWO_COLUMNS
    blocks = [
        (_title(sample, view, is_narrow=is_narrow), _block(sample, state, view, width - 4))
        for sample in samples[:_MOST]
    ]
    dot = view.glyph(" · ", " - ")
    title = blocks[0][0] if is_narrow else Text.assemble(("sample", "bold"), dot, blocks[0][0])
    return panel(_Feed(blocks), title, view, width=width, height=height)


@dataclass(frozen=True, slots=True)
class _Feed:
    """Blocks below each other; each block after the first has a title. Blocks that do not fit are omitted."""

    blocks: Sequence[tuple[Text, Table]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.height or options.max_height
        for index, (title, block) in enumerate(self.blocks):
            if index and room < _LEAST_LINES:
                return
            lines = console.render_lines(block, options.update(height=None))
            visible = [*(console.render_lines(title, options.update(height=1)) if index else []), *lines][
                :room
            ]
            room -= len(visible)
            for line in visible:
                yield from line
                yield Segment.line()


def _block(sample: Sample, state: RunState, view: View, width: int) -> Table:
    """Program on the left, everything else on the right; below each other if the box is narrow."""
    task = state.tasks.get(sample.task_id)
    table = Table.grid(padding=(0, 1))
    facts = _table(_facts(sample, task, view))
    if width < _TWO_COLUMNS:
        table.add_column(width=width)
        table.add_row(_beginning(_program(sample, task, view)))
        table.add_row(facts)
    else:
        table.add_column(width=(width - 2) // 2)
        table.add_column(width=width - 2 - (width - 2) // 2)
        table.add_row(_program(sample, task, view), facts)
    return table


def no_sample(view: View, *, width: int, height: int) -> Panel:
    kind = "" if view.kind is None else f" of {one_line(view.kind, is_ascii=view.is_ascii)}"
    words = f"no sample{kind} yet"
    return panel(Text(words, style="dim"), Text("sample", style="bold"), view, width=width, height=height)


def _title(sample: Sample, view: View, *, is_narrow: bool) -> Text:
    dot = view.glyph(" · ", " - ")
    step = [] if is_narrow else [f"step {sample.step}"]
    words = [*step, _role(sample), one_line(sample.kind, is_ascii=view.is_ascii)]
    title = Text(no_wrap=True, overflow="crop")
    title.append(dot.join(words) + dot, style="dim")
    title.append(
        one_line(_status(sample), is_ascii=view.is_ascii), style=_STATUS_STYLES.get(sample.status, WARN)
    )
    return title


def _role(sample: Sample) -> str:
    return sample.role if sample.role in ("solver", "proposer") else "?"


def _status(sample: Sample) -> str:
    if sample.role == "proposer":
        refused = f"refused: {_REFUSED.get(sample.status, sample.status)}"
        return "became a task" if sample.status == "task" else refused
    return sample.status


def _program(sample: Sample, task: TaskRecord | None, view: View) -> Text:
    """The task's program or question; for a rejected proposal, the model's answer."""
    if task is not None and task.program:
        return highlighted(task.program, is_ascii=view.is_ascii)
    if task is not None and task.message:
        return Text(clean(task.message, view))
    return Text(clean(sample.answer or sample.prompt, view))


def _beginning(program: Text) -> Text:
    """The first lines, each cut to the width, so that the facts below have room."""
    lines = program.split("\n")
    text = Text("\n", no_wrap=True, overflow="ellipsis").join(lines[:_NARROW_LINES])
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _facts(sample: Sample, task: TaskRecord | None, view: View) -> Iterator[_Fact]:
    if task is not None:
        yield from _task_lines(sample, task, view)
    if sample.role == "solver":
        mark = {"correct": view.glyph("✓", "+"), "wrong": view.glyph("✗", "x")}.get(sample.status, "?")
        style = _STATUS_STYLES.get(sample.status, WARN)
        yield _fact("answer", sample.read or sample.answer, view, style=style, mark=mark)
    if sample.detail:
        yield _fact("because", sample.detail, view)
    if sample.role == "proposer" and task is not None and task.solve_rate is not None:
        attempts = f"{task.solve_rate:.0%} of {task.attempts} attempts"
        if task.kind == "question":
            attempts += " agree with the majority"
        yield _fact("agreed" if task.kind == "question" else "solved", attempts, view)
    yield _fact("reward", _reward(sample), view)


def _task_lines(sample: Sample, task: TaskRecord, view: View) -> Iterator[_Fact]:
    """What the solver sees, and the expected answer."""
    pairs = list(zip(task.inputs, task.outputs, strict=False))
    if task.hint:
        yield _fact("hint", task.hint, view)
    if task.kind == "question":
        if task.inputs:
            yield _fact("input", task.inputs[0], view)
        yield _fact("majority", ", ".join(task.outputs), view)
        if task.truth is not None:
            yield _fact("truth", task.truth, view)
    elif task.kind == "abduction":
        yield _fact("output", task.outputs[0] if task.outputs else "", view)
        yield _fact(
            "expected", f"any input that gives it, such as {task.inputs[0]}" if task.inputs else "", view
        )
    elif len(pairs) == 1:
        yield _fact("input", pairs[0][0], view)
        yield _fact("expected", pairs[0][1], view)
    else:
        arrow = view.glyph("→", "->")
        for source, output in pairs[:_SHOWN_PAIRS]:
            yield _fact("pair", f"{source} {arrow} {output}", view)


def _fact(label: str, value: str, view: View, *, style: str = "", mark: str = "") -> _Fact:
    text = Text(f"{mark} " if mark else "", style=style, overflow="fold")
    text.append(clean(value, view))
    return label, text


def _table(facts: Iterable[_Fact]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", width=8)
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, text)
    return table


def _reward(sample: Sample) -> str:
    if sample.reward is None:
        return "?"
    terms = " ".join(f"{one_line(name)} {value:+.2f}" for name, value in list(sample.terms.items())[:6])
    advantage = "" if sample.advantage is None else f", advantage {sample.advantage:+.2f}"
    return f"{sample.reward:+.2f} ({terms}){advantage}" if terms else f"{sample.reward:+.2f}{advantage}"


def clean(text: str, view: View) -> str:
    return inert(clipped(text, _SHOWN_CHARS), is_ascii=view.is_ascii)


@lru_cache(maxsize=64)
def highlighted(program: str, *, is_ascii: bool) -> Text:
    """Python code highlighted in the terminal's own colours; the text is inert."""
    from rich.syntax import Syntax

    source = inert(clipped(program, _SHOWN_CHARS), is_ascii=is_ascii)
    text = Syntax(source, "python", theme="ansi_dark", background_color="default").highlight(source)
    text.rstrip()
    text.overflow, text.no_wrap = "fold", False
    return text


def tasks_panel(state: RunState, view: View, *, width: int, height: int) -> Panel:
    """The newest tasks, one line each, with their solve rates."""
    fitting = [
        task for task in state.tasks.values() if view.kind in (None, task.kind) and task.step <= state.step
    ]
    newest = list(reversed(fitting))[: max(0, height - 2)]
    lines = [_task_line(task, view, width - 4) for task in newest]
    title = Text.assemble(("newest tasks", "bold"), (", agreed" if state.has_votes else ", solved", "dim"))
    return panel(
        Text("\n", no_wrap=True, overflow="crop").join(lines), title, view, width=width, height=height
    )


def _task_line(task: TaskRecord, view: View, width: int) -> Text:
    rate = "   -" if task.solve_rate is None else f"{task.solve_rate:4.0%}"
    style = "dim" if task.solve_rate in (None, 0.0, 1.0) else GOOD
    line = Text.assemble(
        (f"{rate} ", style), (f"{one_line(task.kind, is_ascii=view.is_ascii)[:3]:<3} ", "dim")
    )
    # Of a one-line program, show only the returned expression.
    words = one_line(clipped(task.subject, 400), is_ascii=view.is_ascii)
    line.append(words.removeprefix("def f"))
    line.truncate(max(1, width), overflow="crop")
    return line
