"""Plugins: what they bring and what is refused; a run's code never runs before a person agreed to it."""

import importlib
import io
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import tinyzero
from tinyzero.cli import run
from tinyzero.cli.own_task import read_task
from tinyzero.config import load_config
from tinyzero.config.named import NAMES
from tinyzero.errors import CheckpointError, ConfigError, NotFinite
from tinyzero.export.manifest import public_config
from tinyzero.games.absolute_zero.rewards import proposer_reward
from tinyzero.games.advantages import estimate
from tinyzero.games.attempts import Attempted, score_attempts
from tinyzero.games.choice import ALL_KINDS, choose_game
from tinyzero.plugins import find, load, recorded
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import read
from tinyzero.sampling.choice import choose_sampler
from tinyzero.types import Answer, Completion, Prompt, Task, Verdict, VerdictStatus

SCRIPT = Path(__file__).parent / "cli" / "scripted.py"
EXAMPLES = Path(__file__).parents[1] / "examples"
MARK = "with open('ran', 'a') as file:\n    file.write('x')\n"
FUNCTIONS = """
def register(registry):
    registry.proposer_reward("peak", lambda rate: 4 * rate * (1 - rate))
    registry.proposer_term("lines", lambda proposed: 0.5)
    registry.solver_term("brief", lambda attempt: -len(attempt.answer.text) / 10)
    registry.estimator("raw", lambda rollouts, config: [rollout.reward.total for rollout in rollouts])
    registry.sampler("mine", lambda policy, config: "a sampler")
    registry.game("chess", lambda config, *, sampler, executor, comparer: ("chess", sampler))
"""
USING = [
    "rewards.proposer=peak",
    "rewards.bonuses.lines.coefficient=1",
    "rewards.solver_terms.brief.coefficient=1",
    "advantages.estimator=raw",
    "sampling.engine=mine",
    "selfplay.game=chess",
]


