"""What people meet first: messages name commands that work, and a missing package is one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_nothing_names_a_package_index_s_tinyzero():
    """There is no release: such a command would fail, or install what somebody else has called so."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    for folder in ("tinyzero", "tools", "examples", "presets", "notebooks"):
        files += [
            path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".toml", ".ipynb")
        ]
    told = re.compile(r"pip3? install [^\n`&|;]*['\" ]tinyzero\b")
    assert [path for path in files if told.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("torch", ["train", "--preset", "nano-cpu", "--output", "runs"]),
        ("torch", ["play"]),
        ("packaging", ["doctor"]),
    ],
)
def test_a_package_that_is_missing_is_one_line(package, arguments, tmp_path):
    program = (
        f"import sys\nsys.modules[{package!r}] = None\n"
        f"from tinyzero.cli import run\nsys.exit(run({arguments!r}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: the package {package} is not installed in this environment; ")
    assert not list(tmp_path.glob("runs/*"))


def test_a_doctor_without_torch_says_so():
    program = (
        "import sys\nsys.modules['torch'] = None\nfrom tinyzero.cli import run\nsys.exit(run(['doctor']))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "")
    assert re.search(r"^broken +torch +does not import", result.stdout, re.MULTILINE)
