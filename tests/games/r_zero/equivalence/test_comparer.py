"""The comparer: what is the same and what is not, and a worker that hostile answers attack in vain."""

import os
import signal
import socket
import threading

import psutil
import pytest
from graders import (
    CANNOT_FORK,
    CANNOT_WARM_UP,
    ENDS_AFTER_SOME_FORKS,
    ENDS_BEFORE_THE_FIRST_ANSWER,
    RUNS_CODE,
)

from tinyzero.errors import ComparerBroken
from tinyzero.games.r_zero.equivalence import comparer as comparer_module
from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer, cluster, majority, same_by_form
from tinyzero.games.r_zero.equivalence.judge import GRADER, Judge, JudgeSettings


@pytest.fixture(scope="module")
def comparer():
    with AnswerComparer(workers=2, timeout_s=1.0) as comparer:
        yield comparer


def judge(grader=GRADER, **changes):
    settings = {"workers": 2, "timeout_s": 0.5, "memory_mib": 512, "allow_weak_sandbox": False}
    return Judge(JudgeSettings(grader=grader, **settings | changes))


@pytest.fixture
def write_grader(tmp_path):
    def write(source):
        path = tmp_path / "grader.py"
        path.write_text(source)
        return path

    return write


@pytest.fixture
def code_runner(write_grader):
    """A judge whose pairs are (anything, code that sets `same`)."""
    made = judge(write_grader(RUNS_CODE))
    yield made
    made.close()


