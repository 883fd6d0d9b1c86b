"""`tinyzero runs`, `tasks`, `report` and `watch --once`, from the outside."""

import csv
import io
import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from random import Random

import pytest
from made import CONFIG, KINDS, PROGRAM, metrics, sample, task, write_run

from tinyzero.cli import run
from tinyzero.cli.plan import complete_card
from tinyzero.config import load_config
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.r_zero.game import RZero
from tinyzero.games.r_zero.question_set import QuestionSet
from tinyzero.machine.cards import find_card
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import read
from tinyzero.tasks import KINDS as REAL_KINDS
from tinyzero.tasks.pool.pool import IMPORTS, Pool

HOSTILE = "\x1b[2J[red]x\x07"
TASKS = [
    task(1, name="aaa1", rate=0.0, program="def f(a, b):\n    return sorted([a, b])"),
    task(2, name="aaa2", rate=0.5, kind="abduction", parents=["aaa1"]),
    task(3, name="bbb3", rate=1.0, parents=["aaa2", "seed"]),
    task(4, name="ccc4", rate=None, message=HOSTILE, program=HOSTILE, kind=HOSTILE, parents=[HOSTILE]),
]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command line in this process, in a folder of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")

    def run_one(*arguments):
        code = run(arguments)
        return code, *capsys.readouterr()

    return run_one


@pytest.fixture
def made(tmp_path):
    end = {"event": "end", "time": 1.0, "step": 4}
    return write_run(tmp_path / "runs" / "x", 4, events=[end], tasks=TASKS)