@pytest.fixture(autouse=True)
def _no_plugins_before_and_after(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    load([])


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command line over the scripted game: exit code, output, errors."""
    runpy.run_path(str(SCRIPT))["take_over"](monkeypatch.setattr)

    def run_to_end(*arguments):
        code = run(arguments)
        return code, *capsys.readouterr()

    return run_to_end


def write(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def trained(command):
    """A run with a plugin, in runs/first; the plugin's file leaves a mark wherever it runs."""
    write("mine.py", MARK + FUNCTIONS)
    arguments = [
        "--plugin",
        "mine.py",
        "--max-steps",
        "1",
        "--name",
        "first",
        "--set",
        "rewards.proposer=peak",
    ]
    code, _, err = command("train", "nano-cpu", *arguments)
    assert code == 0, err
    assert Path("ran").exists()
    load([])
    Path("ran").unlink()
    return RunFolder(Path("runs/first"))


def test_what_a_plugin_brings_is_there_until_others_are_loaded():
    write("mine.py", FUNCTIONS)
    before = {key: list(names) for key, names in NAMES.items()}
    assert {each.name for each in load([find("mine.py")])} == {
        "peak",
        "lines",
        "brief",
        "raw",
        "mine",
        "chess",
    }
    config = load_config("nano-cpu", USING)
    assert config.rewards.proposer == "peak"
    assert proposer_reward(0.25, config.rewards, {"lines": 0.5}).terms == {"peak": 0.75, "lines": 0.5}
    assert proposer_reward(1.0, config.rewards, {"lines": 0.5}).terms == {"peak": 0.0}
    assert choose_game(config, sampler="s", executor=None, comparer=None) == ("chess", "s")
    assert choose_sampler(config)(None, config) == "a sampler"
    with pytest.raises(ConfigError, match="'learnability', 'uncertainty', 'variance' or 'peak'"):
        load_config("nano-cpu", ["rewards.proposer=paek"])
    load([])
    assert before == NAMES
    with pytest.raises(ConfigError, match=r"rewards.proposer is 'peak' in --set; it must be one of 'learn"):
        load_config("nano-cpu", USING[:1])


def attempted(text):
    task = Task(id="t", kind="deduction", program="", inputs=(), outputs=())
    answer = Answer(prompt=Prompt(kind="deduction", text=""), completion=Completion(text=text))
    verdict = Verdict(status=VerdictStatus.CORRECT)
    return [Attempted(task=task, answers=[answer], verdicts=[verdict])]


def test_a_solver_s_term_is_added_between_minus_cap_and_cap_and_an_estimator_is_used():
    write("mine.py", FUNCTIONS)
    load([find("mine.py")])
    config = load_config("nano-cpu", ["rewards.solver_terms.brief.cap=0.3", "advantages.estimator=raw"])
    rollouts = score_attempts([*attempted("ab"), *attempted("abcdefgh")], config.rewards)
    assert [rollout.reward.terms for rollout in rollouts] == [
        {"accuracy": 1.0, "brief": -0.1},
        {"accuracy": 1.0, "brief": -0.3},
    ]
    assert estimate(rollouts, config.advantages) == [0.9, 0.7]
    with pytest.raises(NotFinite, match=r"the solver's term 'brief' gives -1.1 .* from -1 to 1"):
        score_attempts(attempted("abcdefghijk"), config.rewards)


@pytest.mark.parametrize("values", ["[1.0]", "[float('nan'), 0.0]", "[None, 0.0]"])
def test_an_estimator_that_gives_no_number_for_a_rollout_is_an_error(values):
    write("mine.py", f"def register(registry):\n    registry.estimator('odd', lambda *_: {values})")
    load([find("mine.py")])
    config = load_config("nano-cpu", ["advantages.estimator=odd"])
    rollouts = score_attempts([*attempted("a"), *attempted("b")], config.rewards)
    with pytest.raises(ConfigError, match=r"the estimator 'odd' gives .* for 2 rollouts"):
        estimate(rollouts, config.advantages)


def registering(line):
    return f"def register(registry):\n    registry.estimator('early', max)\n    {line}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "the plugin bad.py has no function register"),
        ("\n1 / 0\n", r"the plugin bad.py raised ZeroDivisionError: .* \(line 2\); mend it"),
        ("def f(:\n", r"the plugin bad.py raised SyntaxError: .*line 1"),
        ("import no_such_module_here\n", "raised ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "raised SystemExit: 3"),
        ("\0", "the plugin bad.py raised"),
        (registering("registry.nothing()"), r"raised AttributeError.*line 3"),
        (registering("registry.proposer_reward('learnability', max)"), "'learnability'.* exists already"),
        (registering("registry.proposer_term('novelty', max)"), "'novelty'.* exists already"),
        (registering("registry.solver_term('accuracy', max)"), "'accuracy'.* exists already"),
        (registering("registry.game('r-zero', max)"), "'r-zero'.* exists already"),
        (registering("registry.sampler('vllm', max)"), "'vllm'.* exists already"),
        (registering("registry.estimator('early', max)"), "'early'.* exists already"),
        (registering("registry.estimator('a/b', max)"), "'a/b' .*small letters"),
        (registering("registry.estimator('sum', 3)"), "registers 3 as 'sum'; it must be a function"),
        (registering("registry.kind(object())"), "which lacks .*solve_prompt"),
        (registering("registry.kind(object)"), r"register an object: object\(\)"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_one_line_and_leaves_nothing(command, text, message):
    write("bad.py", text)
    code, out, err = command("train", "nano-cpu", "--plugin", "bad.py")
    assert (code, out, err.count("\n")) == (2, "", 1)
    with pytest.raises(ConfigError, match=message):
        load([find("bad.py")])
    assert "early" not in NAMES["advantages.estimator"]
    assert not Path("runs").exists()


def test_a_kind_with_a_name_that_exists_is_refused():
    text = (EXAMPLES / "custom_kind.py").read_text().replace('"return-type"', '"question"')
    with pytest.raises(ConfigError, match=r"plugin mine.py registers 'question' for selfplay.kinds"):
        load([find(str(write("mine.py", text)))])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.py", "no plugin at .*none.py"),
        ("folder.py", "no plugin at"),
        ("mine", "for the file, write mine.py"),
        ("no.such.module", "no plugin no.such.module"),
        ("a b", "no plugin a b"),
        ("sys", "no plugin sys"),
        ("large.py", "more than 1 MiB"),
    ],
)
def test_a_plugin_that_is_not_there_is_one_line(source, message):
    Path("folder.py").mkdir()
    write("mine.py", "")
    write("large.py", " " * (2**20 + 1))
    with pytest.raises(ConfigError, match=message):
        find(source)


def test_a_run_keeps_a_copy_and_goes_on_with_it_when_a_person_agrees(trained, command):
    (plugin,) = recorded(trained)
    assert (plugin.name, plugin.source) == ("mine.py", str(Path("mine.py").absolute()))
    assert (trained.path / "plugins/mine.py").read_text() == Path("mine.py").read_text()
    Path("mine.py").unlink()
    code, _, err = command("train", "--resume", "first", "--max-steps", "2", "--yes-plugins")
    assert code == 0, err
    assert "plugin mine.py: peak (rewards.proposer), lines (rewards.bonuses)" in err
    assert "nothing uses chess yet: --set 'selfplay.game=chess'" in err
    assert "nothing uses peak" not in err
    assert [line["step"] for line in read(trained.metrics)] == [1, 2]
    assert Path("ran").read_text() == "x"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--resume", "first", "--max-steps", "2"],
        ["train", "--resume", "first", "--max-steps", "2", "--dry-run"],
        ["train", "--resume", "first", "--start-over"],
        ["solve", "first"],
        ["chat", "first"],
        ["play", "first"],
        ["eval", "first"],
        ["export", "first"],
        ["export", "first", "--what", "tasks"],
        ["push", "first", "--repo", "me/model", "--dry-run"],
        ["tasks", "first", "--verify"],
        ["tasks", "second", "--import", "first"],
        ["tasks", "first", "--import", "second"],
    ],
)
def test_the_code_of_a_run_never_runs_unasked(trained, command, arguments):
    assert command("train", "nano-cpu", "--max-steps", "1", "--name", "second")[0] == 0
    code, _, err = command(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert "runs/first was trained with the plugin runs/first/plugins/mine.py (sha256 " in err
    assert "no terminal to ask on" in err
    assert "--yes-plugins" in err
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "arguments", [["watch", "first", "--once"], ["report", "first"], ["runs"], ["tasks", "first"]]
)
def test_looking_at_a_run_runs_no_code_of_it(trained, command, arguments):
    code, _, err = command(*arguments)
    assert code == 0, err
    assert not Path("ran").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_a_person_is_asked_and_only_a_yes_runs_the_code(trained, command, monkeypatch, typed, code):
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", shown)
    assert command("tasks", "first", "--verify")[0] == code
    assert "runs/first was trained with plugins. Their code would run as you:" in shown.getvalue()
    assert "Run it? [y/N]" in shown.getvalue()
    assert Path("ran").exists() == (code == 0)


