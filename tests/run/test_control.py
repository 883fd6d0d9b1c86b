import pytest

from tinyzero.config import Config
from tinyzero.run.control import Request, ask, forget, is_asked, take
from tinyzero.run.folder import RunFolder


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path, "x", Config())


def test_a_request_is_there_until_it_is_taken_once(run):
    assert not take(run, Request.SAVE)
    ask(run, Request.SAVE)
    assert is_asked(run, Request.SAVE)
    assert take(run, Request.SAVE)
    assert not take(run, Request.SAVE)


def test_a_file_made_by_hand_is_a_request(run):
    run.control.mkdir()
    (run.control / "stop").touch()
    assert is_asked(run, Request.STOP)
    assert not is_asked(run, Request.PAUSE)


def test_what_was_asked_of_an_earlier_process_is_forgotten(run):
    for request in Request:
        ask(run, request)
    forget(run)
    assert not any(is_asked(run, request) for request in Request)
