"""The top of the screen: the run's name, its progress, its key figures, and the machine's load."""

from collections.abc import Iterator

from rich.text import Text

from tinyzero.machine.usage import GpuUsage
from tinyzero.run.events import Checkpointed
from tinyzero.watch import figures
from tinyzero.watch.curves import number
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
# Key figures: name on the screen, metric, and whether more is better (None: neither).
_HEADLINES: tuple[tuple[str, str, bool | None], ...] = (
    ("accuracy", "solver/accuracy", True),
    ("held-out", "heldout/mean/sampled", True),
    ("valid", "proposer/valid_share", True),
    ("mixed", "solver/mixed_share", None),
    ("solver reward", "solver/reward", True),
    ("proposer reward", "proposer/reward", True),
)


_LEAST_BAR = 16


def header(state: RunState, view: View, width: int) -> list[Text]:
    """Four lines: name, progress, key figures, load."""
    return [
        who(state, view, width),
        _how_far(state, view, width),
        _how_good(state, view, width),
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
        left.append(dot, style="dim")
        left.append(one_line(fact, is_ascii=view.is_ascii), style="dim")
    left.truncate(max(0, width - right.cell_len - 1), overflow="crop", pad=True)
    return fitted(Text.assemble(left, " ", right), width)


def _facts(state: RunState) -> Iterator[str]:
    model, preset = str(state.knob("model", "base", "")), str(state.environment.get("preset", ""))
    game = str(state.knob("selfplay", "game", ""))
    yield from (fact for fact in (_GAMES.get(game, game), model, preset) if fact)
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
    if figures.phase_of_life(state) == "training" and state.last_step_at and view.now > state.last_step_at:
        since = min(view.now - state.last_step_at, 86400.0)
        elapsed, seconds_left = (
            elapsed + since,
            None if seconds_left is None else max(0.0, seconds_left - since),
        )
    yield "elapsed", duration(elapsed)
    if seconds_left is not None and figures.phase_of_life(state) in ("training", "paused"):
        yield "left", duration(seconds_left)
    if state.steps:
        yield "a step", f"{number(figures.step_seconds(state))} s"
    if (speed := figures.tokens_per_s(state)) is not None:
        yield "tokens/s", f"{speed:,.0f}"


def _how_good(state: RunState, view: View, width: int) -> Text:
    """The newest figures (means of the last steps), and their change since the first steps."""
    text = Text(" ")
    if undecided := figures.of_late(state, "questions/undecided"):
        text.append(f"undecided answers {number(undecided)}   ", style=BAD)
    for name, metric, is_better in _HEADLINES:
        value = figures.of_late(state, metric)
        if value is None:
            continue
        label = "agreement" if metric == "solver/accuracy" and state.has_votes else name
        piece = Text.assemble((f"{label} ", "dim"), (number(value), "bold"))
        change = figures.change(state, metric)
        if change is not None:
            piece.append(f" {change:+.2f}", style=_change_style(change, is_better=is_better))
        if text.cell_len + piece.cell_len + 3 > width:
            break
        text.append_text(piece)
        text.append("   ")
    if waiting := figures.waiting_in_words(state):
        text.append(waiting, style=ACCENT)
    elif not state.steps:
        text.append("waiting for the first step", style="dim")
    return fitted(text, width)


def _change_style(change: float, *, is_better: bool | None) -> str:
    if is_better is None or abs(change) < 0.005:
        return "dim"
    return GOOD if (change > 0) is is_better else BAD


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
