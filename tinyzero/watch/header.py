"""The top of the screen: name, progress, held-out accuracy, what to think of it, and the machine's load."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from tinyzero.machine.usage import GpuUsage
from tinyzero.run.events import Checkpointed, Measuring
from tinyzero.watch import figures
from tinyzero.watch.curves import number
from tinyzero.watch.heldout import Gain, Noise, coach, gain
from tinyzero.watch.state import RunState
from tinyzero.watch.text import one_line
from tinyzero.watch.view import ACCENT, BAD, GOOD, WARN, View, duration

_GAMES = {"absolute-zero": "Absolute Zero", "r-zero": "R-Zero"}
_LIFE_STYLES = {
    "training": GOOD,
    "finished": GOOD,
    "paused": WARN,
    "stopped": WARN,
    "interrupted": BAD,
    "never started": BAD,
}
_OWN: tuple[tuple[str, str], ...] = (
    ("accuracy", "solver/accuracy"),
    ("valid", "proposer/valid_share"),
    ("mixed", "solver/mixed_share"),
    ("solver reward", "solver/reward"),
    ("proposer reward", "proposer/reward"),
)
"""Figures of the tasks that a run sets itself. How hard those are changes, so no direction is good or bad."""
_NOISE_STYLES: dict[Noise, str] = {"above noise": GOOD, "below noise": BAD}

HEADER_LINES = 5
_LEAST_BAR = 16


def header(state: RunState, view: View, width: int) -> list[Text]:
    """`HEADER_LINES` lines: name, progress, figures with held-out accuracy first, a sentence, load."""
    return [
        who(state, view, width),
        _how_far(state, view, width),
        _how_good(state, view, width),
        _what_to_think(state, view, width),
        _how_busy(state, view, width),
    ]


def who(state: RunState, view: View, width: int) -> Text:
    life = figures.phase_of_life(state)
    right = Text.assemble(
        (f"{view.glyph('●', '*')} {life} ", f"bold {_LIFE_STYLES.get(life, ACCENT)}"),
    )
    left = Text.assemble(
        (" TinyZero ", f"bold {ACCENT}"), (one_line(state.name, is_ascii=view.is_ascii), "bold")
    )
    dot = view.glyph(" · ", " - ")
    for fact in _facts(state):
        piece = dot + one_line(fact, is_ascii=view.is_ascii)
        if left.cell_len + cell_len(piece) + right.cell_len < width:
            left.append(piece, style="dim")
    left.truncate(max(0, width - right.cell_len - 1), overflow="crop", pad=True)
    return fitted(Text.assemble(left, " ", right), width)


def _facts(state: RunState) -> Iterator[str]:
    model, preset = str(state.knob("model", "base", "")), str(state.environment.get("preset", ""))
    game = str(state.knob("selfplay", "game", ""))
    control = f"control: {state.control} rewards" if state.control else ""
    yield from (fact for fact in (control, _GAMES.get(game, game), model, preset) if fact)
    device, tier = state.environment.get("device"), state.environment.get("sandbox_tier")
    if device:
        yield str(device)
    if tier:
        yield f"sandbox tier {tier}"


def _how_far(state: RunState, view: View, width: int) -> Text:
    total = state.max_steps
    share = min(1.0, state.step / total) if total else 0.0
    text = Text.assemble(" step ", (f"{state.step}", "bold"), f"/{total} ")
    times = _times(state, view, width - text.cell_len - _LEAST_BAR)
    room = max(0, min(40, width - text.cell_len - times.cell_len - len(" 100% ")))
    full = round(share * room)
    text.append(view.glyph("━", "=") * full, style=ACCENT)
    text.append(view.glyph("─", "-") * (room - full), style="dim")
    text.append(f" {share:4.0%}")
    text.append_text(times)
    return fitted(text, width)


def _times(state: RunState, view: View, width: int) -> Text:
    """As many of the clocks as fit."""
    times = Text()
    for label, value in _clocks(state, view):
        piece = Text.assemble((f"   {label} ", "dim"), value)
        if times.cell_len + piece.cell_len <= width:
            times.append_text(piece)
    return times


def _clocks(state: RunState, view: View) -> Iterator[tuple[str, str]]:
    elapsed, seconds_left = figures.elapsed_s(state), figures.left_s(state)
    since = _seconds_since(state, view)
    if figures.phase_of_life(state) == "training" and seconds_left is not None:
        seconds_left = max(0.0, seconds_left - since)
    yield "elapsed", duration(elapsed + since)
    if seconds_left is not None and figures.phase_of_life(state) in ("training", "paused"):
        yield "left", duration(seconds_left)
    if state.steps:
        yield "a step", f"{number(figures.step_seconds(state))} s"
    if (speed := figures.tokens_per_s(state)) is not None:
        yield "tokens/s", f"{speed:,.0f}"


def _seconds_since(state: RunState, view: View) -> float:
    """Since the last step, or since the measurement in progress began; 0 if the run does neither."""
    life = figures.phase_of_life(state)
    began = {"training": state.last_step_at, Measuring.name: state.measuring_since}.get(life, 0.0)
    return min(max(0.0, view.now - began), 86400.0) if began else 0.0


def _how_good(state: RunState, view: View, width: int) -> Text:
    """Held-out accuracy before and now; then the run's own figures (means of the last steps) if they fit."""
    text = Text(" ")
    if undecided := figures.of_late(state, "questions/undecided"):
        text.append(f"undecided answers {number(undecided)}   ", style=BAD)
    known = gain(state)
    if known is not None:
        text.append_text(_held_out(known, view))
    for index, piece in enumerate(_own_figures(state)):
        label = "own tasks: " if index == 0 and known is not None else ""
        if text.cell_len + len(label) + piece.cell_len > width:
            break
        text.append_text(Text.assemble((label, "dim"), piece, "   "))
    return fitted(text, width)