def test_a_changed_copy_is_refused_and_taken_where_it_is_named(trained, command):
    copy = trained.path / "plugins/mine.py"
    copy.write_text(copy.read_text() + "\n# changed\n")
    code, _, err = command("tasks", "first", "--verify", "--yes-plugins")
    assert (code, err.count("\n")) == (2, 1)
    assert "the plugin runs/first/plugins/mine.py changed since runs/first was trained" in err
    assert "tinyzero train --resume runs/first --plugin runs/first/plugins/mine.py" in err
    assert not Path("ran").exists()
    named = ["--plugin", "runs/first/plugins/mine.py"]
    code, _, err = command("train", "--resume", "runs/first", *named, "--max-steps", "2")
    assert code == 0, err
    assert "warning: from here on with another mine.py than before" in err
    assert command("tasks", "first", "--verify", "--yes-plugins")[0] == 0


def test_an_edited_file_is_told_and_used_where_it_is_named(trained, command):
    write("mine.py", FUNCTIONS + "# edited")
    code, _, err = command("train", "--resume", "first", "--max-steps", "2", "--yes-plugins")
    assert code == 0
    assert f"{Path('mine.py').absolute()} was edited since; the run goes on with its own copy" in err
    code, _, err = command("train", "--resume", "first", "--max-steps", "3", "--plugin", "mine.py")
    assert code == 0
    assert "was edited" not in err
    assert (trained.path / "plugins/mine.py").read_text().endswith("# edited")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"plugins": 3}', '{"plugins": [3]}', '{"plugins": [{"name": "mine.py"}]}']
)
def test_a_damaged_record_is_one_line(trained, command, content):
    (trained.path / "plugins/plugins.json").write_text(content)
    code, _, err = command("tasks", "first", "--verify", "--yes-plugins")
    assert (code, err.count("\n")) == (2, 1)
    assert "runs/first/plugins/plugins.json cannot be read" in err


def test_a_record_that_points_elsewhere_reads_the_run_s_own_folder_only(trained):
    record = trained.path / "plugins/plugins.json"
    entries = json.loads(record.read_text())
    entries["plugins"][0]["name"] = "../../mine.py"
    record.write_text(json.dumps(entries))
    (plugin,) = recorded(trained)
    assert plugin.path == trained.path / "plugins/mine.py"