SAME = [
    (r"\frac{1}{2}", "0.5"),
    ("1/3", "0.333333"),
    ("2/3", "0.66666667"),
    ("x+1", "1+x"),
    (r"\sqrt{8}", r"2\sqrt2"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("1,2,3", "3,2,1"),
    ("[1,2]", r"1\le x\le 2"),
    ("(1,2)", "1,2"),
    (r"(-\infty,2]\cup(3,4)", r"(3,4)\cup(-\infty,2]"),
    ("x=5", "5"),
    ("x=2,y=3", "y=3,x=2"),
    (r"x^2-1", "(x-1)(x+1)"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\frac{\pi}{2}", r"\pi/2"),
    (r"2\pi", "2π"),
    (r"\log_2 8", "3"),
    (r"\binom{5}{2}", "10"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    ("No solution.", r"\text{no solution}"),
    ("5 cm", "5"),
    (r"30^\circ", "30"),
    ("50%", "50"),
]
DIFFERENT = [
    ("1/3", "0.33"),
    ("0.3333333", "0.333334"),
    ("1/10000000", "1/100000000"),
    ("x+1", "x+2"),
    ("x", "y"),
    ("(1,2)", "(1,2]"),
    ("(1,2)", "(2,1)"),
    (r"\{1,2\}", r"\{1,3\}"),
    ("2x+z=5", "5"),
    ("x^2=1", "x=1"),
    ("5m", "5"),
    ("5 cm", "5 km"),
    ("5 cm", "6"),
    ("no solution", "0"),
    ("east", "seat"),
    ("2 or 6", "3 or 4"),
    ("3 or 4", "4"),
    ("yes", "no"),
    ("None", "0"),
    ("", "0"),
    (r"\sqrt{2}", "1.41"),
]


def test_equal_answers_are_the_same_either_way_round(comparer):
    verdicts = dict(zip(SAME, comparer.same(SAME), strict=True))
    assert verdicts == dict.fromkeys(SAME, True)
    assert all(comparer.same([(second, first) for first, second in SAME]))


def test_other_answers_are_not(comparer):
    verdicts = dict(zip(DIFFERENT, comparer.same(DIFFERENT), strict=True))
    assert verdicts == dict.fromkeys(DIFFERENT, False)
    assert not any(comparer.same([(second, first) for first, second in DIFFERENT]))


def test_numbers_words_and_long_answers_start_no_process():
    with AnswerComparer() as comparer:
        long = "x+" * 250 + "1"
        pairs = [("1/2", "0.5"), ("7", "8"), ("yes", "no"), ("x", "x"), (long, "1"), (long, long)]
        assert comparer.same(pairs) == [True, False, False, True, False, True]
        assert comparer.same([]) == []
        assert comparer.pids == []
        assert comparer.num_judged == 0


def test_forms_that_need_algebra_are_left_open():
    assert same_by_form("x+1", "1+x") is None
    assert same_by_form("x+1", "x+1") is True
    assert same_by_form("1", "2") is False


def test_clusters_of_a_round(comparer):
    answers = [["x+1", "2", "1+x", "", r"\frac{4}{2}"], [r"\sqrt{8}", r"2\sqrt{2}", "3"]]
    labels = cluster(answers, comparer)
    assert labels == [[0, 1, 0, -1, 1], [0, 0, 1]]
    assert [majority(each) for each in labels] == [(0, 0.4), (0, 2 / 3)]


def test_a_pair_is_judged_once(comparer):
    before = comparer.num_judged
    assert comparer.same([("a+2b", "b+a+b"), ("b+a+b", "a+2b"), ("$a + 2b$", "b+a+b")]) == [True] * 3
    assert comparer.same([("a+2b", "b+a+b")]) == [True]
    assert comparer.num_judged == before + 1


def test_memory_of_verdicts_is_bounded(comparer, monkeypatch):
    monkeypatch.setattr(comparer_module, "MAX_REMEMBERED", 3)
    pairs = [(f"{i}x+{i}", f"{i}(x+1)") for i in range(2, 8)]
    assert comparer.same(pairs) == [True] * 6
    assert len(comparer._remembered) == 3


def test_several_threads_may_compare(comparer):
    results = {}

    def compare(i):
        results[i] = comparer.same([(f"y+{i}", f"{i}+y"), (f"y+{i}", f"y+{i + 1}")])

    threads = [threading.Thread(target=compare, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: [True, False] for i in range(4)}


def test_a_hang_is_cut_off_and_the_worker_serves_on():
    with AnswerComparer(workers=2, timeout_s=0.5) as comparer:
        assert comparer.same([("x+1", "1+x")]) == [True]
        pids = comparer.pids
        pairs = [("9^{9^{9^9}}", "1"), ("a+b", "b+a"), (r"10^{10^{10}}!", "2")]
        assert comparer.same(pairs) == [False, True, False]
        judged = comparer.num_judged
        assert comparer.same([pairs[0]]) == [False]
        assert comparer.num_judged == judged  # not tried again
        assert comparer.pids == pids


def test_hostile_answers_are_not_the_same_as_anything_and_do_nothing(comparer, tmp_path):
    canary = tmp_path / "canary"
    tmp_path.chmod(0o777)
    answers = [
        f"__import__('os').system('touch {canary}')",
        rf"\text{{__import__('os').system('touch {canary}')}}",
        "().__class__.__base__.__subclasses__()",
        "9**9**9**9",
        "9" * 399 + "!",
        "(" * 300,
        "{" * 150 + "x" + "}" * 150,
        r"\frac{1}{" * 40 + "x" + "}" * 40,
        r"\sqrt{" * 60 + "x" + "}" * 60,
        "x" + "^x" * 150,
        "x\x00y",
        "\x00",
        "\ud800x",
        "$" * 300,
        "\\",
        "%" * 10,
        r"\input{/etc/passwd}",
        "x" * 10_000_000,
        "(" * 10_000_000,
    ]
    assert comparer.same([(answer, "z+1") for answer in answers]) == [False] * len(answers)
    assert not canary.exists()
    assert comparer.same([("z+1", "1+z")]) == [True]


def test_hostile_answers_do_nothing_to_the_grader_either(tmp_path):
    """As they are, without the normal forms that keep most of them from it."""
    canary = tmp_path / "canary"
    tmp_path.chmod(0o777)
    attacks = [
        f"__import__('os').system('touch {canary}')",
        f"open('{canary}','w')",
        "1/__import__('os')._exit(0)",
        "exit()",
        "1)$ $(1",
        "x" * 100_000,
        "(" * 100_000,
    ]
    judging = judge()
    try:
        verdicts = judging.verdicts([(attack, "1") for attack in attacks] + [("x+1", "1+x")])
        assert True not in verdicts[:-1]
        assert verdicts[-1] is True
    finally:
        judging.close()
    assert not canary.exists()


def test_code_in_the_worker_gets_nowhere(code_runner, tmp_path, monkeypatch):
    """Each attack ends with `same = True`, so that a verdict of True is a success of the attack."""
    monkeypatch.setenv("TINYZERO_SECRET", "secret")
    tmp_path.chmod(0o777)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(0o666)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attacks = {
            "read a file": f"open({str(secret)!r}).read()",
            "write a file": f"open({str(tmp_path / 'written')!r}, 'w').write('x')",
            "list a folder": "import os; os.listdir('/')",
            "connect": f"socket.create_connection(('127.0.0.1', {port}))",
            "make a socket": "socket.socket()",
            "fork": "import os; os.fork()",
            "execute": "import os; os.execv('/bin/true', ['true'])",
            "signal": "import os, signal; os.kill(1, 0)",
            "thread": "import _thread; _thread.start_new_thread(int, ())",
            "memory": "x = bytearray(1 << 30)",
            "forge": "import os; os.write(3, b'same'); os._exit(0)",
            "secret": "import os; assert os.environ['TINYZERO_SECRET']",
            "import": "import sqlite3",
            "exit": "raise SystemExit",
            "lie": "same = type('Yes', (), {'__bool__': lambda self: True})(); raise RuntimeError",
            "sleep": "import time; time.sleep(60)",
            "spin": "while True: pass",
        }
        pairs = [("", f"{attack}\nsame = True") for attack in attacks.values()]
        verdicts = code_runner.verdicts([*pairs, ("", "same = True"), ("", "same = False")])
    assert dict(zip(attacks, verdicts, strict=False)) == dict.fromkeys(attacks, None)
    assert verdicts[-2:] == [True, False]
    assert not (tmp_path / "written").exists()


def test_what_a_pair_does_to_its_process_is_gone_with_it(code_runner):
    poison = "import sys, builtins, socket\nsocket.poisoned = builtins.poisoned = True\nsame = True"
    look = "import builtins, socket\nsame = hasattr(builtins, 'poisoned') or hasattr(socket, 'poisoned')"
    assert code_runner.verdicts([("", poison), ("", look)] * 3) == [True, False] * 3


def test_a_worker_that_was_killed_is_replaced():
    with AnswerComparer() as comparer:
        assert comparer.same([("x+1", "1+x")]) == [True]
        [first] = comparer.pids
        os.kill(first, signal.SIGKILL)
        assert comparer.same([("x+2", "2+x")]) == [True]
        assert comparer.pids != [first]


def test_pairs_that_died_with_a_worker_are_judged_by_the_next(write_grader):
    judging = judge(write_grader(ENDS_AFTER_SOME_FORKS))
    try:
        assert judging.verdicts([(str(i), "x") for i in range(12)]) == [True] * 12
    finally:
        judging.close()


@pytest.mark.parametrize(
    ("grader", "why"),
    [
        (CANNOT_WARM_UP, "no mathematics today"),
        (CANNOT_FORK, "no processes left"),
        (ENDS_BEFORE_THE_FIRST_ANSWER, "died"),
    ],
)
def test_a_worker_that_never_works_is_an_error_and_no_verdict(write_grader, grader, why):
    with AnswerComparer(grader=write_grader(grader)) as comparer:
        with pytest.raises(
            ComparerBroken, match=rf"3 attempts in a row failed(?s:.*){why}(?s:.*)pip install"
        ):
            comparer.same([("x+1", "1+x")])
        assert comparer.num_judged == 0


def test_without_seccomp_it_takes_a_flag(monkeypatch):
    judging, bold = judge(), judge(allow_weak_sandbox=True)
    with pytest.raises(ComparerBroken, match="--allow-weak-sandbox"):
        judging._check_confinement({"has_filter": False})
    bold._check_confinement({"has_filter": False})


def test_nothing_is_left_of_a_closed_comparer():
    with AnswerComparer(workers=2, timeout_s=0.5) as comparer:
        comparer.same([("x+1", "1+x"), ("9^{9^{9^9}}", "1")])
        family = psutil.Process(comparer.pids[0])
        processes = [family, *family.children(recursive=True)]
    assert psutil.wait_procs(processes, timeout=300)[1] == []
    comparer.close()
    assert comparer.same([("1", "1")]) == [True]
    with pytest.raises(ComparerBroken, match="closed"):
        comparer.same([("y+1", "1+y")])


def test_a_forgotten_comparer_takes_its_processes_along():
    comparer = AnswerComparer()
    comparer.same([("x+1", "1+x")])
    family = psutil.Process(comparer.pids[0])
    processes = [family, *family.children(recursive=True)]
    del comparer
    assert psutil.wait_procs(processes, timeout=300)[1] == []


SLOW = """
import time
def warm_up(): pass
def same(first, second):
    if "psi" in first + second:
        while True: pass
    return first[0] == second[0]
"""


def test_answers_that_take_too_long_do_not_spend_the_time_of_all_their_pairs(write_grader):
    with AnswerComparer(workers=2, timeout_s=0.2, grader=write_grader(SLOW)) as comparer:
        slow = [f"{letter}+\\psi" for letter in "abcdefgh"]
        pairs = [(first, second) for first in slow for second in [*slow, "x+y", "x+z"] if first < second]
        assert comparer.same([*pairs, ("x+y", "x+z"), ("x+y", "y+z")])[-2:] == [True, False]
        assert comparer.num_undecided <= comparer_module.MAX_UNDECIDED
        assert comparer.num_undecided > 0
        before = comparer.num_undecided
        assert comparer.same([("a+\\psi", "q+x"), ("x+u", "x+v")]) == [False, True]
        assert comparer.num_undecided <= before + 1


def test_an_honest_answer_is_not_blamed_for_the_other(write_grader):
    with AnswerComparer(workers=1, timeout_s=0.2, grader=write_grader(SLOW)) as comparer:
        assert comparer.same([("a+\\psi", "x+y")]) == [False]
        assert comparer.same([("x+y", "x+z"), ("a+\\psi", "x+z")]) == [True, False]
        assert comparer.num_undecided == 1


def test_a_pair_without_a_verdict_is_told_from_a_different_one(write_grader):
    with AnswerComparer(workers=1, timeout_s=0.2, grader=write_grader(SLOW)) as comparer:
        pairs = [("a+\\psi", "x+y"), ("x+y", "z+y"), ("2", "3"), ("x+y", "x+z")]
        assert comparer.verdicts(pairs) == [None, False, False, True]
        assert comparer.verdicts([("x+y", "a+\\psi")]) == [None]


@pytest.mark.parametrize("answer", ["1000000!", "2^{1000000}", "9^99999", "(123456)!", "x^{100000}"])
def test_numbers_that_nobody_can_write_out_start_no_process(answer):
    with AnswerComparer() as comparer:
        assert comparer.same([(answer, "7"), (answer, "x+1"), (answer, answer)]) == [False, False, True]
        assert comparer.num_judged == 0