def _held_out(known: Gain, view: View) -> Text:
    """39 columns at most, and three more to what comes next."""
    text = Text.assemble(("held-out ", "dim"), (number(known.before), "bold"))
    if known.step != known.since:
        style = _NOISE_STYLES.get(known.noise, "dim")
        text.append(view.glyph(" → ", " > "), style="dim")
        text.append(number(known.now), style="bold")
        text.append(f" {known.difference:+.2f} {known.noise}", style=style)
    return text.append("   ")


def _own_figures(state: RunState) -> Iterator[Text]:
    for name, metric in _OWN:
        value, change = figures.of_late(state, metric), figures.change(state, metric)
        if value is not None:
            moved = "" if change is None else f" {round(change, 2) + 0.0:+.2f}"
            is_vote = metric == "solver/accuracy" and state.has_votes
            yield Text.assemble(
                (f"{'agreement' if is_vote else name} ", "dim"), (number(value), "bold"), (moved, "dim")
            )


def _what_to_think(state: RunState, view: View, width: int) -> Text:
    """What the run waits for, or else what its figures mean, in as many words as fit."""
    if waiting := _waiting(state, view):
        return fitted(Text(f" {_longest(waiting, width - 1)}", style=ACCENT), width)
    if not state.steps and state.is_running:
        return fitted(Text(" waiting for the first step", style="dim"), width)
    known = gain(state)
    style = "" if known is None else _NOISE_STYLES.get(known.noise, "")
    return fitted(Text(f" {_longest(coach(state), width - 1)}", style=style), width)


def _waiting(state: RunState, view: View) -> list[str]:
    words = figures.waiting_in_words(state)
    if not words or figures.phase_of_life(state) != Measuring.name:
        return [words] if words else []
    short, long = (
        f"{text} for {duration(_seconds_since(state, view))}" for text in ("measuring", f"{words},")
    )
    if not state.measured_s:
        return [long, short]
    before = duration(state.measured_s[-1])
    return [f"{long} (the last took {before})", long, f"{short} (last: {before})", short]


def _longest(texts: Sequence[str], width: int) -> str:
    """The first text that fits, or the shortest."""
    return next((text for text in texts if len(text) <= width), min(texts, key=len))


def _how_busy(state: RunState, view: View, width: int) -> Text:
    text = Text(" ")
    if view.usage is not None:
        usage = view.usage
        _add(text, "cpu", f"{usage.cpu_percent:.0f} %")
        _add(text, "memory", f"{usage.used_gib:.1f}/{usage.total_gib:.1f} GiB")
        if usage.gpu is not None:
            _add(text, one_line(usage.gpu.name, is_ascii=view.is_ascii)[:28], _gpu_in_words(usage.gpu))
    if (pool := state.metrics.get("pool/size")) is not None:
        _add(text, "pool", f"{pool:.0f} tasks")
    saved = [event.step for event in state.events if isinstance(event, Checkpointed)]
    if saved:
        _add(text, "saved", f"step {saved[-1]}")
    return fitted(text, width)


def _gpu_in_words(gpu: GpuUsage) -> str:
    memory = (
        None
        if gpu.used_gib is None or gpu.total_gib is None
        else f"{gpu.used_gib:.1f}/{gpu.total_gib:.1f} GiB"
    )
    parts = (
        None if gpu.percent is None else f"{gpu.percent:.0f} %",
        memory,
        None if gpu.celsius is None else f"{gpu.celsius:.0f} C",
        None if gpu.watts is None else f"{gpu.watts:.0f} W",
    )
    return " ".join(part for part in parts if part) or "?"


def _add(text: Text, label: str, value: str) -> None:
    text.append(f"{label} ", style="dim")
    text.append(f"{value}   ")


def fitted(text: Text, width: int) -> Text:
    """One line of at most `width` columns."""
    text.no_wrap, text.overflow = True, "crop"
    text.truncate(max(1, width), overflow="crop")
    return text