def test_the_list_of_runs_has_what_tells_them_apart(command, made, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    lines = [{**metrics(step), "heldout/mean/sampled": 0.1 * step} for step in (1, 2)]
    lines[1]["heldout/mean/gain_low"] = 0.04
    alarm = {"event": "bad", "advice": "look", "step": 1}
    write_run(tmp_path / "runs" / "y\x1b[2J", 2, metrics=lines, events=[alarm])
    code, out, _ = command("runs")
    assert code == 0
    header, *rows = out.splitlines()
    assert " ".join(header.split()) == "name preset model steps before held-out change own tasks state age"
    (x,) = [row for row in rows if row.startswith("x ")]
    assert x.split()[1:9] == ["nano-cpu", "nano", "4/90", "-", "-", "-", "0.113", "stopped"]
    (y,) = [row for row in rows if row.startswith("y")]
    assert y.startswith("y\\x1b[2J ")
    assert "0.100   0.200     +0.100 above noise" in y
    assert "interrupted, 1 alarm(s)" in y


def test_a_narrow_list_of_runs_drops_columns_and_wraps_nothing(command, made, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    header, row = command("runs")[1].splitlines()
    assert header.split() == ["name", "steps", "before", "held-out", "change", "state"] or len(header) <= 40
    assert "before" in header
    assert "held-out" in header
    assert len(row) <= 40


def heldout_run(folder, accuracies):
    """A run that was measured at each of its steps, and before the first one."""
    lines = [
        {**metrics(step), "heldout/mean/sampled": value, "heldout/mean/gain_low": value - 0.2}
        for step, value in enumerate(accuracies, 1)
    ]
    base = {"event": "measured", "step": 0, "heldout/mean/sampled": 0.1}
    return write_run(folder, len(lines), metrics=lines, events=[base])


def test_the_newest_run_is_the_default_and_best_and_last_are_words(command, tmp_path):
    for at, (name, accuracies) in enumerate({"a": (0.3,), "b": (0.2, 0.5), "c": (0.4,)}.items()):
        run = heldout_run(tmp_path / "runs" / name, accuracies)
        for file in run.iterdir():
            os.utime(file, (1e9 + at, 1e9 + at))
    for arguments in (["tasks"], ["tasks", "last"], ["report"], ["report", "last"], ["watch", "--once"]):
        code, _, err = command(*arguments)
        assert code == 0
        assert err.splitlines()[0] == "run runs/c (the newest)"
    code, out, err = command("report", "best", "a", "--to", "r.html")
    assert err.splitlines()[0] == "run runs/b (the best of 3, held-out accuracy 0.500)"
    assert (code, out) == (0, "r.html\n")
    write_run(tmp_path / "runs" / "last", 1)
    assert command("tasks", "last")[2] == ""  # a run of that name comes first


def test_without_runs_the_words_for_them_say_so_in_one_line(command, made):
    for arguments in (
        ["watch", "--output", "none"],
        ["tasks", "last", "--output", "none"],
        ["report", "--output", "none"],
    ):
        code, out, err = command(*arguments)
        assert (code, out, err) == (2, "", "error: no runs in none; start one: tinyzero train\n")
    assert command("report", "best")[2] == (
        "error: no run in runs was measured on held-out tasks; name one: tinyzero runs\n"
    )


def test_a_run_says_what_it_came_to_and_gives_its_metrics_as_csv(command, tmp_path):
    heldout_run(tmp_path / "runs" / "x", (0.2, 0.5))
    assert command("runs", "x")[1].splitlines()[-1].startswith("Learned: better at tasks that it never saw")
    code, out, _ = command("runs", "x", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert [row["heldout/mean/sampled"] for row in rows] == ["0.1", "0.2", "0.5"]
    assert [row["solver/mixed_share"] for row in rows] == ["", "0.5", "0.5"]
    odd = {'a,"b"\nc': 2.0, "step": 1}
    write_run(tmp_path / "runs" / "y", 1, metrics=[odd])
    assert command("runs", "y", "--csv")[1] == 'step,"a,""b"" c"\n1,2.0\n'


def test_what_is_no_run_is_told_from_one_that_is_not_there(command, made, tmp_path):
    (made / "config.json").unlink()
    assert command("watch", "x", "--once")[2] == (
        "error: runs/x has the logs of a run but no config.json, which opens it\n"
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen3", "architectures": ["A"]}')
    code, _, err = command("chat", "model")
    assert (code, err) == (
        2, "error: model is the folder of a model, and no run; tinyzero eval takes it\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tinyzero watch ", {"x", "last", "best"}),
        ("tinyzero watch --output other ", {"last", "best"}),
        ("tinyzero report x la", {"last"}),
        ("tinyzero train --resume x", {"x"}),
        ("tinyzero chat b", {"best"}),
        ("tinyzero train --preset nano", {"nano-cpu"}),
        ("tinyzero train --set evaluation.att", {"evaluation.attempts=", "evaluation.attempts_between="}),
        ("tinyzero config evaluation.ev", {"evaluation.every_steps"}),
        ("tinyzero plan --gpu 4090", {"4090"}),
        ("tinyzero plan --gpu a100", {"a100-40gb", "a100-80gb"}),
    ],
)
def test_a_shell_completes_runs_presets_settings_and_cards(capsys, made, monkeypatch, line, expected):
    monkeypatch.chdir(made.parents[1])
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    monkeypatch.setenv("_TINYZERO_COMPLETE", "complete_bash")
    with pytest.raises(SystemExit):
        run([])
    assert set(capsys.readouterr().out.split()) == expected


def test_every_completed_card_is_one_that_plan_knows():
    for name in complete_card(""):
        assert find_card(name).name.casefold().replace("rtx ", "").replace(" ", "-") == name


def test_the_list_of_runs_for_programs_and_an_empty_one(command, made):
    (row,) = json.loads(command("runs", "--json")[1])
    assert (row["name"], row["step"], row["max_steps"], row["best_heldout"]) == ("x", 4, 90, None)
    assert command("runs", "--output", "nowhere") == (
        0,
        "",
        "no runs in nowhere; start one: tinyzero train\n",
    )


def test_the_list_of_runs_names_controls_and_says_whether_claims_held(command, tmp_path):
    folder = write_run(tmp_path / "runs" / "x", 4, events=[{"event": "end", "time": 1.0, "step": 4}])
    config = {**CONFIG, "rewards": {"control": "shuffled"}, "run": {"max_steps": 4, "expect": "heldout+3"}}
    (folder / "config.json").write_text(json.dumps(config))
    row = {"name": "mean", "decoding": "sampled", "tasks": 9, "before": 0.1, "after": 0.11}
    row |= {"difference": 0.01, "low": 0.0, "high": 0.02}
    (folder / "evaluation.json").write_text(json.dumps({"set": "x", "attempts": 8, "step": 4, "rows": [row]}))
    assert "finished, control (shuffled rewards), heldout+3 did not hold" in command("runs")[1]
    (record,) = json.loads(command("runs", "--json")[1])
    assert record["control"] == "shuffled"
    assert (record["claim"]["outcome"], record["claim"]["interval"]) == ("did not hold", [0.0, 2.0])


def ids(out):
    return [line.split()[0] for line in out.splitlines()[1:-1]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["ccc4", "bbb3", "aaa2", "aaa1"]),
        (["--limit", "2"], ["ccc4", "bbb3"]),
        (["--kind", "abduction"], ["aaa2"]),
        (["--search", "SORTED"], ["aaa1"]),
        (["--solved", "all"], ["bbb3"]),
        (["--solved", "none"], ["aaa1"]),
        (["--solved", "untried"], ["ccc4"]),
        (["--rate", "0.4:1"], ["bbb3", "aaa2"]),
        (["--steps", "2:3"], ["bbb3", "aaa2"]),
        (["--steps", "3:"], ["ccc4", "bbb3"]),
        (["--steps", "1"], ["aaa1"]),
    ],
)
def test_tasks_are_listed_by_what_one_asks_for(command, made, options, expected):
    code, out, _ = command("tasks", "x", *options)
    assert code == 0
    assert ids(out) == expected
    assert out.splitlines()[-1].endswith("of 4 tasks")
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("newest", ["ccc4", "bbb3", "aaa2", "aaa1"]),
        ("rate", ["aaa1", "aaa2", "bbb3", "ccc4"]),
        ("size", ["aaa1", "bbb3", "aaa2", "ccc4"]),
        ("oddness", ["aaa1", "bbb3", "aaa2", "ccc4"]),
    ],
)
def test_tasks_are_sorted_by_solve_rate_size_and_oddness(command, made, order, expected):
    """Here every shape is there once: the more different characters, the odder."""
    assert ids(command("tasks", "x", "--sort", order)[1]) == expected
    assert ids(command("tasks", "x", "--sort", order, "--limit", "1")[1]) == expected[:1]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--rate", "half", "it must be LOW:HIGH, from 0 to 1, such as 0.2:0.8"),
        ("--rate", "2:3", "it must be LOW:HIGH, from 0 to 1, such as 0.2:0.8"),
        ("--rate", "-1:0.5", "it must be LOW:HIGH, from 0 to 1, such as 0.2:0.8"),
        ("--rate", "0.8:0.2", "it must be LOW:HIGH, from 0 to 1, such as 0.2:0.8"),
        ("--rate", "nan:1", "it must be LOW:HIGH, from 0 to 1, such as 0.2:0.8"),
        ("--steps", "3:1", "it must be LOW:HIGH, from 0 on, such as 10:20"),
        ("--steps", "1.5", "it must be LOW:HIGH, from 0 on, such as 10:20"),
        ("--steps", "9:", "runs/x has tasks of the steps 1 to 4"),
        ("--kind", "foo", "runs/x has deduction, abduction, induction, \\x1b[2J[red]x\\x07"),
    ],
)
def test_what_no_task_can_have_is_one_line_with_what_it_can(command, made, option, value, said):
    assert command("tasks", "x", option, value) == (2, "", f"error: {option} is {value!r}; {said}\n")


