"""The command line as a surface: light, frozen, and one line for every mistake."""

import json
import re
import subprocess
import sys

import pytest
import typer

from tinyzero.cli import app, run
from tinyzero.config import Config, find_presets, load_config


@pytest.fixture
def complaint(capsys):
    def run_one(*arguments):
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip("\n")

    return run_one


@pytest.fixture
def printed(capsys):
    def run_one(*arguments):
        assert run(arguments) == 0
        return capsys.readouterr().out

    return run_one


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom tinyzero.cli import run\nassert run(['--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'rich', 'numpy', 'datasets'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_a_dry_run_imports_no_torch():
    program = (
        "import sys\nfrom pathlib import Path\nfrom tinyzero.cli import run\n"
        "assert run(['train', '--preset', 'nano-cpu', '--dry-run']) == 0\n"
        "assert 'torch' not in sys.modules or Path('/dev/nvidiactl').exists() or Path('/dev/dxg').exists()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_no_arguments_print_the_help(printed):
    assert printed() == printed("--help")


def test_the_version_is_the_packages(printed):
    import tinyzero

    assert printed("--version") == f"tinyzero {tinyzero.__version__}\n"


def test_python_dash_m_is_the_same_program():
    result = subprocess.run(
        [sys.executable, "-m", "tinyzero", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("tinyzero ")


def test_the_options_of_train_are_frozen():
    """A new option is a decision: it wants a place here, in the README and in the changelog."""
    command = typer.main.get_command(app).commands["train"]
    assert {name for parameter in command.params for name in parameter.opts} == {
        "preset_name",
        "--preset",
        "--set",
        "--plugin",
        "--yes-plugins",
        "--resume",
        "--start-over",
        "--dry-run",
        "--seed",
        "--max-steps",
        "--max-minutes",
        "--output",
        "--name",
        "--expect",
        "--ui",
        "--ascii",
        "--allow-weak-sandbox",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no such command trian; did you mean train? (see tinyzero --help)"),
        (
            ["train", "--prest", "x"],
            "no such option --prest; did you mean --preset? (see tinyzero train --help)",
        ),
        (["presets", "--jsn"], "no such option --jsn; did you mean --json? (see tinyzero presets --help)"),
        (["train", "--set", "foo"], "--set needs key=value, for example --set run.seed=3, not 'foo'"),
        (["train", "--max-minutes", "0"], "run.max_minutes is 0.0 in --set; it must be more than 0.0"),
        (
            ["train", "--preset", "nano-cpu", "--ui", "live"],
            "--ui live needs a terminal; use --ui plain, or look on: tinyzero watch RUN",
        ),
        (["it's"], "no such command it's (see tinyzero --help)"),
        (
            ["train", "--name", ""],
            "--name is ''; it must be a plain folder name that does "
            "not begin with a dot (--output says where)",
        ),
        (
            ["train", "nano-cpu", "--preset", "nano-cpu"],
            "two presets are named, nano-cpu and --preset nano-cpu; leave one out",
        ),
        (["presets", "--copy", "x"], "--copy needs a preset, as in tinyzero presets nano-cpu --copy x"),
        (["config", "learnr.lr"], "no setting learnr.lr; did you mean learner.lr?"),
        (["config", "num_generations"], "no setting num_generations; that is selfplay.attempts here"),
        (
            ["train", "--name", "a/b"],
            "--name is 'a/b'; it must be a plain folder name that does "
            "not begin with a dot (--output says where)",
        ),
    ],
)
def test_a_mistyped_command_line_is_one_line_with_the_right_word(complaint, arguments, message):
    assert complaint(*arguments) == message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--seed"], "'--seed' requires an argument"),
        (["train", "--seed", "-1"], "greater than or equal to 0"),
        (["train", "--ui", "livve"], "'livve' is not one of 'auto', 'live', 'plain', 'json'"),
        (["train", "--preset", "nano-cpuu"], "did you mean nano-cpu?"),
        (["presets", "nano-cpuu"], "did you mean nano-cpu?"),
    ],
)
def test_every_other_mistake_is_one_line_as_well(complaint, arguments, words):
    assert words in complaint(*arguments)


@pytest.mark.parametrize(
    "arguments", [["train", "--preset"], ["train", "--resume"], ["presets"]], ids=" ".join
)
def test_a_name_too_long_for_any_file_is_one_line(complaint, arguments):
    assert complaint(*arguments, "x" * 300)


def test_a_hostile_file_does_not_get_hold_of_the_terminal(complaint, tmp_path, printed):
    hostile = tmp_path / "hostile.toml"
    hostile.write_text('[run]\n"a\\u001b[2J\\nb" = 1\n')
    assert complaint("train", "--preset", str(hostile)).startswith("unknown key run.a\\x1b[2J b in ")
    hostile.write_text("# \x9b2J\u202e\n")
    assert printed("presets", str(hostile)).startswith("# \\x9b2J\\u202e\n")


def test_a_preset_may_lie_in_the_home_folder(printed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my own.toml").write_text("[run]\nseed = 7\n")
    assert "seed = 7" in printed("presets", "~/my own.toml")


def test_the_list_of_presets_names_hardware_needs_model_and_purpose(printed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed("presets").splitlines()
    assert lines[0].split() == ["name", "hardware", "GiB", "s/step", "model"]
    place = next(index for index, line in enumerate(lines) if line.startswith("qwen1.5b-24gb"))
    name, cuda, size, gib, peak, step, model = lines[place].split()
    assert (name, cuda, size, gib) == ("qwen1.5b-24gb", "CUDA", "24", "GiB")
    assert model == "Qwen/Qwen2.5-Coder-1.5B-Instruct"
    planned = json.loads(printed("plan", "--preset", "qwen1.5b-24gb", "--gpu", "4090", "--json"))
    assert float(peak) == pytest.approx(planned["memory_gib"]["peak"], abs=0.05)
    assert float(step) == pytest.approx(planned["step_s"]["total_s"], abs=0.5)
    assert lines[place + 1].startswith("  The main job: ")
    assert max(len(line) for line in lines if line.startswith("  ")) <= 80  # names decide the others


def test_the_smallest_cards_come_first_in_the_list_of_presets(printed):
    sizes = [int(line.split()[2]) for line in printed("presets").splitlines() if " CUDA " in line]
    assert sizes == sorted(sizes)
    assert set(sizes) == {8, 12, 16, 24, 32, 48, 80}


def test_the_list_of_presets_for_programs(printed):
    rows = json.loads(printed("presets", "--json"))
    assert [row["name"] for row in rows] == list(find_presets())
    assert all(Config.model_validate(row["config"]).model.base == row["model"] for row in rows)


def test_a_preset_is_shown_with_its_comments_and_every_value(printed):
    shown = printed("presets", "smollm2-135m-cpu")
    assert shown.startswith(find_presets()["smollm2-135m-cpu"].read_text().rstrip())
    assert "max_grad_norm = 1.0" in shown
    config = Config.model_validate_json(printed("presets", "smollm2-135m-cpu", "--json"))
    assert config.selfplay.proposals_per_step == 9


def test_what_shows_a_preset_can_be_kept_as_a_file_of_ones_own(printed, tmp_path):
    (tmp_path / "mine.toml").write_text(printed("presets", "nano-cpu"))
    assert load_config(str(tmp_path / "mine.toml")) == load_config("nano-cpu")


def test_a_preset_is_copied_with_its_comments_and_never_over_a_file(printed, complaint, tmp_path):
    copy = tmp_path / "mine.toml"
    said = printed("presets", "nano-cpu", "--copy", str(copy))
    assert said == f"{copy} is a copy of nano-cpu; train with it: tinyzero train --preset {copy}\n"
    assert copy.read_text() == find_presets()["nano-cpu"].read_text()
    assert complaint("presets", "r-zero-qwen1.5b-12gb", "--copy", str(copy)).endswith("choose another file")
    assert load_config(str(copy)) == load_config("nano-cpu")
    assert complaint("presets", "nano-cpu", "--copy", str(tmp_path / "no" / "x")).startswith("cannot write")


@pytest.mark.parametrize("command", [["train", "nano-cpu", "--dry-run"], ["plan", "nano-cpu"]], ids=" ".join)
def test_a_preset_may_be_named_without_its_option(printed, command):
    assert "nano" in printed(*command)


def test_a_setting_is_explained_with_its_values_and_the_presets_that_set_it(printed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    lines = printed("config", "policy.adapters").splitlines()
    assert lines[0] == 'policy.adapters = "shared"'
    assert lines[1:3] == [
        "    One adapter that plays both roles, or one for each.",
        "    Values: shared, per-role.",
    ]
    assert lines[3].startswith('    Presets: "per-role" in nano-cpu')
    assert "Values: a whole number, at least 1 or none." in printed("config", "evaluation.every_steps")
    assert "No preset sets it." in printed("config", "trackers.wandb")


def test_a_section_is_explained_and_without_a_name_every_setting(printed):
    section = printed("config", "pool")
    assert section.startswith("\n[pool]  ")
    assert set(re.findall(r"^(\w+)\.", section, re.MULTILINE)) == {"pool"}
    keys = re.findall(r"^(\w+\.\w+)(?: =| \(a table\))", printed("config"), re.MULTILINE)
    tree = Config().model_dump()
    assert keys == [f"{name}.{key}" for name, values in tree.items() for key in values]


def test_the_schema_is_that_of_a_file(printed):
    schema = json.loads(printed("config", "--schema"))
    assert set(schema["properties"]) == {*Config.model_fields, "extends"}
    assert '"null"' not in json.dumps(schema)
    every_steps = schema["$defs"]["EvaluationConfig"]["properties"]["every_steps"]
    assert every_steps["anyOf"][1] == {"const": "none"}
    assert every_steps["default"] == "none"


def test_a_short_option_asks_for_help(printed):
    assert printed("train", "-h") == printed("train", "--help")


def test_completion_offers_presets_and_settings():
    from tinyzero.cli.config import complete_key

    assert complete_key("learner.l") == ["learner.lr"]
    assert complete_key("learn") == ["learner", *(f"learner.{key}" for key in Config().learner.model_dump())]
    from tinyzero.cli.presets import complete_preset

    assert complete_preset("nano") == ["nano-cpu"]


def test_an_unknown_task_kind_is_named_before_anything_is_loaded(complaint):
    message = complaint("train", "--preset", "nano-cpu", "--dry-run", "--set", 'selfplay.kinds=["deducton"]')
    assert message.startswith("selfplay.kinds names 'deducton'")
    assert message.endswith("did you mean deduction?")


def test_a_knob_left_to_the_machine_is_told_in_one_line_and_printed_as_a_number(capsys):
    assert run(["train", "--preset", "nano-cpu", "--dry-run", "--set", "sampling.batch_rows=auto"]) == 0
    out, err = capsys.readouterr()
    assert "\nbatch_rows = 192\n" in out
    assert '_rows = "auto"' not in out
    assert '_tokens = "auto"' not in out
    (line,) = [line for line in err.splitlines() if "batch_rows" in line]
    assert line.startswith("sampling.batch_rows = 192, learner.micro_batch_tokens = 8192: a peak of ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "{run}", "--what", "tasks", "--output", "{out}"],
        ["push", "{run}", "--repo", "me/mine", "--what", "tasks", "--dry-run"],
    ],
)
def test_what_needs_no_torch_does_not_import_it(nano_run, tmp_path, arguments):
    places = {"run": str(nano_run.path), "out": str(tmp_path / "out")}
    command = [argument.format(**places) for argument in arguments]
    program = (
        f"import sys\nfrom tinyzero.cli import run\nassert run({command!r}) == 0\n"
        "heavy = {'torch', 'transformers', 'peft'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
