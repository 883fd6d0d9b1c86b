"""`tinyzero plan` as a person and as a program see it."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tinyzero.cli import run
from tinyzero.cli.plan_table import as_table
from tinyzero.config import find_presets, load_config
from tinyzero.machine.cards import Card, find_card
from tinyzero.machine.forecast import Target, forecast
from tinyzero.machine.hardware import machine_of_card

ROWS = "sampling.batch_rows=48"


@pytest.fixture(autouse=True)
def no_driver(monkeypatch):
    """A machine without NVIDIA's tool and without network, whatever the tests run on."""

    def refuse(*_, **__):
        raise OSError("the network is off in this test")

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)


@pytest.fixture
def printed(capsys):
    def run_one(*arguments):
        assert run(["plan", *arguments]) == 0
        return capsys.readouterr().out

    return run_one


@pytest.fixture
def complaint(capsys):
    def run_one(*arguments):
        assert run(["plan", *arguments]) == 2
        return capsys.readouterr().err.removeprefix("error: ").rstrip("\n")

    return run_one


def rows(text):
    """First word or two -> cells of a table's line."""
    return {line[:22].strip(): line[60:].split() for line in text.splitlines() if line.startswith("  ")}


def test_every_term_stands_in_a_table_that_adds_up(printed):
    text = printed("--preset", "qwen1.5b-24gb")
    table = rows(text.partition("\n\ntime")[0])
    assert list(table) == [
        "weights",
        "adapters",
        "optimizer",
        "KV cache",
        "prefill",
        "sampler",
        "dequantised layer",
        "graphs",
        "gradients",
        "activations",
        "attention mask",
        "logits",
        "repeated keys",
        "fragmentation",
        "runtime",
        "total",
    ]
    both = ("weights", "adapters", "optimizer", "dequantised layer", "fragmentation", "runtime")
    total = [float(cell) for cell in table.pop("total")]
    for column, alone in enumerate(
        [
            ("KV cache", "prefill", "sampler", "graphs"),
            ("gradients", "activations", "attention mask", "logits", "repeated keys"),
        ]
    ):
        parts = [float(table[name][column]) for name in both] + [float(table[name][0]) for name in alone]
        assert sum(parts) == pytest.approx(total[column], abs=0.06)


def test_the_last_line_says_that_it_fits_and_with_what_margin(printed):
    last = printed("--preset", "qwen1.5b-24gb", "--gpu", "3090").splitlines()[-1]
    assert last == "fits: 15.4 (+-15 %) of 23.5 GiB at the peak, 35 % to spare"


def test_the_last_line_says_which_knob_helps_where_it_does_not_fit(printed):
    last = printed("--preset", "qwen7b-24gb", "--gpu", "3060", "--set", ROWS).splitlines()[-1]
    assert last == (
        "does not fit: qwen7b-24gb needs about 17.5 GiB, but RTX 3060 has 11.8 GiB; "
        "lower sampling.batch_rows (now 48)"
    )
    turned = printed("--preset", "qwen7b-24gb", "--gpu", "3060")
    assert "8 rows of 2816 tokens (auto)" in turned
    assert turned.splitlines()[-1] == (
        "fits, barely: 11.8 (+-15 %) of 11.8 GiB at the peak, so CUDA graphs give way"
    )


def test_a_margin_too_small_to_trust_is_called_so(printed):
    last = printed("--preset", "qwen1.5b-24gb", "--gpu", "t4").splitlines()[-1]
    assert last == "fits, barely: 15.4 (+-15 %) of 14.7 GiB at the peak, so CUDA graphs give way"
    eager = ("--set", "sampling.cuda_graphs=false")
    last = printed("--preset", "qwen1.5b-24gb", "--gpu", "t4", *eager).splitlines()[-1]
    assert last.startswith("fits, barely: 14.3 (+-15 %) of 14.7 GiB at the peak, 3 % to spare; better lower ")


