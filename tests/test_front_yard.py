"""Where people look before they install: notebook, image, site, citation, templates, releases."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import tinyzero

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "t4.ipynb"
EXECUTE = """\
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
(cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
cell.source = sys.argv[2]
NotebookClient(notebook, timeout=1500, kernel_name="python3").execute()
nbformat.write(notebook, "done.ipynb")
"""
NANO = """\
PRESET, STEPS, OUTPUT, INSTALL = "nano-cpu", 2, "runs", False
SETTINGS = ["selfplay.proposals_per_step=4", "evaluation.sampled_tasks=6", "evaluation.attempts=1",
            "evaluation.heldout=none"]
"""


def loaded(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("nbclient") and find_spec("ipykernel")), reason="nbclient is not installed"
)
def test_the_notebook_runs_on_nano_from_install_to_export(tmp_path):
    subprocess.run([sys.executable, "-c", EXECUTE, str(NOTEBOOK), NANO], cwd=tmp_path, check=True)
    cells = json.loads((tmp_path / "done.ipynb").read_text())["cells"]
    said = "".join(
        "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/html", ""))
        for cell in cells
        for output in cell.get("outputs", ())
    )
    (run,) = (tmp_path / "runs").iterdir()
    assert "fits: " in said
    assert "<iframe srcdoc=" in said
    assert f"{run.name}/adapter-export.zip" in said
    assert (run / "adapter-export.zip").stat().st_size > 1000


def test_the_notebook_comes_without_outputs_and_names_a_preset_that_is_there():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert [
        cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["outputs"]
    ] == []
    (parameters,) = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    (preset,) = re.findall(r'^PRESET = "(.*)"', "".join(parameters["source"]), re.MULTILINE)
    assert (ROOT / "presets" / f"{preset}.toml").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("mkdocs"), reason="mkdocs is not installed")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "site" / "watching" / "index.html").is_file()


def test_every_page_is_in_the_site_s_menu():
    menu = re.findall(r"([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(menu) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_the_image_has_cuda_s_runtime_and_no_root():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if re.match(r"[A-Z]+ ", line)]
    (base,) = [rest for name, *rest in words if name == "FROM"]
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-runtime-\w+[.\d]*", base[0])
    users = [rest[0] for name, *rest in words if name == "USER"]
    assert users
    assert "root" not in users
    names = [name for name, *_ in words]
    assert names.index("USER") < names.index("COPY")
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_the_image_gets_all_that_the_package_is_built_from():
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    needed = ("tinyzero", "presets", "docs", "README.md", "LICENSE", "pyproject.toml")
    assert all((ROOT / name).exists() for name in needed)
    assert not set(needed) & set(left_out)
    assert {".git", "runs", "models"} <= set(left_out)


def test_the_citation_is_of_this_version():
    citation = loaded("CITATION.cff")
    assert citation["version"] == tinyzero.__version__
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "authors", "message", "license"} <= citation.keys()


def test_a_release_is_published_without_a_stored_secret():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert not re.search(r"secrets\.|password|token:(?! write)", text)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    publish, build = workflow["jobs"]["publish"], workflow["jobs"]["build"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert "permissions" not in build
    assert any("bash .ci/run" in step.get("run", "") for step in build["steps"])


@pytest.mark.parametrize("name", ["bug", "card", "idea"])
def test_an_issue_template_has_what_a_form_needs(name):
    form = loaded(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= form.keys()
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(part["type"] in ("textarea", "input") and part["attributes"]["label"] for part in form["body"])


def test_what_agents_are_told_to_read_is_there():
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    named = {*re.findall(r"`(tinyzero/[\w/.]+)`", text), *re.findall(r"\]\(([\w.]+)\)", text)}
    assert {"CONTRIBUTING.md", "tinyzero/trainer.py", "tinyzero/foreign.py"} <= named
    assert all((ROOT / path).exists() for path in named)
