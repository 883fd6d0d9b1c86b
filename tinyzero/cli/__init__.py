"""The command line, the only place that prints. Commands import heavy modules only when they need them."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import tinyzero
from tinyzero.cli.bench import bench
from tinyzero.cli.chat import chat
from tinyzero.cli.config import config
from tinyzero.cli.doctor import doctor
from tinyzero.cli.evaluate import evaluate
from tinyzero.cli.export import export
from tinyzero.cli.plan import plan
from tinyzero.cli.play import play
from tinyzero.cli.presets import presets
from tinyzero.cli.push import push
from tinyzero.cli.report import report
from tinyzero.cli.runs import runs
from tinyzero.cli.screen import complain, show
from tinyzero.cli.seeds import seeds
from tinyzero.cli.signals import handle_unless_ignored
from tinyzero.cli.solve import solve
from tinyzero.cli.tasks import tasks
from tinyzero.cli.train import train
from tinyzero.cli.watch import watch
from tinyzero.errors import SelfTestFailed, TinyZeroError, nearest

# Typer's click is private; this is the base class of all errors in a command line.
_UsageError: Any = typer.BadParameter.__base__

_NO_ROOM_TO_LOAD = ("failed to map segment", "annot allocate memory")
_NO_MEMORY = (
    "this process may have no more memory; raise its limit (ulimit -v), end other programs, or "
    "take a smaller preset: tinyzero presets"
)
_MISSING = (
    "the package {} is not installed in this environment; install TinyZero again, which brings it: "
    "pip install -e . in its folder"
)

app = typer.Typer(
    name="tinyzero",
    help="Self-play reinforcement learning for language models on one consumer GPU, with no data.",
    rich_markup_mode=None,  # rich would be a third of the time that --help takes
    pretty_exceptions_enable=False,
    suggest_commands=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train)
app.command()(seeds)
app.command()(presets)
app.command()(config)
app.command()(plan)
app.command()(watch)
app.command()(runs)
app.command()(tasks)
app.command()(report)
app.command("eval")(evaluate)
app.command()(export)
app.command()(push)
app.command()(chat)
app.command()(solve)
app.command()(play)
app.command()(doctor)
app.command()(bench)


def main() -> None:
    """Run the command line of this process and exit with its code."""
    _open_closed_streams()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the encoding may lack a character
    handle_unless_ignored((signal.SIGTERM, signal.SIGHUP), _leave)
    handle_unless_ignored([signal.SIGUSR1], lambda *_: None)  # it asks for a checkpoint: nothing to save yet
    code = run(sys.argv[1:])
    handle_unless_ignored((signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)  # the end has its code already
    _flush_quietly()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line. A user's error gives one line and exit code 2; our own errors pass through.

    An export that is not what was trained gives one line and exit code 1.
    """
    try:
        return app(args=list(arguments) or ["--help"], prog_name="tinyzero", standalone_mode=False) or 0
    except TinyZeroError as error:
        complain(str(error))
        return 1 if isinstance(error, SelfTestFailed) else 2
    except _UsageError as error:
        complain(_explain_usage(error))
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (MemoryError, ImportError) as error:
        if missing := _missing_package(error):
            complain(_MISSING.format(missing))
            return 2
        if isinstance(error, ImportError) and not any(words in str(error) for words in _NO_ROOM_TO_LOAD):
            raise
        complain(_NO_MEMORY)
        return 2


def _missing_package(error: BaseException) -> str:
    """The package that is not installed; "" for any other error, and for a module of our own."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    is_missing = isinstance(error, ModuleNotFoundError) and find_spec(package) is None if package else False
    return package if is_missing and package != "tinyzero" else ""


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams (`>&-`) some that drop everything.

    Else the next file that is opened would take the number of the missing stream, and its text.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """Exit like on other errors, so that processes are stopped and unfinished folders removed.

    The signal may be repeated, which must not disturb that.
    """
    handle_unless_ignored((signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)
    sys.exit(128 + number)


def _explain_usage(error: Any) -> str:  # noqa: ANN401  an exception of typer's private click
    """Click's message, with the nearest valid word and a pointer to --help."""
    context, message = error.ctx, error.format_message().replace("Value error, ", "").rstrip(".")
    if context is None:
        return str(message)
    if message.startswith("No such command"):
        word = message.removeprefix("No such command ")[1:-1]
        message = f"no such command {word}{nearest(word, context.command.commands)}"
    elif message.startswith("No such option"):
        known = [name for parameter in context.command.params for name in parameter.opts]
        message = f"no such option {error.option_name}{nearest(error.option_name, known)}"
    return f"{message} (see {context.command_path} --help)"


def _flush_quietly() -> None:
    """Flush the output. A reader that has left (`tinyzero presets | head -1`) is not an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(is_requested: bool) -> None:
    if is_requested:
        show(f"tinyzero {tinyzero.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
