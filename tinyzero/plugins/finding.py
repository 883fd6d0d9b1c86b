"""Finds plugins and reads them; nothing of them runs here."""

import hashlib
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version
from pathlib import Path

from tinyzero.errors import ConfigError, nearest

_GROUP = "tinyzero.plugins"
"""Entry points of this group name the plugins of installed packages."""
_LARGEST_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin that was read, and not run.

    Attributes:
        name: the file's name, or the module's.
        source: the file's absolute path, or the module's name.
        sha256: of the file, or of all Python files of the module.
        version: of the installed package that has the module; empty for a file.
        content: of the file, None for a module; what was hashed is what runs.
        path: where the code is read.
    """

    name: str
    source: str
    sha256: str
    path: Path
    version: str = ""
    content: bytes | None = None


def find(source: str) -> Plugin:
    """Read a plugin by its file, its module, or the name of an installed plugin.

    Raises:
        ConfigError: there is none; the message says what to do.
    """
    if source.endswith(".py"):
        path = Path(source).expanduser().absolute()
        return read_file(path, name=path.name, source=str(path))
    installed = {point.name: point.module for point in entry_points(group=_GROUP)}
    module = installed.get(source, source)
    spec = _spec_of(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        is_file = Path(f"{source}.py").is_file()
        hint = f"; for the file, write {source}.py" if is_file else nearest(source, installed)
        known = f"; installed plugins: {', '.join(sorted(installed))}" if installed else ""
        raise ConfigError(f"no plugin {source}: it is no file FILE.py and no Python module{hint}{known}")
    try:
        digest = _digest(spec)
    except OSError as error:
        raise ConfigError(f"cannot read the plugin {spec.origin}: {error.strerror}") from error
    return Plugin(
        name=module,
        source=module,
        sha256=digest,
        path=Path(spec.origin),
        version=_version_of(module),
    )


def read_file(path: Path, *, name: str, source: str) -> Plugin:
    """Read a plugin's file. Raises ConfigError."""
    try:
        if not path.is_file():
            raise ConfigError(f"no plugin at {path}; name a Python file or a module: --plugin FILE.py")
        if path.stat().st_size > _LARGEST_BYTES:
            raise ConfigError(f"the plugin {path} has more than 1 MiB; make a module of it")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the plugin {path}: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    return Plugin(name=name, source=source, sha256=digest, path=path, content=content)


def _spec_of(module: str) -> ModuleSpec | None:
    """Where a module is. `importlib.util.find_spec` would run the packages around it."""
    spec, places = None, None
    for part in _names_of(module):
        specs = (finder.find_spec(part, places, None) for finder in sys.meta_path)
        spec = next((each for each in specs if each is not None), None)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return spec


def _names_of(module: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`; empty for what cannot be a module's name."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return []
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _digest(spec: ModuleSpec) -> str:
    """Of a module's file; of a package, over the names and digests of all of its Python files."""
    if spec.submodule_search_locations is None:
        return hashlib.sha256(Path(str(spec.origin)).read_bytes()).hexdigest()
    total = hashlib.sha256()
    for folder in map(Path, spec.submodule_search_locations):
        for path in sorted(folder.rglob("*.py")):
            total.update(
                f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
            )
    return total.hexdigest()


def _version_of(module: str) -> str:
    names = packages_distributions().get(module.partition(".")[0], [])
    try:
        return version(names[0]) if names else ""
    except PackageNotFoundError:
        return ""