def test_a_kind_of_the_run_that_no_task_has_yet_is_an_empty_list(command, made):
    code, out, _ = command("tasks", "x", "--kind", "induction")
    assert (code, out.splitlines()[-1]) == (0, "0 of 0 that fit, of 4 tasks")


def test_a_view_of_an_unknown_kind_is_one_line(command, made):
    code, _, err = command("watch", "x", "--once", "--kind", "foo")
    assert (code, err) == (2, "error: --kind is 'foo'; runs/x has deduction, abduction, induction\n")


def test_one_task_is_shown_with_its_ancestry(command, made):
    _, out, _ = command("tasks", "x", "bbb")
    assert "solved   100% of 8 attempts" in out
    assert "def f(a, b):\n    return a * 2 + b" in out
    assert "f(3, 4) = 10" in out
    assert out.splitlines()[-4:] == [
        "shown to its proposer:",
        "aaa2  step 2: def f(a, b): return a * 2 + b",
        "  aaa1  step 1: def f(a, b): return sorted([a, b])",
        "seed  a seed, or not recorded here",
    ]
    assert "\x1b" not in command("tasks", "x", "ccc4")[1]


def test_a_name_of_several_tasks_or_of_none_is_one_line(command, made):
    assert command("tasks", "x", "aaa")[2].startswith("error: 2 tasks of runs/x begin with aaa; list them:")
    assert command("tasks", "x", "zzz")[2].startswith("error: no task of runs/x begins with zzz;")


def test_tasks_are_verified_again_by_running_them(command, made):
    code, out, _ = command("tasks", "x", "--kind", "abduction", "--verify", "--json")
    assert code == 1
    assert json.loads(out)["difference"].startswith("its id is now ")
    assert command("tasks", "x", "aaa1", "--verify")[1].splitlines() == [
        "aaa1  deduction  differs  outputs are now [3, 4]"
    ]