def test_a_card_without_the_compute_type_is_told_another(printed):
    arguments = ("--preset", "qwen1.5b-8gb", "--gpu", "t4", "--set", "model.dtype=bfloat16")
    assert printed(*arguments).splitlines()[-1] == (
        "does not run: T4 has no bfloat16; set model.dtype to float16"
    )
    assert json.loads(printed(*arguments, "--json"))["fits"] is False
    assert printed("--preset", "qwen1.5b-8gb", "--gpu", "t4").splitlines()[-1].startswith("fits: ")


@pytest.mark.parametrize("preset", find_presets())
def test_every_preset_is_planned_in_eighty_columns(printed, preset):
    text = printed("--preset", preset)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("fits: ")


def test_without_a_card_the_preset_s_own_is_taken(printed):
    assert "\nT4: 16 GiB, of which 14.7 can be used; 320 GB/s, 65 TFLOPS\n" in printed(
        "--preset", "qwen1.5b-16gb-t4"
    )


def test_without_a_preset_the_card_s_own_is_taken(printed):
    assert printed("--gpu", "3060").startswith("qwen1.5b-12gb: ")
    assert printed().startswith("nano-cpu: nano, 1.7 million parameters\nthis machine: ")


def test_the_plan_for_programs_has_the_same_numbers(printed):
    made = json.loads(printed("--preset", "qwen1.5b-24gb", "--gpu", "4090", "--json"))
    memory = made["memory_gib"]
    phase = sum(memory["always"].values()) + sum(memory["sampling"].values())
    assert phase * (1 + memory["fragmentation"]) + memory["runtime"] == pytest.approx(memory["peak"])
    assert made["margin"] == pytest.approx(1 - memory["peak"] / made["available_gib"])
    assert made["fits"] is True
    step = made["step_s"]
    assert step["total_s"] == pytest.approx(step["propose_s"] + step["solve_s"] + step["learn_s"])
    assert (made["batch_rows"], made["round"]["tasks"]) == (128, 24)
    assert made["disk_gib"]["download"] == pytest.approx(1_543_714_304 * 2 / 2**30)


def test_two_adapters_and_a_reference_show(printed):
    text = printed(
        "--preset", "qwen1.5b-24gb", "--set", "policy.adapters=per-role", "--set", "learner.kl_coef=0.1"
    )
    assert "2, one per role, of rank 32, float32        0.28      0.28" in text
    assert " tokens, and the reference " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gpu", "4099"), "no card '4099' in the table; did you mean RTX 4090?"),
        (
            ("--preset", "nano-cpu", "--gpu", "4090"),
            "nano-cpu runs on the CPU; leave --gpu out, or --set hardware.device=cuda",
        ),
        (
            ("--preset", "qwen3b-24gb", "--set", "model.base=someone/some-model"),
            "the shape of someone/some-model is not known: it is in no preset, and the Hub does not give its "
            "config.json (the network is off in this test); name another model, or a folder: "
            "--set model.base=FOLDER",
        ),
        (
            ("--preset", "qwen3b-24gb", "--set", "hardware.card=none"),
            "qwen3b-24gb names no card, and this machine has none; name one: --gpu 4090",
        ),
    ],
)
def test_what_cannot_be_planned_is_one_line(complaint, arguments, message):
    assert complaint(*arguments) == message


def test_time_is_told_with_graphs_and_without_and_as_a_range(printed):
    arguments = ("--preset", "qwen1.5b-24gb", "--gpu", "4090")
    text, made = printed(*arguments), json.loads(printed(*arguments, "--json"))
    assert "no graphs    graphs\n" in text
    eager, replayed = made["step_s"], made["step_s_otherwise"]
    (total,) = [
        line.split()[-2:] for line in text.splitlines() if line.startswith("  total ") and "hours" in line
    ]
    assert total == [f"{eager['total_s']:.0f}", f"{replayed['total_s']:.0f}"]
    assert replayed["solve_s"] < eager["solve_s"]
    assert replayed["learn_s"] == eager["learn_s"]
    best, worst = made["step_s_range"]
    assert best < replayed["total_s"] < eager["total_s"] < worst
    assert made["cuda_graphs"] is False
    words = " ".join(text.split())
    assert "Hours count on no CUDA graphs, which no report has seen at work." in words
    assert f"a step may take {best:.0f} to {worst:.0f} s" in words
    off = printed(*arguments, "--set", "sampling.cuda_graphs=false")
    (total,) = [line.split("hours")[1].split() for line in off.splitlines() if "hours" in line]
    assert total == [f"{eager['total_s']:.0f}"]