def test_missing_code_is_told(trained, command):
    (trained.path / "plugins/mine.py").unlink()
    with pytest.raises(CheckpointError, match=r"runs/first needs the plugin mine.py: no plugin at"):
        recorded(trained)
    (trained.path / "plugins").rename("elsewhere")
    code, _, err = command("export", "first")
    assert (code, err.count("\n")) == (2, 1)
    assert "was trained with mine.py, and its folder plugins is gone" in err
    assert command("train", "--resume", "first", "--max-steps", "2", "--plugin", "mine.py")[0] == 0


def test_a_run_that_starts_over_keeps_its_plugins(trained, command):
    assert command("train", "--resume", "first", "--start-over", "--max-steps", "1", "--yes-plugins")[0] == 0
    assert [plugin.name for plugin in recorded(trained)] == ["mine.py"]


def test_a_preset_names_plugins_beside_it_and_they_run_when_a_person_agrees(command):
    write("own/mine.py", MARK + FUNCTIONS)
    write("own/base.toml", 'extends = "nano-cpu"\n[run]\nplugins = ["mine.py"]\nmax_steps = 1\n')
    write("preset.toml", 'extends = "own/base.toml"\n[rewards]\nproposer = "peak"\n')
    for arguments in (["train"], ["plan"], ["train", "--dry-run"]):
        code, _, err = command(*arguments, "preset.toml")
        assert (code, err.count("\n")) == (2, 1)
        assert "preset.toml names the plugin" in err
    assert not Path("ran").exists()
    assert command("plan", "preset.toml", "--yes-plugins")[0] == 0
    assert command("train", "preset.toml", "--plugin", "own/mine.py", "--name", "a")[0] == 0
    code, out, _ = command("train", "preset.toml", "--yes-plugins", "--dry-run")
    assert code == 0
    write("resolved.toml", out)
    assert command("train", "resolved.toml", "--yes-plugins", "--name", "b")[0] == 0


def test_a_preset_with_plugins_is_shown_and_copied_when_a_person_agrees(command):
    kind = (EXAMPLES / "custom_kind.py").read_text() + MARK
    write("kind.py", kind.replace("class ReturnType", "class Own").replace("ReturnType()", "Own()"))
    write("own.toml", '[run]\nplugins = ["kind.py"]\n[selfplay]\nkinds = ["return-type"]\n')
    for options in ([], ["--json"], ["--show-prompts"], ["--copy", "other.toml"]):
        code, _, err = command("presets", "own.toml", *options)
        assert (code, err.count("\n")) == (2, 1)
        assert not Path("ran").exists()
    assert command("presets", "own.toml", "--yes-plugins", "--copy", "other.toml")[0] == 0
    code, out, _ = command("presets", "own.toml", "--yes-plugins", "--show-prompts")
    assert code == 0
    assert "Which type does `f(" in out


def test_a_task_of_one_s_own_may_be_of_a_plugin_s_kind():
    text = "def f(x):\n    return x / 2\nin: 4\nkind: return-type\n"
    with pytest.raises(ConfigError, match="the task is of kind 'return-type'; there are deduction"):
        read_task(text)
    load([find(str(EXAMPLES / "custom_kind.py"))])
    task = read_task(text)
    assert (task.kind, task.inputs, task.program) == ("return-type", ("4",), "def f(x):\n    return x / 2")
    annotated = read_task("kind: str = ''\ndef f(x):\n    return x\nin: 4\n")
    assert (annotated.kind, annotated.program) == ("deduction", "def f(x):\n    return x")


def test_an_export_names_plugins_without_the_folders_of_this_machine(trained):
    load(recorded(trained))
    tree = public_config(trained.config(), SimpleNamespace(name="nano"))
    assert trained.config().run.plugins == (str(Path("mine.py").absolute()),)
    assert tree["run"]["plugins"] == ["mine.py"]


def test_plan_takes_a_plugin(command):
    write("mine.py", FUNCTIONS)
    assert command("plan", "nano-cpu", "--plugin", "mine.py", "--set", "rewards.proposer=peak")[0] == 0