def test_a_library_of_others_does_not_reach_the_terminal_raw(command, made, tmp_path):
    osc = "\x1b]0;title\x07\x1b]52;c;aGk=\x07"
    tasks = [
        task(
            1, name=f"{osc}{number}", kind=kind, message=osc, program=osc + PROGRAM, author=osc, outputs=[osc]
        )
        for number, kind in enumerate((osc, "deduction", "induction", "question"))
    ]
    write_run(tmp_path / "runs" / f"z{osc}", 1, tasks=tasks, samples=[sample(1, kind=osc, completion=osc)])
    name = f"z{osc}"
    for arguments in (
        ("tasks", name), ("tasks", name, f"{osc}0"), ("tasks", name, "--verify"),
        ("tasks", name, "--verify", "--json"), ("tasks", name, "--json"),
        ("tasks", name, "--export", f"{osc}.jsonl"), ("runs",), ("runs", "--json"), ("report", name),
        ("watch", name, "--once"), ("tasks", name, "nothing"), ("tasks", "x", "--import", name),
    ):  # fmt: skip
        _, out, err = command(*arguments)
        assert "\x1b]" not in out + err, arguments
        assert "\x07" not in out + err, arguments


@pytest.mark.parametrize("kind", ["deduction", "abduction", "error-prediction"])
def test_a_record_with_three_inputs_of_a_kind_with_one_differs(command, tmp_path, kind):
    write_run(tmp_path / "runs" / "z", 1, tasks=[task(1, kind=kind, inputs=["1, 2", "3, 4", "5, 6"])])
    code, out, _ = command("tasks", "z", "--verify")
    assert code == 1
    assert "differs  not parsed: 3 inputs, and a task of this kind has one" in out


def test_half_a_character_in_a_log_is_shown_and_exported_as_what_it_is(command, tmp_path):
    write_run(tmp_path / "runs" / "z", 1, tasks=[task(1, name="a\ud800", message="\udfff", program="\ud800")])
    for arguments in (("--export", "folder"), ("--export", "t.jsonl"), (), ("--json",), ("--verify",)):
        code, _, err = command("tasks", "z", *arguments)
        assert code in (0, 1)
        assert "Traceback" not in err
    assert command("export", "z", "--what", "tasks")[0] == 2
    assert command("report", "z")[0] == 0


def test_tasks_are_exported_as_lines_and_as_a_dataset(command, made, tmp_path):
    assert command("tasks", "x", "--rate", "0:1", "--export", "t.jsonl")[2] == "3 tasks in t.jsonl\n"
    assert [json.loads(line)["id"] for line in (tmp_path / "t.jsonl").read_text().splitlines()] == [
        "bbb3", "aaa2", "aaa1",
    ]  # fmt: skip
    assert command("tasks", "x", "--rate", "0:1", "--export", "folder")[0] == 0
    from datasets import load_from_disk

    dataset = load_from_disk(str(tmp_path / "folder"))
    assert dataset["solve_rate"][:] == [1.0, 0.5, 0.0]
    assert command("tasks", "x", "--export", "t.csv")[2].startswith(
        "error: --export is t.csv; it must be a .jsonl"
    )


class Part:
    """A game's pool, as a part of a checkpoint; or nothing at all."""

    def __init__(self, pool=None):
        self.pool = pool

    def save(self, folder):
        if self.pool is not None:
            self.pool.save(folder)

    def load(self, folder):
        pass


class Roomy:
    """A sampler into whose prompts everything fits."""

    def fits(self, prompt):
        return True


@pytest.fixture
def trained(tmp_path):
    """A run with a checkpoint after step 2, and a line of a third step that was lost."""
    config = load_config("nano-cpu")
    folder = RunFolder.create(tmp_path / "runs", "mine", config)
    pool = Pool(config.pool, (seed for kind in REAL_KINDS.values() for seed in kind.seeds()))
    parts = {"policy": Part(), "game": Part(pool), "learner": Part()}
    checkpoints.write(folder, 2, parts)
    folder.tasks.write_text("".join(json.dumps(task(step)) + "\n" for step in (1, 2, 3)))
    return folder