def test_a_report_of_this_card_ends_the_range_and_brings_graphs_in(monkeypatch):
    report = {"card": "NVIDIA GeForce RTX 4090", "ran": ["sampling", "plan"]}
    monkeypatch.setattr("tinyzero.machine.evidence.read_reports", lambda: [report])
    card = find_card("4090")
    target = Target(machine=machine_of_card(card), card=card)
    made = forecast("x", load_config("qwen1.5b-24gb"), target)
    assert made.has_graphs
    assert made.range_s is None
    assert made.time.total_s < made.other_time.total_s
    words = " ".join(as_table(made).split())
    assert "Hours count on CUDA graphs. A report has measured this card." in words
    other = find_card("3090")
    target = Target(machine=machine_of_card(other), card=other)
    assert forecast("x", load_config("qwen1.5b-24gb"), target).range_s is not None


def test_a_card_of_unknown_speed_is_planned_without_a_time():
    card = Card(name="a card", memory_gib=24)
    target = Target(machine=machine_of_card(card), card=card)
    text = as_table(forecast("x", load_config("qwen3b-24gb"), target))
    assert "\na card: 24 GiB, of which 23.5 can be used\n" in text
    assert "\ntime: no estimate, for the speed of a card is not in the table of cards\n" in text


def test_planning_imports_no_torch():
    program = (
        "import sys\nfrom tinyzero.cli import run\n"
        "assert run(['plan', '--preset', 'qwen7b-24gb']) == 0\n"
        "heavy = {'torch', 'transformers', 'rich', 'numpy'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_the_margin_is_negative_where_it_does_not_fit():
    small = Card(name="a card", memory_gib=4.0 / 0.98)
    target = Target(machine=machine_of_card(small), card=small)
    made = forecast("x", load_config("qwen7b-24gb"), target)
    assert made.margin == pytest.approx(1 - made.memory.peak_gib / 4.0)
    assert made.margin < 0


def test_vllm_stands_in_the_table_and_a_starved_one_in_the_verdict(printed):
    text = printed("--preset", "qwen1.5b-24gb", "--gpu", "4090", "--set", "sampling.engine=vllm")
    table = rows(text.partition("\n\ntime")[0])
    assert table["vLLM process"] == ["0.90", "0.90"]
    assert sum(float(table[name][0]) for name in ("vLLM weights", "vLLM cache")) == pytest.approx(
        6.0, abs=0.02
    )
    assert "KV cache" not in table
    assert "vllm is taken to be as fast" in " ".join(text.split())
    starved = printed(
        "--preset", "qwen1.5b-24gb", "--gpu", "4090", "--set", "sampling.engine=vllm",
        "--set", "sampling.vllm_gib=1",
    )  # fmt: skip
    assert starved.splitlines()[-1] == (
        "does not fit: qwen1.5b-24gb gives vLLM 1 GiB, and its weights alone take 1.2; "
        "raise sampling.vllm_gib"
    )


def test_what_unsloth_would_move_to_main_memory_is_said_below_the_totals(printed):
    plan = ("--preset", "qwen1.5b-12gb", "--gpu", "3060", "--set", "model.loader=unsloth")
    assert "\nunder unsloth, 0.63 GiB of the activations wait in main memory instead\n" in printed(*plan)
    assert "under unsloth" not in printed(*plan, "--set", "model.loader=transformers")


def test_the_memory_of_all_programs_at_once_is_held_against_what_is_free(printed):
    text = printed("--preset", "nano-cpu", "--set", "execution.workers=102400")
    assert re.search(r"programs +102400 at once, at most +51200\.00$", text, re.MULTILINE)
    assert "they may run out of memory: --set execution.workers=" in text
    assert text.splitlines()[-1].startswith("fits: ")
    planned = json.loads(printed("--preset", "nano-cpu", "--set", "execution.workers=2", "--json"))[
        "programs"
    ]
    assert (planned["workers"], planned["memory_mib"], planned["at_most_gib"]) == (2, 512, 1.0)


def test_several_cards_divide_the_work_but_not_the_longest_answer(printed):
    plan = ("--preset", "qwen1.5b-24gb", "--gpu", "4090", "--gpus", "4,1,2,4")
    text = printed(*plan)
    assert max(map(len, text.splitlines())) <= 80
    together = json.loads(printed(*plan, "--json"))["together"]
    alone = json.loads(printed(*plan, "--json"))["step_s"]
    assert list(together) == ["1", "2", "4"]
    assert together["1"] == {**alone, "exchange_s": 0.0}
    for ranks in (2, 4):
        own = together[str(ranks)]
        assert own["learn_s"] == pytest.approx(alone["learn_s"] / ranks)
        assert alone["solve_s"] / ranks < own["solve_s"] <= alone["solve_s"]
    # LoRA weights in float32, over 8 GB/s: each card passes on half of them twice, with four three quarters.
    assert together["4"]["exchange_s"] == pytest.approx(1.5 * together["2"]["exchange_s"])
    assert f"  {together['2']['total_s']:.1f}" in text
    assert "together" not in rows(printed("--preset", "qwen1.5b-24gb", "--gpu", "4090"))


def test_numbers_of_cards_that_cannot_be_planned_are_refused(complaint):
    assert complaint("--gpu", "4090", "--gpus", "2,many") == (
        "--gpus is '2,many'; give numbers of cards, as in --gpus 1,2,4,8"
    )
    assert complaint("nano-cpu", "--gpus", "2").startswith("--gpus plans for cards, and there is none")


@pytest.mark.parametrize(
    ("preset", "card"),
    [("qwen7b-24gb", "4090"), ("qwen7b-32gb", "5090"), ("qwen14b-48gb", "L40S"), ("qwen14b-48gb", "A6000"),
     ("qwen32b-80gb", "H100"), ("qwen32b-80gb", "A100 80GB")],
)  # fmt: skip
def test_a_large_card_has_a_preset_that_uses_it(printed, preset, card):
    planned = json.loads(printed("--preset", preset, "--gpu", card, "--json"))
    assert planned["fits"] is True
    assert 0.08 <= planned["margin"] <= 0.27


@pytest.mark.parametrize(
    ("card", "preset"), [("5090", "qwen7b-32gb"), ("L40S", "qwen14b-48gb"), ("H100", "qwen14b-48gb")]
)
def test_a_large_card_gets_its_own_preset(printed, card, preset):
    assert printed("--gpu", card).startswith(f"{preset}: ")


SHAPE = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 4,
    "intermediate_size": 32, "vocab_size": 100,
}  # fmt: skip