def test_two_plugins_of_a_name_are_refused(command):
    write("a/mine.py", FUNCTIONS)
    write("b/mine.py", FUNCTIONS + "# other")
    code, _, err = command("train", "nano-cpu", "--plugin", "a/mine.py", "--plugin", "b/mine.py")
    assert (code, err.count("\n")) == (2, 1)
    assert "two plugins are called mine.py" in err


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with the module `rewards` that leaves a mark, and an installed short name for it."""
    site = tmp_path / "site"
    write(site / "my_package/__init__.py", MARK)
    write(site / "my_package/rewards.py", FUNCTIONS)
    write(
        site / "my_package-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: my-package\nVersion: 1.2\n"
    )
    write(site / "my_package-1.2.dist-info/top_level.txt", "my_package\n")
    points = "[tinyzero.plugins]\nmy-rewards = my_package.rewards\n"
    write(site / "my_package-1.2.dist-info/entry_points.txt", points)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site / "my_package"
    for name in ("my_package", "my_package.rewards"):
        sys.modules.pop(name, None)


def test_a_module_is_known_again_by_its_files_and_found_without_running_them(package, command):
    plugin = find("my-rewards")
    assert (plugin.name, plugin.version) == ("my_package.rewards", "1.2")
    assert find("my_package.rewards") == plugin
    assert not Path("ran").exists()
    using = ["--set", "rewards.proposer=peak", "--name", "first", "--max-steps", "1"]
    assert command("train", "nano-cpu", "--plugin", "my-rewards", *using)[0] == 0
    assert recorded(RunFolder(Path("runs/first"))) == [plugin]
    write(package / "rewards.py", FUNCTIONS + "# version 2")
    code, _, err = command("tasks", "first", "--verify", "--yes-plugins")
    assert (code, err.count("\n")) == (2, 1)
    assert f"rewards.py changed since runs/first was trained (1.2 {plugin.sha256[:12]}, now 1.2 " in err
    assert "--plugin my_package.rewards" in err


def test_a_package_s_digest_covers_all_of_its_files(package):
    before = find("my_package").sha256
    write(package / "rewards.py", FUNCTIONS + "# version 2")
    assert find("my_package").sha256 != before


def test_an_unknown_plugin_names_the_installed_ones(package):
    with pytest.raises(ConfigError, match=r"did you mean my-rewards\?; installed plugins: my-rewards"):
        find("my-reward")


def test_from_python_a_plugin_is_an_argument(command):
    write("mine.py", FUNCTIONS)
    settings = ["rewards.proposer=peak", "run.max_steps=1"]
    first = tinyzero.train("nano-cpu", settings=settings, plugins=[Path("mine.py")])
    with pytest.raises(ConfigError, match="nobody agreed"):
        tinyzero.train(resume=first.path, settings=["run.max_steps=2"])
    again = tinyzero.train(resume=first.path, settings=["run.max_steps=2"], yes_plugins=True)
    assert [line["step"] for line in read(again.metrics)] == [1, 2]
    with pytest.raises(ConfigError, match="give a list"):
        tinyzero.train("nano-cpu", plugins="mine.py")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["rewards.solver_terms.brief.cap=1"], "rewards.solver_terms has 'brief', but no plugin"),
        (
            ["selfplay.game=r-zero", "rewards.solver_terms.brief.cap=1"],
            "rewards.solver_terms is for selfplay",
        ),
        (
            ["advantages.scale=mean", "rewards.solver=binary", "rewards.solver_terms.brief.cap=1"],
            "leave one of the two out",
        ),
        (['run.plugins="mine.py"'], "run.plugins is 'mine.py' in --set; it must be a list"),
    ],
)
def test_settings_that_cannot_be_are_told(command, settings, message):
    options = [part for setting in settings for part in ("--set", setting)]
    code, _, err = command("train", "nano-cpu", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_an_example_of_each_sort_is_a_plugin_of_a_few_lines():
    files = sorted(EXAMPLES.glob("*.py"))
    keys = [each.key for each in load([find(str(path)) for path in files])]
    assert set(keys) == {*NAMES, "selfplay.kinds", "rewards.bonuses", "rewards.solver_terms"}
    assert "return-type" in ALL_KINDS
    assert max(len(path.read_text().splitlines()) for path in files) < 70


def test_the_page_s_plugin_does_what_the_page_says(command):
    page = (EXAMPLES.parent / "docs/extending.md").read_text()
    write("my_rewards.py", page.partition("```python\n")[2].partition("```")[0])
    line = page.partition("```\ntinyzero ")[2].partition("\n")[0]
    code, _, err = command(*line.split(), "--name", "first")
    assert code == 0, err
    assert RunFolder(Path("runs/first")).config().rewards.proposer == "steep"
    assert {path.name for path in Path("runs/first/plugins").iterdir()} == {"my_rewards.py", "plugins.json"}
