"""The comparer: what is the same and what is not, and a worker that hostile answers attack in vain."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from tinyzero.games.r_zero.equivalence import judge as judge_module
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
    (r"12\pi\text{ cm}^2", "12π cm²"),
    (r"25\text{ cm}^2", "25"),
    ("25 square centimeters", "25 cm²"),
    ("5 km/h", "5 km per hour"),
    (r"5\text{ m}", "5 meters"),
    ("12 apples", "12"),
    ("x=50%", "x=50"),
    ("2√3", r"2\sqrt{3}"),
    ("√(12)", r"2\sqrt{3}"),
    ("∛8", "2"),
    ("1½", r"\frac{3}{2}"),
    ("⅔", "2/3"),
    ("²\u2044₃", "2/3"),
    ("x²+1", "1+x^{2}"),
    ("2¹⁰", "1024"),
    ("10⁻³", "0.001"),
    ("1e-3", "0.001"),
    ("3·x", "3x"),
    ("a₁", "a_1"),
    ("θ/2", r"\frac{\theta}{2}"),
    ("5\u200b", "\ufeff5"),
    ("𝑥 + １", "x+1"),  # noqa: RUF001
    ("`6`", "**6**"),
    (r"\sqrt{2}", "1.41421356"),
    (r"6.62\times 10^{-34}", r"662\cdot 10^{-36}"),
    (r"\frac{1}{2^{99}}", r"2^{-99}"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"\{1/2^{98},1/2^{99}\}", r"\{2^{-99},2^{-98}\}"),
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
    ("1/2^99", "1/2^98"),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
    (r"6.62\times 10^{-34}", r"1.38\times 10^{-23}"),
    ("0.000001", "0.0000014"),
    ("0.000001", "1/1000003"),
    ("x+0.0000001", "x+0.0000002"),
    (r"\frac{\sqrt{2}}{10^{20}}", r"\frac{\sqrt{3}}{10^{20}}"),
    ("e^{-50}", "e^{-60}"),
    ("e^{-50}", "0"),
    (r"(1/2^{99},1)", r"(1/2^{98},1)"),
    (r"\{1/2^{99},1\}", r"\{1/2^{98},1\}"),
    ("x=1/2^{99}", "x=1/2^{98}"),
    ("[0,1/2^{99}]", "[0,1/2^{98}]"),
    (r"\begin{pmatrix}1/2^{99}\\1\end{pmatrix}", r"\begin{pmatrix}1/2^{98}\\1\end{pmatrix}"),
    ("2^{200}+1", "2^{200}"),
    (r"\sqrt{2}\cdot 10^{100}", r"\sqrt{2}\cdot 10^{100}+1"),
    (r"\infty", "10^{99}"),
    ("50%", "0.5"),
    ("50%", "1/2"),
    ("25 cm^2", "25 cm"),
    (r"2\sqrt{3}\text{ cm}", r"2\sqrt{3}\text{ km}"),
    ("12 apples", "12 pears"),
    ("5 million", "5"),
    ("2x^2", "2"),
]


@pytest.mark.slow
def test_equal_answers_are_the_same_either_way_round(comparer):
    verdicts = dict(zip(SAME, comparer.same(SAME), strict=True))
    assert verdicts == dict.fromkeys(SAME, True)
    assert all(comparer.same([(second, first) for first, second in SAME]))


def test_other_answers_are_not(comparer):
    verdicts = dict(zip(DIFFERENT, comparer.same(DIFFERENT), strict=True))
    assert verdicts == dict.fromkeys(DIFFERENT, False)
    assert not any(comparer.same([(second, first) for first, second in DIFFERENT]))


def test_answers_compare_as_the_table_in_the_documents_says(comparer):
    text = (Path(__file__).parents[4] / "docs" / "r-zero.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(.+?)` \| `(.+?)` \| (yes|no) \|$", text, re.MULTILINE)
    documented = {(first, second): word == "yes" for first, second, word in rows}
    pairs = [*documented, *((second, first) for first, second in documented)]
    verdicts = dict(zip(pairs, comparer.same(pairs), strict=True))
    assert len(documented) > 30
    assert verdicts == {**documented, **{(b, a): is_same for (a, b), is_same in documented.items()}}


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


COMPUTES = """
import time

def warm_up():
    pass

def same(first, second):
    while time.process_time() < 0.2:
        pass
    return first.lower() == second.lower()
"""


def end_children(comparer, stop, most, number):
    """The processes that judge pairs, each once, as soon as they are there."""
    ended = set()
    while not stop.wait(0.005) and len(ended) < most:
        with contextlib.suppress(psutil.Error, AttributeError):  # the worker may be gone
            zygotes = [psutil.Process(pid) for pid in comparer.pids]
            if comparer._judge._link.report["has_namespaces"]:
                zygotes = [inner for outer in zygotes for inner in outer.children()]
            for child in [child for zygote in zygotes for child in zygote.children()]:
                if child.pid not in ended:
                    ended.add(child.pid)
                    child.send_signal(number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_pair_whose_process_is_ended_from_outside_is_judged_again_and_right(write_grader, number):
    with AnswerComparer(workers=2, timeout_s=2.0, grader=write_grader(COMPUTES)) as comparer:
        comparer.same([("x+1", "X+1")])
        stop = threading.Event()
        killer = threading.Thread(target=end_children, args=(comparer, stop, 4, number))
        killer.start()
        try:
            assert comparer.same([("x+2", "X+2"), ("x+3", "Y+3")]) == [True, False]
        finally:
            stop.set()
            killer.join()
        assert comparer.num_undecided == 0


def test_a_machine_that_stops_for_a_while_changes_no_verdict(write_grader):
    with AnswerComparer(timeout_s=1.0, grader=write_grader(COMPUTES.replace("0.2", "0.6"))) as comparer:
        comparer.same([("x+1", "X+1")])
        family = [psutil.Process(comparer.pids[0]), *psutil.Process(comparer.pids[0]).children()]
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(comparer.same, [("x+2", "X+2")])
            time.sleep(0.3)
            family += [child for zygote in family for child in zygote.children() if child not in family]
            for process in family:
                process.suspend()
            time.sleep(4)
            for process in reversed(family):
                process.resume()
            assert running.result() == [True]
        assert comparer.num_undecided == 0


def test_pairs_that_are_killed_again_and_again_are_an_error_and_no_verdict(write_grader, monkeypatch):
    monkeypatch.setattr(judge_module, "PAUSES_S", (0.01, 0.01))
    with AnswerComparer(timeout_s=2.0, grader=write_grader(COMPUTES)) as comparer:
        comparer.same([("x+1", "X+1")])
        stop = threading.Event()
        killer = threading.Thread(target=end_children, args=(comparer, stop, 100, signal.SIGKILL))
        killer.start()
        try:
            with pytest.raises(ComparerBroken, match=r"no pair was judged .* killed from outside.*resume"):
                comparer.same([("x+2", "X+2")])
        finally:
            stop.set()
            killer.join()
        assert comparer.same([("x+2", "X+2")]) == [True]


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


@pytest.mark.slow
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
        num_hard = len(set(pairs)) + 2
        assert comparer.num_skipped == num_hard - comparer.num_judged > 0
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
