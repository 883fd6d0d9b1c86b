"""Finds presets: next to pyproject.toml in a checkout, inside the package in a wheel."""

from pathlib import Path

from tinyzero.foreign import read_text

_PACKAGE = Path(__file__).parents[1]


def find_presets(package: Path = _PACKAGE) -> dict[str, Path]:
    """All presets: name -> file, sorted by name.

    An editable install has no presets in its package (the wheel's build puts them there), so a checkout's
    own folder comes first.
    """
    checkout = package.parent
    is_checkout = (checkout / "pyproject.toml").is_file()
    folder = checkout / "presets" if is_checkout else package / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def describe_preset(path: Path) -> str:
    """A preset's description: the comment on its first line."""
    first_line = read_text(path).partition("\n")[0]
    return first_line.removeprefix("#").strip() if first_line.startswith("#") else ""