def test_a_model_in_a_folder_is_planned_by_its_config(printed, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SHAPE))
    text = printed("--preset", "qwen3b-24gb", "--set", f"model.base={tmp_path}")
    assert text.splitlines()[-1].startswith("fits: ")


class Hub(BaseHTTPRequestHandler):
    """Has one file: config.json of someone/some-model."""

    def do_HEAD(self):
        self.reply()

    def do_GET(self):
        self.wfile.write(self.reply())

    def reply(self):
        body = json.dumps(SHAPE).encode()
        is_there = self.path == "/someone/some-model/resolve/main/config.json"
        self.send_response(200 if is_there else 404)
        self.send_header("Content-Length", str(len(body) if is_there else 0))
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        return body if is_there else b""

    def log_message(self, *_):
        pass


def test_a_model_of_the_hub_is_planned_by_its_config(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tinyzero", "plan", "--preset", "qwen3b-24gb", "--set"]
    try:
        planned, unknown = (
            subprocess.run(
                [*command, f"model.base=someone/{name}"],
                env={**os.environ, **here},
                capture_output=True,
                text=True,
                check=False,
            )
            for name in ("some-model", "no-model")
        )
    finally:
        server.shutdown()
        server.server_close()
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[-1].startswith("fits: ")
    assert (unknown.returncode, unknown.stdout, unknown.stderr.count("\n")) == (2, "", 1)
    assert "the shape of someone/no-model is not known: " in unknown.stderr
