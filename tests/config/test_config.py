"""Loading configurations: what wins over what, and what a mistake is told."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.config import (
    Config,
    RZeroConfig,
    SelfPlayConfig,
    describe_preset,
    find_presets,
    load_config,
    to_toml,
)
from tinyzero.config.dropped import DROPPED
from tinyzero.config.other_libraries import FOREIGN
from tinyzero.errors import ConfigError, PresetNotFound


@pytest.fixture
def preset(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def complaint(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_overrides_win_over_the_file_and_the_file_over_defaults(preset):
    path = preset("[run]\nseed = 4\nmax_steps = 5\n")
    config = load_config(path, ["run.seed=6", "model.base=nano", "run.seed=7"])
    assert (config.run.seed, config.run.max_steps, config.run.samples_per_step) == (7, 5, 6)
    assert config.model.base == "nano"


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("selfplay.kinds=['deduction', \"induction\"]", ("deduction", "induction")),
        ("learner.lr=1e-5", 1e-5),
        ("policy.rank = 8", 8),
        ("model.gradient_checkpointing=true", True),
        ("model.base=Qwen/Qwen2.5-Coder-1.5B", "Qwen/Qwen2.5-Coder-1.5B"),
        ("model.base='nano'", "nano"),
        ("model.base=a=b", "a=b"),
        ("run.max_minutes=none", None),
        ("model.quantization=none", "none"),
    ],
)
def test_an_override_is_a_toml_literal_or_a_bare_string(preset, override, value):
    config = load_config(preset("[run]\nmax_minutes = 3\n"), [override])
    section, key = override.partition("=")[0].strip().split(".")
    assert getattr(getattr(config, section), key) == value


def test_an_unknown_key_names_the_file_and_the_nearest_key(preset):
    path = preset("[selfplay]\natempts = 4\n")
    assert complaint(path) == f"unknown key selfplay.atempts in {path}; did you mean selfplay.attempts?"


def test_an_unknown_section_names_the_nearest_section(preset):
    path = preset("[selfpaly]\nattempts = 4\n")
    assert complaint(path) == f"unknown key selfpaly in {path}; did you mean selfplay?"


def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(preset):
    assert complaint(preset(""), "model.lr=1") == "unknown key model.lr in --set; did you mean learner.lr?"
    assert complaint(preset(""), "lr=1") == "unknown key lr in --set; did you mean learner.lr?"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("selfplay.attempts=1", "selfplay.attempts is 1 in --set; it must be at least 2"),
        ("selfplay.attempts=2.5", "selfplay.attempts is 2.5 in --set; it must be a whole number"),
        ("selfplay.attempts=many", "selfplay.attempts is 'many' in --set; it must be a whole number"),
        ("learner.lr=0", "learner.lr is 0 in --set; it must be more than 0.0"),
        ("learner.lr=nan", "learner.lr is nan in --set; it must be a finite number"),
        ("learner.lr=inf", "learner.lr is inf in --set; it must be a finite number"),
        ("learner.clip_low=1", "learner.clip_low is 1 in --set; it must be less than 1.0"),
        ("rewards.malformed_proposal=1", "rewards.malformed_proposal is 1 in --set; it must be at most 0.0"),
        (
            "model.quantization=nf5",
            "model.quantization is 'nf5' in --set; it must be one of 'auto', 'nf4' or 'none'",
        ),
        (
            "selfplay.train_proposer=perhaps",
            "selfplay.train_proposer is 'perhaps' in --set; it must be true or false",
        ),
        ("selfplay.kinds=[]", "selfplay.kinds is [] in --set; it must be a list with at least 1 in it"),
        ("selfplay.kinds=[7]", "selfplay.kinds.0 is 7 in --set; it must be a string"),
        ("model=nano", "model is 'nano' in --set; it must be a table of keys; set model.base"),
        ("run.seed.x=1", "run.seed is {'x': 1} in --set; it must be a whole number"),
    ],
)
def test_a_wrong_value_is_told_key_value_and_what_is_allowed(preset, override, message):
    assert complaint(preset(""), override) == message


def test_a_wrong_value_in_the_file_names_the_file(preset):
    path = preset("[learner]\nlr = -1\n")
    assert complaint(path, "run.seed=1") == f"learner.lr is -1 in {path}; it must be more than 0.0"


def test_a_file_that_an_override_repairs_is_fine(preset):
    assert load_config(preset("[learner]\nlr = -1\n"), ["learner.lr=0.5"]).learner.lr == 0.5


def test_a_key_below_a_value_of_the_file_is_refused(preset):
    assert complaint(preset("run = 3\n"), "run.seed=1") == "run is a value, it has no key seed"


@pytest.mark.parametrize("override", ["foo", "=3", "run..seed=3", ".seed=3"])
def test_an_override_without_key_or_value_shows_the_form(preset, override):
    assert complaint(preset(""), override).startswith("--set needs key=value, for example --set run.seed=3")


def test_an_override_that_smuggles_a_second_key_is_a_string(preset):
    assert load_config(preset(""), ["model.base=1\nb = 2"]).model.base == "1\nb = 2"


def test_a_broken_list_in_an_override_is_not_taken_for_a_string(preset):
    assert "not valid TOML" in complaint(preset(""), 'selfplay.kinds=["deduction"')


def test_a_syntax_error_names_file_and_line(preset):
    path = preset("[run]\nseed = 1\nmax_steps =\n")
    message = complaint(path)
    assert message.startswith(f"{path} is not valid TOML")
    assert "line 3" in message


def test_a_file_that_is_not_text_is_one_line(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert complaint(str(path)) == f"{path} is not UTF-8 text (byte 0)"


R_ZERO = "[selfplay]\ngame = 'r-zero'\n"


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[selfplay]\nkinds = ['deduction', 'deduction']\n", "twice: deduction, deduction"),
        ("[selfplay]\nreferences = 20\n[pool]\ncapacity = 16\n", "pool.capacity only 16"),
        ("[rewards]\nmalformed_proposal = -0.1\n", "above rewards.failing_proposal (-0.5)"),
        (R_ZERO + "replays_per_step = 2\n", "selfplay.replays_per_step is for"),
        (R_ZERO + "[pool]\nseed_tasks = 2\n", "pool.seed_tasks is for"),
        (R_ZERO + "references = 2\n", "selfplay.references is for"),
        (R_ZERO + "kinds = ['deduction']\n", "selfplay.kinds is for"),
        (R_ZERO + "[rewards]\nproposer = 'uncertainty'\n", "rewards.proposer is for"),
        (R_ZERO + "[pool]\ndedup = 'program'\n", "pool.dedup is for"),
        (
            "[watch]\nsilent = ['duplicates']\n[watch.react]\nduplicates = 'stop'\n",
            "duplicates, which watch.silent never raises",
        ),
        ("[selfplay]\nsiblings = 5\n", "does not divide selfplay.proposals_per_step (24)"),
        ("[learner]\nclip_delta = 1.2\n", "not above 1 + learner.clip_high (1.28)"),
        (
            "[learner]\nengine = 'trl'\nobjective = 'cispo'\nnormalization = 'fixed'\n",
            'set it to "token", or learner.engine to "builtin"',
        ),
        ("[r_zero]\nquestions = 5\n", "r_zero.questions is for"),
    ],
)
def test_values_that_cannot_go_together_are_refused_with_both(preset, toml, words):
    path = preset(toml)
    message = complaint(path)
    assert words in message
    assert path in message


def test_an_unknown_preset_names_the_nearest_and_all():
    with pytest.raises(PresetNotFound) as caught:
        load_config("nano-cpuu")
    assert (
        str(caught.value)
        == f"no preset nano-cpuu; did you mean nano-cpu? (there are {', '.join(find_presets())})"
    )


def test_a_missing_file_is_called_a_file():
    with pytest.raises(PresetNotFound, match=r"^no file mine/other.toml; presets are absolute-zero-paper, "):
        load_config("mine/other.toml")


def test_every_preset_loads_and_describes_itself():
    presets = find_presets()
    assert {"nano-cpu", "smollm2-135m-cpu", "qwen1.5b-24gb"} <= presets.keys()
    for name, path in presets.items():
        load_config(name)
        assert len(describe_preset(path)) > 20


def test_a_preset_gives_a_reason_for_every_line():
    for path in find_presets().values():
        for line in path.read_text().splitlines():
            if "=" in line:
                assert len(line.partition("# ")[2]) > 10, f"{path.name}: {line}"


def test_a_bonus_is_switched_on_by_name_and_survives_being_written_down(preset, tmp_path):
    config = load_config(
        preset("[rewards.bonuses.novelty]\ncap = 0.2\n"),
        ["rewards.bonuses.novelty.coefficient=0.3", 'rewards.bonuses."odd name".cap=0.1'],
    )
    assert config.rewards.bonuses["novelty"].model_dump() == {"coefficient": 0.3, "cap": 0.2}
    written = tmp_path / "written.toml"
    written.write_text(to_toml(config))
    assert load_config(str(written)) == config


def test_a_misspelt_key_of_a_bonus_is_an_error(preset):
    assert complaint(preset(""), "rewards.bonuses.novelty.coeficient=1") == (
        "unknown key rewards.bonuses.novelty.coeficient in --set; did you mean "
        "rewards.bonuses.novelty.coefficient?"
    )


def test_the_papers_preset_has_the_papers_constants():
    config = load_config("absolute-zero-paper")
    selfplay, learner = config.selfplay, config.learner
    assert selfplay.kinds == ("deduction", "abduction", "induction")
    assert (selfplay.attempts, selfplay.references, selfplay.separate_solver_batch) == (8, 6, True)
    assert (config.sampling.max_prompt_tokens, config.sampling.temperature) == (6144, 1)
    assert (config.rewards.solver, config.rewards.malformed_proposal, config.rewards.failing_proposal) == (
        "graded", -1, -0.5,
    )  # fmt: skip
    assert config.rewards.bonuses == {}
    assert (config.advantages.estimator, config.advantages.scale) == ("task-relative", "std")
    # Adam moves a weight by 1e-6 there. Here by lr x alpha/r x sqrt(r) / sqrt(3 x width): A starts uniform in
    # +-1/sqrt(width), and the width is 2048.
    policy = config.policy
    movement = learner.lr * policy.alpha / policy.rank * (policy.rank / (3 * 2048)) ** 0.5
    assert movement == pytest.approx(1e-6, rel=0.05)
    assert (learner.schedule, learner.max_grad_norm, learner.clip_delta) == ("constant", 1, 3)
    assert (learner.clip_low, learner.clip_high, learner.kl_coef) == (0.2, 0.28, 0)
    assert (learner.normalization, learner.updates_per_round) == ("token", 1)
    assert config.pool.seed_tasks == 4 * selfplay.proposals_per_step


def test_a_preset_says_only_what_differs_from_the_default():
    defaults = Config().model_dump()
    for path in find_presets().values():
        for section, values in tomllib.loads(path.read_text()).items():
            for key, value in values.items():
                # The model is named even where it is the default: it is what a preset is about.
                assert key == "base" or defaults[section][key] != value, f"{path.name}: {section}.{key}"


def test_presets_come_from_the_checkout_before_the_package(tmp_path):
    package = tmp_path / "tinyzero"
    (package / "presets").mkdir(parents=True)
    (package / "presets" / "wheel.toml").touch()
    assert find_presets(package) == {"wheel": package / "presets" / "wheel.toml"}
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "checkout.toml").touch()
    assert find_presets(package) == {"checkout": tmp_path / "presets" / "checkout.toml"}


def test_a_wheel_holds_the_presets_and_the_programs_that_attack_the_sandbox(tmp_path):
    """What hatch would put into the wheel, unpacked where no pyproject.toml is near."""
    root = Path(__file__).parents[2]
    wheel = next(WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"]))
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, str(tmp_path / "site")], check=True)
    program = (
        "import tinyzero.config as c; print(*c.find_presets()); print(c.load_config('nano-cpu').model.base)\n"
        "from tinyzero.execution.attack import packaged_items; print(len(packaged_items()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [" ".join(find_presets()), "nano", "154"]


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    base=text,
    lr=st.floats(1e-9, 1e9),
    minutes=st.none() | st.floats(1e-3, 1e6),
    kinds=st.sets(text, min_size=1),
)
def test_printing_and_reading_a_configuration_gives_it_back(tmp_path_factory, base, lr, minutes, kinds):
    if base == "none":
        return
    config = Config.model_validate(
        {
            "run": {"max_minutes": minutes},
            "model": {"base": base},
            "learner": {"lr": lr},
            "selfplay": {"kinds": sorted(kinds)},
        }
    )
    path = tmp_path_factory.mktemp("toml") / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(str(path)) == config


@pytest.mark.parametrize("key", ["sampling.batch_rows", "learner.micro_batch_tokens"])
def test_a_knob_may_be_left_to_the_machine(preset, key):
    section, leaf = key.split(".")
    path = preset(f'[{section}]\n{leaf} = "auto"\n')
    config = load_config(path)
    assert getattr(getattr(config, section), leaf) == "auto"
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert complaint(path, f"{key}=atuo") == f"{key} is 'atuo' in --set; it must be a whole number or auto"
    assert complaint(path, f"{key}=0").startswith(f"{key} is 0 in --set; it must be at least ")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sampling.server_url=http://h:8000"], r'server_url is set, but sampling\.engine is "builtin"'),
        (["sampling.engine=vllm", "sampling.server_url=h:8000"], r"must be like http://10\.0\.0\.2:8000"),
        (["sampling.engine=vllm", "sampling.server_url=http://me:word@h"], r"must be like http://10\.0"),
        (
            ["sampling.engine=vllm", "sampling.temperature=2.5"],
            r"is 2\.5, and vLLM takes 0\.01 to 2",
        ),
        (["sampling.engine=vllm", "sampling.temperature=0.001"], r"temperature is 0\.001, and vLLM takes"),
        (["sampling.engine=vllm", "policy.rank=513"], r"policy\.rank is 513, and vLLM serves at most 512"),
    ],
)
def test_what_vllm_cannot_do_is_refused_by_the_configuration(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config("nano-cpu", overrides)


def test_a_server_is_named_by_its_address():
    config = load_config(
        "nano-cpu", ["sampling.engine=vllm", "sampling.server_url=https://h.example:8000/llm"]
    )
    assert config.sampling.server_url == "https://h.example:8000/llm"
    assert load_config("nano-cpu", ["sampling.server_url=none"]).sampling.server_url is None


def test_a_knob_that_was_dropped_is_ignored_with_one_line(preset, caplog):
    path = preset('[pool]\neviction = "decided"\n[learner]\nweight_decay = 0.1\nlr = 0.5\n')
    assert load_config(path).learner.lr == 0.5
    assert load_config(path).learner.lr == 0.5
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        f"{path} sets learner.weight_decay = 0.1, pool.eviction = decided, "
        "which this version no longer has; it is ignored"
    )


def test_a_dropped_knob_at_the_value_that_is_built_in_is_not_worth_a_word(preset, caplog):
    load_config(preset('[pool]\neviction = "oldest"\n[hardware]\nmemory_gib = "none"\n'))
    assert not caplog.records


def test_a_dropped_knob_on_the_command_line_is_a_mistake(preset):
    assert complaint(preset(""), "pool.eviction=decided") == (
        "pool.eviction in --set is no longer a setting; leave it out (it is always oldest)"
    )


def test_a_penalty_that_another_now_stands_for_is_told_where_it_differs(preset, caplog):
    path = preset("[rewards]\nfailing_proposal = -0.3\ntrivial_proposal = -0.5\ndisallowed_proposal = -0.3\n")
    assert load_config(path).rewards.failing_proposal == -0.3
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{path} sets rewards.trivial_proposal = -0.5, which")
    assert complaint(preset(""), "rewards.trivial_proposal=-1") == (
        "rewards.trivial_proposal in --set is no longer a setting; "
        "set rewards.failing_proposal, which stands for it"
    )


def test_no_file_says_what_command_tells_of_the_end(preset):
    line = complaint(preset('[run]\nnotify = "touch /tmp/x"\n'))
    assert "sets run.notify" in line
    assert "--set run.notify=" in line
    assert load_config(preset('[run]\nnotify = "none"\n'), ["run.notify=echo"]).run.notify == "echo"


def test_no_dropped_knob_is_a_knob():
    tree = Config().model_dump()
    for key in DROPPED:
        section, leaf = key.split(".")
        assert leaf not in tree[section]


def test_mean_only_is_read_as_what_it_was(preset):
    advantages = load_config(preset('[advantages]\nestimator = "mean-only"\n')).advantages
    assert (advantages.estimator, advantages.scale) == ("group", "none")


def test_a_file_extends_a_preset_table_by_table(preset):
    path = preset(
        'extends = "nano-cpu"\n[learner]\nlr = 1e-3\n[rewards.bonuses.novelty]\ncoefficient = 0.5\n'
    )
    config, base = load_config(path, ["run.seed=3"]), load_config("nano-cpu")
    assert (config.learner.lr, config.run.seed) == (1e-3, 3)
    assert config.learner.model_copy(update={"lr": base.learner.lr}) == base.learner
    assert config.rewards.bonuses["novelty"].coefficient == 0.5
    assert config.selfplay == base.selfplay


def test_a_file_extends_a_file_beside_it(preset, tmp_path):
    (tmp_path / "base.toml").write_text('extends = "nano-cpu"\n[run]\nmax_steps = 7\nseed = 1\n')
    run = load_config(preset('extends = "base.toml"\n[run]\nseed = 2\n')).run
    assert (run.max_steps, run.seed) == (7, 2)


def test_what_cannot_be_extended_is_one_line(preset, tmp_path):
    assert complaint(preset("extends = 3\n")).startswith("extends is 3 in ")
    with pytest.raises(PresetNotFound, match="did you mean nano-cpu"):
        load_config(preset('extends = "nano-cpuu"\n'))
    with pytest.raises(PresetNotFound, match=r"mine.toml extends 'xxx.*: File name too long"):
        load_config(preset(f'extends = "{"x" * 300}"\n'))
    path = preset('extends = "other.toml"\n')
    (tmp_path / "other.toml").write_text('extends = "mine.toml"\n')
    assert complaint(path).endswith("extends mine.toml, which extends other.toml; leave out one of the two")


@pytest.mark.parametrize(("name", "key"), FOREIGN.items())
def test_a_name_from_another_library_is_answered_with_ours(preset, name, key):
    assert complaint(preset(""), f"{name}=1") == f"unknown key {name} in --set; that is {key} here"
    section, _, leaf = key.partition(".")
    tree = Config().model_dump()
    assert leaf in tree[section] if leaf else section in tree


def test_a_model_given_as_a_text_is_told_where_it_goes(preset):
    assert complaint(preset(""), "model=Qwen/Qwen2.5-0.5B").endswith(
        "it must be a table of keys; set model.base"
    )


def test_an_alarm_that_was_switched_off_by_its_threshold_is_silent(preset, caplog):
    watch = load_config(preset('[watch]\ntruncated = "none"\nduplicates = 0.5\ntrivial = 0.3\n')).watch
    assert watch.silent == ("truncated",)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("sets watch.trivial = 0.3, which this version no longer has; it is ignored")


def test_a_preset_played_as_another_game_drops_what_that_game_does_not_use(tmp_path):
    config = load_config("nano-cpu", ['selfplay.game="r-zero"'])
    assert config.selfplay.references == SelfPlayConfig().references
    path = tmp_path / "again.toml"
    path.write_text(to_toml(config))
    assert load_config(str(path)) == config  # a dry run's output is a preset
    with pytest.raises(ConfigError, match=r"selfplay\.references is for"):
        load_config("nano-cpu", ['selfplay.game="r-zero"', "selfplay.references=3"])
    path.write_text('extends = "nano-cpu"\n[selfplay]\ngame = "r-zero"\n')
    assert load_config(str(path)) == config
    back = load_config("r-zero-nano-cpu", ['selfplay.game="absolute-zero"'])
    assert back.r_zero == RZeroConfig()