def test_another_runs_tasks_are_verified_and_join_the_pool_at_the_next_resume(command, made, trained):
    code, _, err = command("tasks", "mine", "--import", "x")
    assert code == 0
    assert err.splitlines()[-1] == (
        "3 of 4 tasks verified (1 refused: not parsed); 3 are new, and join the pool with "
        "tinyzero train --resume runs/mine"
    )
    game = AbsoluteZero(trained.config(), sampler=Roomy(), executor=None, kinds=REAL_KINDS)
    game.load(checkpoints.latest(trained) / "game")
    added = [one for kind in KINDS for one in game.pool.references(kind, 99, Random(0)) if one.step >= 0]
    assert sorted(one.program.split("return ")[1] for one in added) == [
        "a * 2 + b", "a * 2 + b", "sorted([a, b])",
    ]  # fmt: skip
    assert {one.outputs for one in added} == {("10",), ("[3, 4]",)}  # computed here, not what the file said
    recorded = [line for line in read(trained.tasks) if line.get("imported_from") == "x"]
    assert [line["step"] for line in read(trained.tasks)] == [1, 2, 2, 2, 2]
    assert {line["id"] for line in recorded} == {one.id for one in added}
    assert [event["event"] for event in read(trained.events)] == ["imported"]
    assert "; 0 are new, " in command("tasks", "mine", "--import", "x")[2]


def test_nothing_is_imported_into_a_run_that_cannot_take_it(command, made, trained):
    assert command("tasks", "x", "--import", "mine")[2].endswith(
        "has no checkpoint yet; train it for some steps first\n"
    )
    assert "cannot import from itself" in command("tasks", "mine", "--import", "mine")[2]
    with trained.exclusive():
        assert "is being trained by process" in command("tasks", "mine", "--import", "x")[2]
    assert not (checkpoints.latest(trained) / "game" / IMPORTS).exists()


def test_a_frame_is_printed_for_a_file_without_a_single_escape(command, made):
    code, out, _ = command("watch", "x", "--once", "--size", "90x30")
    assert code == 0
    assert "step 4/90" in out
    assert "\x1b" not in out
    assert len(out.splitlines()) <= 30
    assert max(map(len, out.splitlines())) <= 90
    assert command("watch", "x", "--once", "--ascii")[1].isascii()
    assert command("watch", "x", "--once", "--size", "0x9")[2].startswith(
        "error: --size is '0x9'; it must be"
    )


def test_a_frame_is_drawn_as_svg_that_needs_no_network(command, made, tmp_path):
    assert command("watch", "x", "--once", "--svg", "frame.svg")[0] == 0
    text = (tmp_path / "frame.svg").read_text()
    root = ElementTree.fromstring(text)
    words = "".join(root.itertext()).replace("\xa0", " ")
    assert "solver accuracy" in words
    assert "@font-face" not in text
    assert "url(http" not in text
    assert command("watch", "x", "--svg", "no/such/folder.svg")[2].startswith(
        "error: cannot write no/such/folder.svg"
    )


def test_a_report_is_written_into_the_runs_folder(command, made, tmp_path):
    assert command("report", "x")[:2] == (0, "runs/x/report.html\n")
    assert "step 4" in (made / "report.html").read_text()
    assert command("report", "x", "x", "--to", "two.html", "--png", "two.png")[0] == 0
    assert (tmp_path / "two.html").exists()
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["watch", "tasks", "report"])
def test_a_run_that_is_not_there_is_named_with_the_nearest(command, made, name):
    assert command(name, "xx")[2] == "error: no run xx, neither as a path nor in runs; did you mean x?\n"


QUESTION = {"program": "", "inputs": [], "outputs": ["5/11"], "message": "What are the odds?"}


def test_questions_are_listed_searched_and_shown_by_what_they_ask(command, tmp_path):
    asked = task(2, name="qqq", kind="question", rate=0.5, **{**QUESTION, "parents": []})
    write_run(tmp_path / "runs" / "q", 2, tasks=[asked], samples=[sample(2, kind="question", task_id="qqq")])
    _, out, _ = command("tasks", "runs/q", "--search", "odds")
    assert "What are the odds?" in out
    _, out, _ = command("tasks", "runs/q", "qqq")
    assert "What are the odds?" in out
    assert "majority 5/11" in out
    assert "agreed   50% of 8 attempts agree with the majority" in out
    assert "hint" not in out
    code, out, _ = command("tasks", "runs/q", "--verify")
    assert code == 1
    assert "a question has no program; most attempts said its answer" in out
    _, out, _ = command("watch", "runs/q", "--once")
    assert "What are the odds?" in out
    assert "majority 5/11" in " ".join(out.split())


