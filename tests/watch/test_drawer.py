"""The loop that draws: what is written, how often, and how little of the time it takes."""

import threading
import time
from dataclasses import replace

import pytest
from made import made_state

from tinyzero.watch.drawer import Drawer
from tinyzero.watch.keys import press
from tinyzero.watch.painter import Painter, update
from tinyzero.watch.view import View


class Paper:
    """A canvas that remembers."""

    def __init__(self, columns=100, lines=30):
        self.columns, self.lines = columns, lines
        self.written = []

    def size(self):
        return self.columns, self.lines

    def write(self, text):
        self.written.append(text)


class Book:
    """A run whose state a test sets."""

    def __init__(self, steps):
        self.state = made_state(steps)
        self.looks = 0

    def look(self):
        self.looks += 1
        return self.state


@pytest.fixture
def drawing():
    """Starts a drawer in a thread; hands out the drawer, its canvas and its run."""
    started = []

    def start(**options):
        paper, book = Paper(), Book(3)
        drawer = Drawer(book.look, paper, View(keys="q quit"), Painter(), **options)
        thread = threading.Thread(target=drawer.run)
        thread.start()
        started.append((drawer, thread))
        wait_for(lambda: paper.written)
        return drawer, paper, book

    yield start
    for drawer, thread in started:
        drawer.close()
        thread.join(300)
        assert not thread.is_alive()


def wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_the_lines_that_differ_are_written():
    assert update(["a", "b", "c"], ["a", "B", "c"]).count("\x1b[2;1H") == 1
    assert "c" not in update(["a", "b", "c"], ["a", "B", "c"])
    assert update(["a"], ["a"]) == ""
    assert update(["a"], ["a", "new"]).count(";1H") == 1


def test_the_first_frame_fills_the_canvas_and_a_new_size_draws_it_anew(drawing):
    drawer, paper, _ = drawing(most=0.5)
    assert all(f"\x1b[{row};1H" in paper.written[0] for row in range(1, 31))
    paper.columns, paper.lines = 80, 24
    wait_for(lambda: any("\x1b[24;1H" in text and "\x1b[25;1H" not in text for text in paper.written[1:]))
    assert drawer.busy_s > 0


def test_a_key_is_answered_at_once_though_the_next_frame_is_not_due(drawing):
    drawer, paper, _ = drawing(most=1e-6)  # frames an hour apart
    drawer.choose(replace(press(drawer.view, "k", ("deduction",)), keys="kind deduction"))
    wait_for(lambda: any("kind deduction" in text for text in paper.written))
    drawer.notice("SIGINT: saving")
    wait_for(lambda: any("SIGINT: saving" in text for text in paper.written))


def test_a_key_pressed_while_a_frame_is_drawn_is_not_lost():
    paper, book = Paper(), Book(3)
    drawer = Drawer(book.look, paper, View(), Painter(), most=1e-6)
    write = paper.write

    def press_meanwhile(text):
        write(text)
        if len(paper.written) == 1:
            drawer.choose(View(keys="pressed"))
        else:
            drawer.close()

    paper.write = press_meanwhile
    drawer.run()
    assert "pressed" in paper.written[1]


def test_a_step_waits_until_earlier_frames_are_paid_off(drawing):
    drawer, paper, book = drawing(most=1e-6, look_every_s=0.01)
    drawer.choose(View(keys="pressed"))
    wait_for(lambda: "pressed" in paper.written[-1])
    count = len(paper.written)
    book.state = made_state(4)
    looks = book.looks
    wait_for(lambda: book.looks > looks + 3)
    assert len(paper.written) == count


def test_a_notice_leaves_after_a_while(drawing, monkeypatch):
    monkeypatch.setattr("tinyzero.watch.drawer._NOTICE_S", 0.05)
    drawer, paper, _ = drawing(most=0.9, look_every_s=0.02)
    drawer.notice("for a while")
    wait_for(lambda: "for a while" in "".join(paper.written))
    wait_for(lambda: "q quit" in paper.written[-1] or drawer.view.notice == "")


def test_what_a_look_raises_ends_the_drawing_and_is_raised():
    def look():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Drawer(look, Paper(), View(), Painter()).run()
