"""`run.notify`: a webhook or a command is told, and its failure is one warning."""

import json
import logging
import shlex
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tinyzero.config import Config
from tinyzero.errors import ConfigError
from tinyzero.run.events import AlarmBegan, Checkpointed
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.watch.notify import Notifier, notifiers

START = RunStart(
    name="a-run", path=Path("runs/a-run"), config=Config(), step=3, device="cpu", sandbox_tier="strong"
)
ALARM = AlarmBegan(step=5, alarm="low_valid", value=0.1, threshold=0.2, advice="look at samples")
END = RunSummary(step=7, reason=StopReason.MAX_STEPS, seconds=2.5, checkpoint=None)


def play(notifier):
    notifier.on_start(START)
    notifier.on_event(Checkpointed(step=4, path="x"))
    notifier.on_event(ALARM)
    notifier.on_end(END)


@pytest.fixture
def hook():
    """A web server that answers with a status, and keeps what it was sent."""
    servers = []

    def start(status=200):
        received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/secret", received

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_webhook_is_told_of_alarms_and_of_the_end(hook):
    url, received = hook()
    (notifier,) = notifiers(url)
    play(notifier)
    alarm, end = received
    assert (alarm["event"], alarm["run"], alarm["step"], alarm["alarm"]) == ("alarm", "a-run", 5, "low_valid")
    assert alarm["text"] == alarm["content"] == "run a-run, step 5: alarm low_valid: look at samples"
    assert (end["event"], end["step"], end["reason"], end["seconds"]) == ("end", 7, "max_steps", 2.5)


def test_an_error_that_ends_the_run_is_told_and_goes_on(hook):
    url, received = hook()
    (notifier,) = notifiers(url)
    notifier.on_start(START)
    with pytest.raises(ZeroDivisionError), notifier:
        raise ZeroDivisionError("by zero\nand more")
    assert [(told["event"], told["error"]) for told in received] == [("failed", "by zero")]
    with pytest.raises(ZeroDivisionError), Notifier(lambda _: None):
        raise ZeroDivisionError  # before the run has started, the screen is enough


@pytest.mark.parametrize("status", [404, 500])
def test_a_webhook_that_refuses_is_a_warning_without_its_address(hook, caplog, status):
    url, _ = hook(status)
    (notifier,) = notifiers(url)
    with caplog.at_level(logging.WARNING, "tinyzero"):
        play(notifier)
    assert len(caplog.messages) == 2
    assert all(f"run.notify failed: HTTP Error {status}" in said for said in caplog.messages)
    assert "secret" not in caplog.text


def test_a_webhook_that_is_not_there_is_a_warning(caplog):
    (notifier,) = notifiers("http://127.0.0.1:9/")
    with caplog.at_level(logging.WARNING, "tinyzero"):
        play(notifier)
    assert [said.startswith("run.notify failed: ") for said in caplog.messages] == [True, True]


def test_who_never_answers_is_not_waited_for(caplog):
    over = threading.Event()
    notifier = Notifier(lambda _: over.wait() and None, patience_s=0.01)
    with caplog.at_level(logging.WARNING, "tinyzero"):
        play(notifier)
    over.set()
    assert caplog.messages == ["run.notify has no answer after 0.01 s; the run goes on"] * 2


def test_a_command_gets_the_object_and_no_shell_reads_it(tmp_path):
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read())"
    told = tmp_path / "told; touch $(pwned)"
    (notifier,) = notifiers(shlex.join([sys.executable, "-c", program, str(told)]))
    play(notifier)
    assert [json.loads(line)["event"] for line in told.read_text().splitlines()] == ["alarm", "end"]
    assert [path.name for path in tmp_path.iterdir()] == [told.name]


def test_a_command_that_fails_is_a_warning(caplog):
    (notifier,) = notifiers(shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    with caplog.at_level(logging.WARNING, "tinyzero"):
        play(notifier)
    assert caplog.messages == ["run.notify failed: its command ended with 3"] * 2


@pytest.mark.parametrize(
    "target",
    [
        "",
        " ",
        "no-such-program",
        "'open",
        "http://",
        "https:///x",
        "http://[",
        "http://a b/",
        "file:///etc/x",
    ],
)
def test_what_can_tell_nobody_is_one_line_at_the_start(target):
    with pytest.raises(ConfigError, match=r"^run\.notify is [^\n]*$"):
        list(notifiers(target))


def test_nobody_is_told_by_default():
    assert list(notifiers(None)) == []