PROGRAM_QUESTION = {"program": "def f(a):\n    return a * 2", "inputs": ["21"], "truth": "42"}


@pytest.fixture
def played_r_zero(tmp_path):
    """Two runs of R-Zero with a checkpoint: questions in words, and about programs."""
    folders = {}
    for name, preset in (("words", "nano-cpu"), ("programs", "r-zero-nano-cpu")):
        config = load_config(preset, ['selfplay.game="r-zero"'])
        folders[name] = RunFolder.create(tmp_path / "runs", name, config)
        checkpoints.write(
            folders[name], 2, {"policy": Part(), "game": Part(QuestionSet()), "learner": Part()}
        )
    return folders


def imported(folder):
    game = RZero(folder.config(), sampler=Roomy(), comparer=None)
    game.load(checkpoints.latest(folder) / "game")
    game.questions.begin(3)
    return [(one.message or one.program, one.outputs, one.truth) for one in game.questions.kept]


def test_questions_travel_as_a_file_and_as_a_data_set_and_join_every_set(command, played_r_zero, tmp_path):
    asked = [
        task(2, name="q1", kind="question", rate=0.5, **{**QUESTION, "parents": []}),
        task(2, name="q2", kind="question", rate=0.5, **{**QUESTION, "message": "No label?", "outputs": []}),
        task(2, name="q3", kind="question", rate=0.5, outputs=["42"], **PROGRAM_QUESTION),
        task(2, name="q4", kind="question", rate=0.5, **{**PROGRAM_QUESTION, "outputs": ["7"], "truth": "9"}),
        task(2, name="t5"),
    ]
    asked[3]["inputs"] = ["4"]
    write_run(tmp_path / "runs" / "q", 2, tasks=asked)
    assert command("tasks", "runs/q", "--export", "set.jsonl")[0] == 0
    assert command("tasks", "runs/q", "--export", "set")[0] == 0
    _, _, err = command("tasks", "words", "--import", "set.jsonl")
    assert err.splitlines()[-1].startswith("1 of 5 questions usable (4 refused: not parsed); 1 are new, ")
    assert imported(played_r_zero["words"]) == [("What are the odds?", ("5/11",), None)]
    _, _, err = command("tasks", "programs", "--import", "set")
    assert "2 of 5 questions usable" in err
    program = PROGRAM_QUESTION["program"]
    assert sorted(imported(played_r_zero["programs"])) == [  # labels as they came, truths computed here
        (program, ("42",), "42"),
        (program, ("7",), "8"),
    ]
    assert "; 0 are new, " in command("tasks", "programs", "--import", "set.jsonl")[2]


def test_tasks_of_a_file_join_a_pool(command, made, trained, tmp_path):
    assert command("tasks", "x", "--export", "tasks.jsonl")[0] == 0
    assert "3 of 4 tasks verified" in command("tasks", "mine", "--import", "tasks.jsonl")[2]
    _, _, err = command("tasks", "mine", "--import", "tasks.jsonl", "--kind", "question")
    assert "0 of 0 tasks verified" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "holds no task"), ('{"id": 3}\n', "line 1 of"), ('{"step": 1}\nno\n', "line 1 of")],
)
def test_a_file_of_something_else_is_not_imported(command, trained, tmp_path, content, words):
    Path("odd.jsonl").write_text(content)
    code, _, err = command("tasks", "mine", "--import", "odd.jsonl")
    assert code == 2
    assert words in err
    assert "a .jsonl file of --export" in err
    Path("odd").mkdir()
    assert "odd is no data set that can be read" in command("tasks", "mine", "--import", "odd")[2]
    assert "no run nowhere" in command("tasks", "mine", "--import", "nowhere")[2]


def test_a_question_about_a_program_shows_majority_and_truth_and_is_verified_by_its_truth(command, tmp_path):
    right = task(2, name="q3", kind="question", rate=0.5, outputs=["41"], **PROGRAM_QUESTION)
    write_run(tmp_path / "runs" / "q", 2, tasks=[right, {**right, "id": "q4", "truth": "9"}], samples=[])
    _, out, _ = command("tasks", "runs/q", "q3")
    assert "majority 41\ntruth    42\n" in out
    assert "f(21)\n" in out
    assert "f(21) = 41" not in out
    code, out, _ = command("tasks", "runs/q", "--verify")
    assert code == 1
    assert "its program now returns 42" in out
    assert out.count("holds") == 1
