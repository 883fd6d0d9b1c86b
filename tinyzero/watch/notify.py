"""Tells a webhook or a command of alarms and of the end of a run (`run.notify`).

Nobody's silence or failure ends the run: it is one warning.
"""

import json
import logging
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import tinyzero
from tinyzero.errors import ConfigError
from tinyzero.run.events import AlarmBegan, Event
from tinyzero.run.observer import RunStart, RunSummary
from tinyzero.types import StepReport

_logger = logging.getLogger(__name__)
_PATIENCE_S = 10.0
_SCHEMES = ("http", "https")


class Notifier:
    """Sends one JSON object for each alarm that begins, for the end, and for an error that ends the run."""

    def __init__(self, send: Callable[[bytes], None], patience_s: float = _PATIENCE_S) -> None:
        """A notifier.

        Args:
            send: delivers a JSON object; may raise anything, and may take longer than the patience.
            patience_s: how long the run waits for a delivery.
        """
        self._send = send
        self._patience_s = patience_s
        self._run = ""
        self._step = 0

    def on_start(self, start: RunStart) -> None:
        self._run, self._step = start.name, start.step

    def on_step(self, report: StepReport) -> None:
        self._step = report.step

    def on_event(self, event: Event) -> None:
        if isinstance(event, AlarmBegan):
            text = f"run {self._run}, step {event.step}: alarm {event.alarm}: {event.advice}"
            self._tell("alarm", text, asdict(event))

    def on_end(self, summary: RunSummary) -> None:
        text = f"run {self._run} ended at step {summary.step} ({summary.reason})"
        rows = [] if summary.comparison is None else [asdict(row) for row in summary.comparison.rows]
        details = {"step": summary.step, "reason": str(summary.reason), "seconds": summary.seconds}
        self._tell("end", text, {**details, "heldout": rows})

    def __enter__(self) -> "Notifier":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Tell of an error that ends a run which has started."""
        if isinstance(error, Exception) and self._run:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            text = f"run {self._run} failed at step {self._step}: {said}"
            self._tell("failed", text, {"step": self._step, "error": said})

    def _tell(self, event: str, text: str, details: Mapping[str, Any]) -> None:
        """Send, and wait for that no longer than the patience."""
        words = {"text": text, "content": text}  # as Slack and Discord name them
        body = json.dumps({"event": event, "run": self._run, **words, **details}).encode("ascii")
        sending = threading.Thread(target=self._deliver, args=(body,), daemon=True)
        sending.start()
        sending.join(self._patience_s)
        if sending.is_alive():
            _logger.warning("run.notify has no answer after %g s; the run goes on", self._patience_s)

    def _deliver(self, body: bytes) -> None:
        try:
            self._send(body)
        except subprocess.CalledProcessError as error:
            _logger.warning("run.notify failed: its command ended with %d", error.returncode)
        except Exception as error:  # noqa: BLE001  whatever a network or a program does
            _logger.warning("run.notify failed: %s", str(error) or type(error).__name__)


def notifiers(target: str | None) -> Iterator[Notifier]:
    """The notifier for `run.notify`, if it is set.

    Raises:
        ConfigError: it is neither a webhook's address nor the command line of a program that is here.
    """
    if target is None:
        return
    if target.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        yield Notifier(_webhook(target))
    else:
        yield Notifier(_command(target))


def _webhook(url: str) -> Callable[[bytes], None]:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError("run.notify is a web address that cannot be read; give https://HOST/PATH")

    def send(body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": f"tinyzero/{tinyzero.__version__}"}
        request = Request(url, data=body, headers=headers)  # noqa: S310  http or https, see above
        with urlopen(request, timeout=_PATIENCE_S):  # noqa: S310
            pass

    return send


def _command(line: str) -> Callable[[bytes], None]:
    """A command that gets the object on its standard input; no shell reads the line."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"run.notify is {line!r}, which is no command line: {error}") from error
    if not words or shutil.which(words[0]) is None:
        name = words[0] if words else line
        raise ConfigError(
            f"run.notify is {line!r}, but there is no program {name!r}; give a command or a URL"
        )

    def send(body: bytes) -> None:
        subprocess.run(
            words,
            input=body + b"\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=True,
            start_new_session=True,
        )

    return send
